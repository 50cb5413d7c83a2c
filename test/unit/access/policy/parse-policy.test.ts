import { expect, test } from 'vitest';
import { parsePolicy, type PolicyKind } from '../../../../src/access/policy/parse-policy.ts';
import { PolicyError } from '../../../../src/access/policy/policy-error.ts';

const vocabulary = {
  actions: ['s3:getobject', 's3:listbucket'],
  isConditionKey: (key: string) => key.startsWith('aws:') || key === 's3:prefix',
};
const STATEMENT = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/*' };

function parse(text: string, kind: PolicyKind = 'resource'): unknown {
  return parsePolicy(text, kind, vocabulary);
}

function withStatement(changes: Record<string, unknown>): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ ...STATEMENT, ...changes }] });
}

const REFUSED: [string, string][] = [
  ['no JSON', '{'],
  ['an array', '[]'],
  ['no statements', '{"Version":"2012-10-17","Statement":[]}'],
  ['without Statement', '{"Version":"2012-10-17"}'],
  ['another version', JSON.stringify({ Version: '2020-01-01', Statement: STATEMENT })],
  ['an unknown member', JSON.stringify({ Version: '2012-10-17', Statement: STATEMENT, Extra: 1 })],
  [
    '__proto__ as a member',
    `{"Version":"2012-10-17","Statement":${JSON.stringify(STATEMENT)},"__proto__":{"Effect":"Allow"}}`,
  ],
  ['a member that is there twice', '{"Version":"2012-10-17","Version":"2012-10-17","Statement":{}}'],
  [
    'a member that is there twice in other spelling',
    '{"Version":"2012-10-17","\\u0056ersion":"2012-10-17","Statement":{}}',
  ],
  ['a document nested too deeply', `${'['.repeat(100)}${']'.repeat(100)}`],
  ['an unknown effect', withStatement({ Effect: 'allow' })],
  ['an unknown member of a statement', withStatement({ Actions: 's3:GetObject' })],
  ['an unknown action', withStatement({ Action: 's3:GetObjects' })],
  ['no actions', withStatement({ Action: [] })],
  ['Action and NotAction', withStatement({ NotAction: 's3:GetObject' })],
  ['no resource', withStatement({ Resource: undefined })],
  ['a resource that is no ARN', withStatement({ Resource: 'b/*' })],
  ['a number as a resource', withStatement({ Resource: [{}] })],
  ['no principal', withStatement({ Principal: undefined })],
  ['a name as principal', withStatement({ Principal: 'ann' })],
  ['a wildcard within a principal', withStatement({ Principal: { AWS: 'arn:aws:iam::111111111111:user/*' } })],
  ['an unknown kind of principal', withStatement({ Principal: { Azure: 'x' } })],
  ['Allow with NotPrincipal', withStatement({ Principal: undefined, NotPrincipal: { AWS: '111111111111' } })],
  ['an unknown operator', withStatement({ Condition: { StringAlmost: { 's3:prefix': 'a' } } })],
  ['a quantified Null', withStatement({ Condition: { 'ForAnyValue:Null': { 's3:prefix': 'true' } } })],
  ['an unknown key of S3', withStatement({ Condition: { StringEquals: { 's3:prefixes': 'a' } } })],
  ['a number that is none', withStatement({ Condition: { NumericEquals: { 'aws:x': 'ten' } } })],
  ['a date that is none', withStatement({ Condition: { DateLessThan: { 'aws:CurrentTime': 'soon' } } })],
  ['an address that is none', withStatement({ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/33' } } })],
  ['an ARN that is none', withStatement({ Condition: { ArnLike: { 'aws:SourceArn': 'bucket' } } })],
  ['a variable that is not closed', withStatement({ Resource: 'arn:aws:s3:::b/${aws:username' })],
  ['a variable within one', withStatement({ Resource: 'arn:aws:s3:::b/${aws:${aws:username}' })],
  ['sec_redos: very many that are not closed', withStatement({ Resource: `arn:aws:s3:::b/${'${'.repeat(60_000)}` })],
  [
    'two statements of one Sid',
    JSON.stringify({
      Statement: [
        { ...STATEMENT, Sid: 'a' },
        { ...STATEMENT, Sid: 'a' },
      ],
    }),
  ],
];

test.each(REFUSED)('refused: %s', (_, text) => {
  expect(() => parse(text)).toThrow(PolicyError);
});

test('an identity’s policy names no principal, a trust policy no resource', () => {
  const { Principal, Resource, ...rest } = STATEMENT;
  const text = (statement: unknown): string => JSON.stringify({ Version: '2012-10-17', Statement: statement });
  expect(() => parse(text(STATEMENT), 'identity')).toThrow('should not specify a principal');
  expect(parse(text({ ...rest, Resource }), 'identity')).toMatchObject({ statements: [{ principals: undefined }] });
  expect(() => parse(text(STATEMENT), 'trust')).toThrow('prohibited field Resource');
  expect(parse(text({ ...rest, Principal }), 'trust')).toMatchObject({ statements: [{ resources: undefined }] });
});

test('one statement, action, resource and value stand for a list of one', () => {
  const policy = parsePolicy(JSON.stringify({ Statement: STATEMENT }), 'resource', vocabulary);
  expect(policy.version).toBe('2008-10-17');
  expect(policy.statements).toHaveLength(1);
  expect(policy.statements[0]!.actions.templates).toHaveLength(1);
});
