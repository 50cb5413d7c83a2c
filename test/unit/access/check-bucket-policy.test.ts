import { expect, test } from 'vitest';
import { checkBucketPolicy } from '../../../src/access/check-bucket-policy.ts';
import { POLICY_VOCABULARY } from '../../../src/access/policy/vocabulary.ts';
import { OPERATION_TABLE } from '../../../src/s3/operation-table.ts';

function check(Action: unknown, Resource: unknown): string {
  const document = JSON.stringify({ Statement: { Effect: 'Allow', Principal: '*', Action, Resource } });
  try {
    checkBucketPolicy(document, 'b');
    return 'fine';
  } catch (error) {
    return (error as Error).message;
  }
}

const NO_FIT = 'Action does not apply to any resource(s) in statement';
const CASES: [string, unknown, unknown, string][] = [
  ['keys of the bucket', 's3:GetObject', 'arn:aws:s3:::b/*', 'fine'],
  ['one key', 's3:GetObject', 'arn:aws:s3:::b/a/b', 'fine'],
  ['the bucket', 's3:ListBucket', 'arn:aws:s3:::b', 'fine'],
  ['both', 's3:*', ['arn:aws:s3:::b', 'arn:aws:s3:::b/*'], 'fine'],
  ['a wildcard that reaches the bucket', 's3:ListBucket', 'arn:aws:s3:::*', 'fine'],
  ['another bucket', 's3:GetObject', 'arn:aws:s3:::c/*', 'Policy has invalid resource'],
  [
    'another bucket beside this one',
    's3:GetObject',
    ['arn:aws:s3:::b/*', 'arn:aws:s3:::c/*'],
    'Policy has invalid resource',
  ],
  ['a bucket whose name begins like this one', 's3:GetObject', 'arn:aws:s3:::bb/*', 'Policy has invalid resource'],
  ['an action on keys with the bucket', 's3:GetObject', 'arn:aws:s3:::b', NO_FIT],
  ['an action on the bucket with keys', 's3:ListBucket', 'arn:aws:s3:::b/*', NO_FIT],
  ['the lock configuration is the bucket’s', 's3:PutBucketObjectLockConfiguration', 'arn:aws:s3:::b', 'fine'],
  ['an action of another service', 'kms:Decrypt', 'arn:aws:s3:::b/*', 'Policy has invalid action'],
];

test.each(CASES)('%s', (_, action, resource, expected) => {
  expect(check(action, resource)).toBe(expected);
});

test('policies can speak of every action of the operation table', () => {
  const known = new Set(POLICY_VOCABULARY.actions);
  const actions = OPERATION_TABLE.flatMap(({ action, versionAction }) => [action, versionAction ?? action]);
  const missing = actions.filter((action) => action.startsWith('s3:') && !known.has(action.toLowerCase()));
  expect(missing).toEqual([]);
});
