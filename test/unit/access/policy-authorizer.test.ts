import { expect, test, vi } from 'vitest';
import { Callers } from '../../../src/access/callers.ts';
import { PolicyAuthorizer } from '../../../src/access/policy-authorizer.ts';
import type { AuthorizationRequest, Principal } from '../../../src/access/principal.ts';
import type { BucketConfiguration } from '../../../src/model/bucket-configuration.ts';
import type { BucketRecord, ObjectRecord } from '../../../src/model/object-record.ts';
import { openTestIdentities } from '../../support/identities-fixture.ts';

const OWNER = { accountId: '111111111111', canonicalId: 'a'.repeat(64), displayName: 'root' };
const ROOT: Principal = { type: 'root', accessKeyId: 'KEY', owner: OWNER };
const OTHER_ROOT: Principal = { ...ROOT, owner: { ...OWNER, accountId: '222222222222', canonicalId: 'b'.repeat(64) } };
const ANONYMOUS: Principal = {
  type: 'anonymous',
  accessKeyId: '',
  owner: { accountId: '', canonicalId: '', displayName: '' },
};
const OPEN = {
  blockPublicAcls: false,
  ignorePublicAcls: false,
  blockPublicPolicy: false,
  restrictPublicBuckets: false,
};

function policyOf(statement: Record<string, unknown>): string {
  const whole = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/*', ...statement };
  return JSON.stringify({ Version: '2012-10-17', Statement: whole });
}

function configured(statement?: Record<string, unknown>, more: BucketConfiguration = {}): BucketConfiguration {
  if (statement === undefined) return more;
  return { publicAccessBlock: OPEN, policy: { document: policyOf(statement), bindsOwner: false }, ...more };
}

interface Question extends Partial<AuthorizationRequest> {
  configuration?: BucketConfiguration;
  tags?: readonly { key: string; value: string }[];
}

async function ask({ configuration = {}, tags, ...request }: Question): Promise<string> {
  const bucket: BucketRecord = {
    bucketId: 1,
    name: 'b',
    owner: OWNER,
    region: 'us-east-1',
    createdAtMs: 0,
    configuration,
  };
  const getObject = vi.fn(async () => (tags === undefined ? undefined : ({ tags } as unknown as ObjectRecord)));
  const store = { getBucket: async (name: string) => (name === 'b' ? bucket : undefined), getObject };
  const authorizer = new PolicyAuthorizer(() => store, new Callers(await openTestIdentities(OWNER)));
  const whole = {
    principal: ANONYMOUS,
    action: 's3:GetObject',
    bucket: 'b',
    key: 'k',
    context: () => undefined,
    ...request,
  };
  return await authorizer.authorize(whole).then(
    () => 'allowed',
    (error: unknown) => (error as { code: string }).code,
  );
}

test('root of the owner may do everything in a bucket without a policy', async () => {
  for (const action of ['s3:GetObject', 's3:PutObject', 's3:DeleteBucket', 's3:PutBucketPolicy']) {
    expect(await ask({ principal: ROOT, action })).toBe('allowed');
  }
  expect(await ask({ principal: ROOT, action: 's3:ListAllMyBuckets', bucket: undefined, key: undefined })).toBe(
    'allowed',
  );
});

test.each<[string, Principal]>([
  ['anonymous', ANONYMOUS],
  ['anonymous with a key id', { ...ANONYMOUS, accessKeyId: 'KEY' }],
  ['anonymous who claims the account', { ...ANONYMOUS, owner: OWNER }],
  ['root without a key id', { ...ROOT, accessKeyId: '' }],
  ['root of another account', OTHER_ROOT],
  ['an unknown type', { ...ROOT, type: 'user' }],
])('%s is denied without a policy', async (_who, principal) => {
  expect(await ask({ principal })).toBe('AccessDenied');
});

test('an operation without an action is denied even to root', async () => {
  expect(await ask({ principal: ROOT, action: '' })).toBe('AccessDenied');
});

test('a bucket that is not there is NoSuchBucket, and making one is denied', async () => {
  expect(await ask({ bucket: 'missing' })).toBe('NoSuchBucket');
  expect(await ask({ bucket: 'missing', action: 's3:CreateBucket' })).toBe('AccessDenied');
  expect(await ask({ principal: ROOT, bucket: 'missing' })).toBe('allowed');
});

test('a public policy lets everybody do what it says and no more', async () => {
  const configuration = configured({});
  expect(await ask({ configuration })).toBe('allowed');
  expect(await ask({ configuration, action: 's3:PutObject' })).toBe('AccessDenied');
  expect(await ask({ configuration, action: 's3:ListBucket', key: undefined })).toBe('AccessDenied');
});

test('RestrictPublicBuckets shuts a public policy, and holds for a bucket of which nothing was said', async () => {
  const { policy } = configured({});
  expect(await ask({ configuration: { policy: policy! } })).toBe('AccessDenied');
  const restricted = { policy: policy!, publicAccessBlock: { ...OPEN, restrictPublicBuckets: true } };
  expect(await ask({ configuration: restricted })).toBe('AccessDenied');
  expect(await ask({ configuration: { policy: policy!, publicAccessBlock: 'none' } })).toBe('allowed');
  expect(await ask({ configuration: restricted, principal: ROOT })).toBe('allowed');
});

test('root of another account needs the bucket to name it', async () => {
  expect(await ask({ configuration: configured({ Principal: { AWS: '222222222222' } }), principal: OTHER_ROOT })).toBe(
    'allowed',
  );
  expect(await ask({ configuration: configured({ Principal: { AWS: '333333333333' } }), principal: OTHER_ROOT })).toBe(
    'AccessDenied',
  );
});

test('a Deny binds root of the owner, but not of the policy itself unless that was confirmed', async () => {
  const deny = { Effect: 'Deny', Action: 's3:*', Resource: ['arn:aws:s3:::b', 'arn:aws:s3:::b/*'] };
  const configuration = configured(deny);
  expect(await ask({ configuration, principal: ROOT })).toBe('AccessDenied');
  for (const action of ['s3:GetBucketPolicy', 's3:PutBucketPolicy', 's3:DeleteBucketPolicy']) {
    const target = { principal: ROOT, action, key: undefined };
    expect(await ask({ configuration, ...target })).toBe('allowed');
    const bound = { ...configuration, policy: { document: policyOf(deny), bindsOwner: true } };
    expect(await ask({ configuration: bound, ...target })).toBe('AccessDenied');
  }
});

test('a policy that this version cannot read allows nothing, and its owner can replace it', async () => {
  const policy = { document: '{"Version":"2030-01-01"}', bindsOwner: false };
  const configuration = { policy, publicAccessBlock: OPEN };
  expect(await ask({ configuration })).toBe('AccessDenied');
  expect(await ask({ configuration, principal: ROOT })).toBe('AccessDenied');
  expect(await ask({ configuration, principal: ROOT, action: 's3:PutBucketPolicy', key: undefined })).toBe('allowed');
});

test('conditions on existing tags see those of the object', async () => {
  const configuration = configured({ Condition: { StringEquals: { 's3:ExistingObjectTag/Kind': 'public' } } });
  expect(await ask({ configuration, tags: [{ key: 'Kind', value: 'public' }] })).toBe('allowed');
  expect(await ask({ configuration, tags: [{ key: 'Kind', value: 'secret' }] })).toBe('AccessDenied');
  expect(await ask({ configuration })).toBe('AccessDenied');
});

test('the request cannot say who asks', async () => {
  const configuration = configured({ Condition: { StringEquals: { 'aws:PrincipalAccount': '111111111111' } } });
  expect(await ask({ configuration, context: () => ['111111111111'] })).toBe('AccessDenied');
  const tagged = configured({ Condition: { StringEquals: { 's3:ExistingObjectTag/Kind': 'public' } } });
  expect(await ask({ configuration: tagged, context: () => ['public'] })).toBe('AccessDenied');
});

test('a store that is not open allows nothing', async () => {
  const authorizer = new PolicyAuthorizer(
    () => {
      throw new Error('not open');
    },
    new Callers(await openTestIdentities(OWNER)),
  );
  const request = { principal: ROOT, action: 's3:GetObject', bucket: 'b', key: 'k', context: () => undefined };
  await expect(authorizer.authorize(request)).rejects.toThrow('not open');
});
