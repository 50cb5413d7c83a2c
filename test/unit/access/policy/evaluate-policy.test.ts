import { describe, expect, test } from 'vitest';
import { evaluatePolicy, type PolicyPrincipal } from '../../../../src/access/policy/evaluate-policy.ts';
import { parsePolicy } from '../../../../src/access/policy/parse-policy.ts';

const vocabulary = { actions: ['s3:getobject', 's3:putobject', 's3:listbucket'], isConditionKey: () => true };
const ANN: PolicyPrincipal = {
  type: 'aws',
  accountId: '111111111111',
  canonicalId: 'a'.repeat(64),
  arns: ['arn:aws:iam::111111111111:user/ann'],
  federated: [],
  service: '',
};
const ANONYMOUS: PolicyPrincipal = {
  type: 'anonymous',
  accountId: '',
  canonicalId: '',
  arns: [],
  federated: [],
  service: '',
};

interface Question {
  statement: Record<string, unknown>;
  version?: string;
  principal?: PolicyPrincipal;
  action?: string;
  resource?: string;
  context?: Record<string, string[]>;
}

function effectOf({
  statement,
  version = '2012-10-17',
  principal = ANN,
  action = 's3:GetObject',
  resource = 'arn:aws:s3:::b/k',
  context = {},
}: Question): string {
  const policy = parsePolicy(
    JSON.stringify({
      Version: version,
      Statement: { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: '*', ...statement },
    }),
    'resource',
    vocabulary,
  );
  return evaluatePolicy(policy, { principal, action, resource, context: (key) => context[key] }).effect;
}

describe('principals', () => {
  const cases: [string, unknown, PolicyPrincipal, string][] = [
    ['everybody', '*', ANONYMOUS, 'allow'],
    ['everybody as AWS', { AWS: '*' }, ANONYMOUS, 'allow'],
    ['the user itself', { AWS: 'arn:aws:iam::111111111111:user/ann' }, ANN, 'allow'],
    ['another user', { AWS: 'arn:aws:iam::111111111111:user/bob' }, ANN, 'none'],
    ['a user is nobody anonymous', { AWS: 'arn:aws:iam::111111111111:user/ann' }, ANONYMOUS, 'none'],
    ['the account by its ARN', { AWS: 'arn:aws:iam::111111111111:root' }, ANN, 'allow-account'],
    ['the account by its id', { AWS: '111111111111' }, ANN, 'allow-account'],
    ['the account by its canonical id', { CanonicalUser: 'a'.repeat(64) }, ANN, 'allow-account'],
    ['another account', { AWS: '222222222222' }, ANN, 'none'],
    ['a service is no user', { Service: 'logging.s3.amazonaws.com' }, ANN, 'none'],
    [
      'a service',
      { Service: 'logging.s3.amazonaws.com' },
      { ...ANONYMOUS, type: 'service', service: 'logging.s3.amazonaws.com' },
      'allow',
    ],
  ];
  test.each(cases)('%s', (_, Principal, principal, expected) => {
    expect(effectOf({ statement: { Principal }, principal })).toBe(expected);
  });

  test.each<[string, string[], string]>([
    ['itself', ['arn:aws:iam::111111111111:user/ann', 'arn:aws:iam::111111111111:root'], 'none'],
    ['another user and the account', ['arn:aws:iam::111111111111:user/bob', 'arn:aws:iam::111111111111:root'], 'deny'],
    ['the account alone, by its id', ['111111111111'], 'deny'],
  ])('a Deny of all but %s', (_, AWS, expected) => {
    expect(effectOf({ statement: { Effect: 'Deny', Principal: undefined, NotPrincipal: { AWS } } })).toBe(expected);
  });

  test.each(['111111111111', 'arn:aws:iam::111111111111:root'])('a Deny of all but %s leaves root out', (name) => {
    const statement = { Effect: 'Deny', Principal: undefined, NotPrincipal: { AWS: [name] } };
    const principal = { ...ANN, arns: ['arn:aws:iam::111111111111:root'] };
    expect(effectOf({ statement, principal })).toBe('none');
  });

  test('a Deny of the account is for each of its users', () => {
    expect(effectOf({ statement: { Effect: 'Deny', Principal: { AWS: '111111111111' } } })).toBe('deny');
  });
});

describe('conditions', () => {
  const cases: [string, Record<string, Record<string, unknown>>, Record<string, string[]>, boolean][] = [
    [
      'dates in ISO 8601',
      { DateLessThan: { 'aws:CurrentTime': '2026-01-02T00:00:00Z' } },
      { 'aws:currenttime': ['2026-01-01T00:00:00Z'] },
      true,
    ],
    [
      'dates in seconds since 1970',
      { DateGreaterThan: { 'aws:EpochTime': '1700000000' } },
      { 'aws:epochtime': ['1700000001'] },
      true,
    ],
    [
      'dates without a zone are UTC',
      { DateEquals: { 'aws:CurrentTime': '2026-01-01T00:00:00' } },
      { 'aws:currenttime': ['2026-01-01T00:00:00Z'] },
      true,
    ],
    [
      'an address within a network',
      { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } },
      { 'aws:sourceip': ['10.2.3.4'] },
      true,
    ],
    [
      'an address outside',
      { IpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '192.0.2.1'] } },
      { 'aws:sourceip': ['11.2.3.4'] },
      false,
    ],
    [
      'an IPv4 address as IPv6 writes it',
      { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } },
      { 'aws:sourceip': ['::ffff:10.2.3.4'] },
      true,
    ],
    ['IPv6', { NotIpAddress: { 'aws:SourceIp': '2001:db8::/32' } }, { 'aws:sourceip': ['2001:db9::1'] }, true],
    [
      'ARNs by field',
      { ArnLike: { 'aws:SourceArn': 'arn:aws:s3:*:*:log-*' } },
      { 'aws:sourcearn': ['arn:aws:s3:::log-1'] },
      true,
    ],
    [
      'a wildcard stays within its field',
      { ArnLike: { 'aws:SourceArn': 'arn:aws:*:::x' } },
      { 'aws:sourcearn': ['arn:aws:s3:eu:1:x'] },
      false,
    ],
    [
      'an ARN with a variable',
      { ArnLike: { 'aws:SourceArn': 'arn:aws:s3:::${aws:username}-*' } },
      { 'aws:sourcearn': ['arn:aws:s3:::ann-x'], 'aws:username': ['ann'] },
      true,
    ],
    [
      'a * that a variable brings into an ARN is no wildcard',
      { ArnLike: { 'aws:SourceArn': 'arn:aws:s3:::${aws:username}' } },
      { 'aws:sourcearn': ['arn:aws:s3:::bob'], 'aws:username': ['*'] },
      false,
    ],
    [
      'a colon that a variable brings into an ARN ends no field',
      { ArnLike: { 'aws:SourceArn': 'arn:aws:s3:${aws:username}:x' } },
      { 'aws:sourcearn': ['arn:aws:s3:a:b:x'], 'aws:username': ['a:b'] },
      false,
    ],
    ['bytes in other spelling', { BinaryEquals: { 'aws:x': 'aGk' } }, { 'aws:x': ['aGk='] }, true],
    ['a key in other case', { StringEquals: { 'S3:PREFIX': 'a' } }, { 's3:prefix': ['a'] }, true],
    ['a missing key does not hold', { StringEquals: { 's3:prefix': 'a' } }, {}, false],
    ['a missing key holds a negation', { StringNotEquals: { 's3:prefix': 'a' } }, {}, true],
    ['a missing key holds with IfExists', { StringEqualsIfExists: { 's3:prefix': 'a' } }, {}, true],
    ['Null true wants it missing', { Null: { 's3:prefix': 'true' } }, {}, true],
    ['Null false wants it there', { Null: { 's3:prefix': 'false' } }, {}, false],
    [
      'every condition must hold',
      { StringEquals: { 's3:prefix': 'a' }, Bool: { 'aws:SecureTransport': 'true' } },
      { 's3:prefix': ['a'], 'aws:securetransport': ['false'] },
      false,
    ],
    ['a JSON boolean', { Bool: { 'aws:SecureTransport': true } }, { 'aws:securetransport': ['true'] }, true],
    [
      'ForAllValues over a set that overlaps in part',
      { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } },
      { 'aws:tagkeys': ['a', 'c'] },
      false,
    ],
    [
      'ForAnyValue over a set that overlaps in part',
      { 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['a', 'b'] } },
      { 'aws:tagkeys': ['a', 'c'] },
      true,
    ],
    [
      'ForAllValues negated over a set that overlaps in part',
      { 'ForAllValues:StringNotEquals': { 'aws:TagKeys': ['a'] } },
      { 'aws:tagkeys': ['a', 'c'] },
      false,
    ],
    [
      'ForAnyValue negated over a set that overlaps in part',
      { 'ForAnyValue:StringNotEquals': { 'aws:TagKeys': ['a'] } },
      { 'aws:tagkeys': ['a', 'c'] },
      true,
    ],
    ['ForAllValues without values', { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a'] } }, {}, true],
    ['ForAnyValue without values', { 'ForAnyValue:StringNotEquals': { 'aws:TagKeys': ['a'] } }, {}, false],
  ];
  test.each(cases)('%s', (_, Condition, context, holds) => {
    expect(effectOf({ statement: { Condition }, context })).toBe(holds ? 'allow' : 'none');
  });

  test('a value that cannot be compared never allows, and denies', () => {
    const Condition = { NumericLessThan: { 's3:max-keys': '10' } };
    const context = { 's3:max-keys': ['many'] };
    expect(effectOf({ statement: { Condition }, context })).toBe('none');
    expect(effectOf({ statement: { Effect: 'Deny', Condition }, context })).toBe('deny');
    expect(effectOf({ statement: { Condition: { NumericNotEquals: { 's3:max-keys': '10' } } }, context })).toBe('none');
  });
});

describe('variables', () => {
  const Resource = 'arn:aws:s3:::b/${aws:username}/*';

  test('stand for the request', () => {
    const question = { statement: { Resource }, resource: 'arn:aws:s3:::b/ann/x' };
    expect(effectOf({ ...question, context: { 'aws:username': ['ann'] } })).toBe('allow');
    expect(effectOf({ ...question, context: { 'aws:username': ['bob'] } })).toBe('none');
  });

  test('insert text, no wildcards', () => {
    const question = { statement: { Resource }, context: { 'aws:username': ['*'] } };
    expect(effectOf({ ...question, resource: 'arn:aws:s3:::b/ann/x' })).toBe('none');
    expect(effectOf({ ...question, resource: 'arn:aws:s3:::b/*/x' })).toBe('allow');
  });

  test('without a value never allow, and deny what they might stand for', () => {
    expect(effectOf({ statement: { Resource }, resource: 'arn:aws:s3:::b/ann/x' })).toBe('none');
    expect(effectOf({ statement: { Effect: 'Deny', Resource }, resource: 'arn:aws:s3:::b/ann/x' })).toBe('deny');
    expect(effectOf({ statement: { Effect: 'Deny', Resource }, resource: 'arn:aws:s3:::c/ann/x' })).toBe('none');
  });

  test('have a value to fall back on', () => {
    const statement = { Resource: "arn:aws:s3:::b/${aws:username, 'nobody'}/*" };
    expect(effectOf({ statement, resource: 'arn:aws:s3:::b/nobody/x' })).toBe('allow');
  });

  test('write wildcards and dollars literally', () => {
    const statement = { Resource: 'arn:aws:s3:::b/${*}${?}${$}' };
    expect(effectOf({ statement, resource: 'arn:aws:s3:::b/*?$' })).toBe('allow');
    expect(effectOf({ statement, resource: 'arn:aws:s3:::b/xy$' })).toBe('none');
  });

  test('are text in a policy of 2008', () => {
    const question = { statement: { Resource }, version: '2008-10-17', context: { 'aws:username': ['ann'] } };
    expect(effectOf({ ...question, resource: 'arn:aws:s3:::b/ann/x' })).toBe('none');
    expect(effectOf({ ...question, resource: 'arn:aws:s3:::b/${aws:username}/x' })).toBe('allow');
  });
});

test('many stars against a long text take no time', () => {
  const resource = `arn:aws:s3:::b/${'a'.repeat(1000)}`;
  expect(effectOf({ statement: { Resource: `arn:aws:s3:::b/${'*a'.repeat(400)}b` }, resource })).toBe('none');
});
