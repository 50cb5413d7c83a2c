import { IamError } from '../../errors/iam-error.ts';
import type { Tag } from '../../model/object-record.ts';
import { members, optional, structure, text } from '../parameter.ts';

const NAME = /^[\w+=,.@-]+$/;
const PATH_PATTERN = /^\/(?:[\u0021-\u007e]*\/)?$/;

/** Names of what exists may be longer than those of new users. */
export const USER_NAME = text({ min: 1, max: 128, pattern: NAME });
export const NEW_USER_NAME = text({ min: 1, max: 64, pattern: NAME });
export const GROUP_NAME = text({ min: 1, max: 128, pattern: NAME });
export const ROLE_NAME = text({ min: 1, max: 64, pattern: NAME });
export const POLICY_NAME = text({ min: 1, max: 128, pattern: NAME });
export const PATH = text({ min: 1, max: 512, pattern: PATH_PATTERN });
export const PATH_PREFIX = optional(text({ min: 1, max: 512, pattern: /^\/[\u0021-\u007f]*$/ }));
export const ARN = text({ min: 20, max: 2048 });
export const POLICY_DOCUMENT = text({ min: 1, max: 131_072, pattern: /^[\t\n\r -\u00ff]+$/ });
export const TAGS = members(
  structure({
    Key: text({ min: 1, max: 128, pattern: /^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$/u }),
    Value: text({ max: 256, pattern: /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u }),
  }),
  { max: 50 },
);
export const TAG_KEYS = members(text({ min: 1, max: 128 }), { max: 50 });

const MOST_TAGS = 50;

/**
 * What is there with what comes; keys know no case.
 * @throws IamError InvalidInput | LimitExceeded
 */
export function mergeTags(present: readonly Tag[], sent: readonly { Key: string; Value: string }[]): Tag[] {
  const keys = sent.map(({ Key }) => Key.toLowerCase());
  if (new Set(keys).size < keys.length) {
    throw new IamError('InvalidInput', 'Duplicate tag keys found. Please note that Tag keys are case insensitive.');
  }
  const kept = present.filter(({ key }) => !keys.includes(key.toLowerCase()));
  const tags = [...kept, ...sent.map(({ Key, Value }) => ({ key: Key, value: Value }))];
  if (tags.length > MOST_TAGS)
    throw new IamError('LimitExceeded', `Cannot exceed quota for TagsPerEntity: ${MOST_TAGS}`);
  return tags;
}

export function withoutTags(present: readonly Tag[], keys: readonly string[]): Tag[] {
  const gone = new Set(keys.map((key) => key.toLowerCase()));
  return present.filter(({ key }) => !gone.has(key.toLowerCase()));
}
