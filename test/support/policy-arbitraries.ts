import * as fc from 'fast-check';
import type { NaivePolicy, NaiveRequest } from './naive-policy.ts';

export const ACTIONS = ['s3:GetObject', 's3:PutObject', 's3:ListBucket', 'iam:GetUser'];
export const vocabulary = { actions: ACTIONS.map((action) => action.toLowerCase()), isConditionKey: () => true };
export const ACCOUNTS = ['111111111111', '222222222222'];
const ARNS = ACCOUNTS.flatMap((id) => [`arn:aws:iam::${id}:user/ann`, `arn:aws:iam::${id}:user/bob`]);

/** Few letters, so that patterns and texts meet. */
export const word = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '/'), maxLength: 4 });
export const pattern = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '/', '*', '?'), maxLength: 4 });
const resourcePattern = fc.oneof(
  fc.constant('*'),
  pattern.map((text) => `arn:aws:s3:::b/${text}`),
  pattern.map((text) => `arn:aws:s3:::b/\${aws:username}/${text}`),
);
const some = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { minLength: 1, maxLength: 3 });
const either = <T>(name: string, values: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.tuple(fc.boolean(), values).map(([isNot, value]) => ({ [isNot ? `Not${name}` : name]: value }));

const quantified = (name: string): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom('', 'ForAllValues:', 'ForAnyValue:'), fc.constantFrom('', 'IfExists'))
    .map(([before, after]) => `${before}${name}${after}`);
const condition = fc.oneof(
  fc.tuple(
    fc
      .constantFrom('StringEquals', 'StringNotEquals', 'StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase')
      .chain(quantified),
    fc.constantFrom('s3:prefix', 'aws:TagKeys'),
    some(fc.oneof(word, fc.constant('${aws:username}'))),
  ),
  fc.tuple(
    fc.constantFrom('StringLike', 'StringNotLike').chain(quantified),
    fc.constantFrom('s3:prefix', 'aws:TagKeys'),
    some(pattern),
  ),
  fc.tuple(
    fc.constantFrom('NumericEquals', 'NumericNotEquals', 'NumericLessThan').chain(quantified),
    fc.constant('s3:max-keys'),
    some(fc.constantFrom('1', '2', '2.0', '10')),
  ),
  fc.tuple(quantified('Bool'), fc.constant('aws:SecureTransport'), some(fc.constantFrom('true', 'false'))),
  fc.tuple(
    fc.constant('Null'),
    fc.constantFrom('s3:prefix', 's3:max-keys', 'aws:TagKeys'),
    some(fc.constantFrom('true', 'false')),
  ),
);
const conditions = fc
  .array(condition, { maxLength: 2 })
  .map((list) => Object.fromEntries(list.map(([operator, key, values]) => [operator, { [key]: values }])));

const aws = some(fc.constantFrom('*', ...ACCOUNTS, ...ACCOUNTS.map((id) => `arn:aws:iam::${id}:root`), ...ARNS));
const statement = fc
  .tuple(
    fc.constantFrom('Allow', 'Deny'),
    fc.oneof(
      fc.constant({ Principal: '*' }),
      aws.map((names) => ({ Principal: { AWS: names } })),
      aws
        .map((names) => ({ NotPrincipal: { AWS: names.filter((name) => name !== '*') } }))
        .filter(({ NotPrincipal }) => NotPrincipal.AWS.length > 0),
    ),
    either('Action', some(fc.constantFrom('*', 's3:*', 'S3:Get*', 's3:GetObject', 's3:PutObjec?', 'iam:*'))),
    either('Resource', some(resourcePattern)),
    conditions,
  )
  .filter(([effect, principal]) => effect === 'Deny' || !('NotPrincipal' in principal))
  .map(([Effect, principal, action, resource, Condition]) => ({
    Effect,
    ...principal,
    ...action,
    ...resource,
    Condition,
  }));
export const policies: fc.Arbitrary<NaivePolicy> = fc
  .array(statement, { minLength: 1, maxLength: 4 })
  .map((Statement) => ({ Version: '2012-10-17', Statement }));

export const requests: fc.Arbitrary<NaiveRequest> = fc
  .record({
    arn: fc.constantFrom(...ARNS),
    action: fc.constantFrom(...ACTIONS),
    rest: fc.oneof(
      word,
      word.map((text) => `ann/${text}`),
    ),
    prefix: fc.option(word, { nil: undefined }),
    maxKeys: fc.option(fc.constantFrom('1', '2', '10'), { nil: undefined }),
    tagKeys: fc.option(fc.array(word, { minLength: 1, maxLength: 3 }), { nil: undefined }),
    isSecure: fc.boolean(),
  })
  .map(({ arn, action, rest, prefix, maxKeys, tagKeys, isSecure }) => ({
    accountId: arn.slice(13, 25),
    arn,
    action,
    resource: `arn:aws:s3:::b/${rest}`,
    context: {
      'aws:username': [arn.slice(-3)],
      's3:prefix': prefix === undefined ? undefined : [prefix],
      's3:max-keys': maxKeys === undefined ? undefined : [maxKeys],
      'aws:tagkeys': tagKeys,
      'aws:securetransport': [String(isSecure)],
    },
  }));

/** Of users, groups and sessions: about whoever carries them. Of S3 only. */
export const identityPolicies: fc.Arbitrary<NaivePolicy> = policies.map(({ Version, Statement }) => ({
  Version,
  Statement: Statement.map(({ Principal: _principal, NotPrincipal: _others, ...rest }) => rest),
}));
