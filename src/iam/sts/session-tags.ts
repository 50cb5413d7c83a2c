import type { ConditionContext } from '../../access/policy/condition-context.ts';
import type { PrincipalSession } from '../../access/principal.ts';
import { IamError } from '../../errors/iam-error.ts';
import type { Tag } from '../../model/object-record.ts';
import { mergeTags } from '../rules/parameters.ts';

const MOST_TAGS = 50;

/** Tags of a session, and which of them go on into those that are begun with it. */
export interface SessionTags {
  readonly tags: readonly Tag[];
  readonly transitiveTagKeys: readonly string[];
}

export interface TagsAsked {
  readonly Tags: readonly { readonly Key: string; readonly Value: string }[];
  readonly TransitiveTagKeys: readonly string[];
}

/**
 * What is asked for, and what the calling session hands on, which nobody can change.
 * @throws IamError InvalidInput | PackedPolicyTooLarge
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
 */
export function sessionTags(
  { Tags, TransitiveTagKeys }: TagsAsked,
  calling: PrincipalSession | undefined,
): SessionTags {
  const asked = mergeTags([], Tags);
  const handedOn = calling?.transitiveTagKeys ?? [];
  const carried = (calling?.tags ?? []).filter(({ key }) => handedOn.includes(key));
  const isCarried = (name: string): boolean => carried.some(({ key }) => key.toLowerCase() === name.toLowerCase());
  for (const { key } of asked) {
    if (key.toLowerCase().startsWith('aws:')) {
      throw new IamError('InvalidInput', `The tag key ${key} begins with "aws:", which is reserved.`);
    }
    if (isCarried(key)) {
      throw new IamError('InvalidInput', `The tag ${key} is set by the calling session, and transitive.`);
    }
  }
  const transitive = TransitiveTagKeys.map((name) => {
    const tag = asked.find(({ key }) => key.toLowerCase() === name.toLowerCase());
    if (tag === undefined) throw new IamError('InvalidInput', `The transitive tag key ${name} must be among the tags.`);
    return tag.key;
  });
  const tags = [...carried, ...asked];
  if (tags.length > MOST_TAGS) throw new IamError('PackedPolicyTooLarge', 'The session has too many tags.');
  return { tags, transitiveTagKeys: [...carried.map(({ key }) => key), ...transitive] };
}

/** `aws:RequestTag/…`, `aws:TagKeys` and `sts:TransitiveTagKeys`. */
export function sessionTagConditions({ tags, transitiveTagKeys }: SessionTags): ConditionContext {
  const values = new Map<string, readonly string[]>();
  for (const { key, value } of tags) values.set(`aws:requesttag/${key.toLowerCase()}`, [value]);
  if (tags.length > 0) {
    values.set(
      'aws:tagkeys',
      tags.map(({ key }) => key),
    );
  }
  if (transitiveTagKeys.length > 0) values.set('sts:transitivetagkeys', transitiveTagKeys);
  return (key) => values.get(key);
}

/** As they stand in a token. */
export function tagClaims({ tags, transitiveTagKeys }: SessionTags): Partial<SessionTags> {
  return {
    ...(tags.length === 0 ? {} : { tags }),
    ...(transitiveTagKeys.length === 0 ? {} : { transitiveTagKeys }),
  };
}
