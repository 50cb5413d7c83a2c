import type { ConditionContext } from '../../access/policy/condition-context.ts';
import type { Tag } from '../../model/object-record.ts';
import type { QueryTarget } from '../query-operation.ts';

interface EntityConditions {
  /** Of what is asked about, as it is now. */
  readonly resourceTags?: readonly Tag[] | undefined;
  readonly requestTags?: readonly { Key: string; Value: string }[];
  readonly tagKeys?: readonly string[];
  /** The managed policy that is attached or detached. */
  readonly policyArn?: string;
  /** Of a new user or role, the one it gets; of one that exists, the one it has. */
  readonly boundaryArn?: string | undefined;
}

/** The ARN, and what conditions on IAM's own keys may look at. */
export function iamTarget(arn: string, facts: EntityConditions = {}): QueryTarget {
  return { resource: { arn }, conditions: conditionsOf(facts) };
}

function conditionsOf(facts: EntityConditions): ConditionContext {
  const values = new Map<string, readonly string[]>();
  const set = (key: string, value: string): unknown => values.set(key, [value]);
  for (const { key, value } of facts.resourceTags ?? []) {
    set(`aws:resourcetag/${key.toLowerCase()}`, value);
    set(`iam:resourcetag/${key.toLowerCase()}`, value);
  }
  for (const { Key, Value } of facts.requestTags ?? []) set(`aws:requesttag/${Key.toLowerCase()}`, Value);
  const keys = facts.tagKeys ?? facts.requestTags?.map(({ Key }) => Key) ?? [];
  if (keys.length > 0) values.set('aws:tagkeys', keys);
  if (facts.policyArn !== undefined) set('iam:policyarn', facts.policyArn);
  if (facts.boundaryArn !== undefined) set('iam:permissionsboundary', facts.boundaryArn);
  return (key) => values.get(key);
}
