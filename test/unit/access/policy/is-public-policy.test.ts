import { expect, test } from 'vitest';
import { isPublicPolicy } from '../../../../src/access/policy/is-public-policy.ts';
import { parsePolicy } from '../../../../src/access/policy/parse-policy.ts';
import { POLICY_VOCABULARY } from '../../../../src/access/policy/vocabulary.ts';

const STATEMENT = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/*' };
const CASES: [string, Record<string, unknown>, boolean][] = [
  ['everybody', {}, true],
  ['a Deny to everybody', { Effect: 'Deny' }, false],
  ['one account', { Principal: { AWS: '111111111111' } }, false],
  ['a service', { Principal: { Service: 'logging.s3.amazonaws.com' } }, false],
  ['everybody from one network', { Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } }, false],
  ['everybody from a network of half the world', { Condition: { IpAddress: { 'aws:SourceIp': '128.0.0.0/1' } } }, true],
  [
    'everybody from two networks, one of them wide',
    { Condition: { IpAddress: { 'aws:SourceIp': ['192.0.2.1', '0.0.0.0/0'] } } },
    true,
  ],
  ['everybody but one network', { Condition: { NotIpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } }, true],
  ['everybody from any address, as a pattern', { Condition: { StringLike: { 'aws:SourceIp': '*' } } }, true],
  ['everybody whose address begins so', { Condition: { StringLike: { 'aws:SourceIp': ['1*', '2*'] } } }, true],
  ['everybody without credentials', { Condition: { StringEquals: { 'aws:userid': 'anonymous' } } }, true],
  ['everybody of one account', { Condition: { StringEquals: { 'aws:PrincipalAccount': '111111111111' } } }, false],
  ['a wildcard in the condition', { Condition: { StringLike: { 'aws:PrincipalArn': 'arn:aws:iam::*' } } }, true],
  ['a variable in the condition', { Condition: { StringEquals: { 'aws:userid': '${aws:userid}' } } }, true],
  [
    'a condition that holds when the key is missing',
    { Condition: { StringEqualsIfExists: { 'aws:userid': 'x' } } },
    true,
  ],
  ['a condition on another key', { Condition: { StringEquals: { 's3:prefix': 'a' } } }, true],
];

test.each(CASES)('%s', (_, changes, isPublic) => {
  const policy = parsePolicy(
    JSON.stringify({ Version: '2012-10-17', Statement: { ...STATEMENT, ...changes } }),
    'resource',
    POLICY_VOCABULARY,
  );
  expect(isPublicPolicy(policy)).toBe(isPublic);
});
