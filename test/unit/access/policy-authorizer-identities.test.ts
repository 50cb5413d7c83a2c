import { beforeEach, expect, test } from 'vitest';
import { Callers } from '../../../src/access/callers.ts';
import type { Identities } from '../../../src/access/identities/identities.ts';
import { parseStored } from '../../../src/access/identities/credential-of.ts';
import { parsePolicy } from '../../../src/access/policy/parse-policy.ts';
import type { Policy } from '../../../src/access/policy/policy-document.ts';
import { IDENTITY_VOCABULARY } from '../../../src/access/policy/vocabulary.ts';
import { PolicyAuthorizer } from '../../../src/access/policy-authorizer.ts';
import type { AuthorizationRequest, Principal } from '../../../src/access/principal.ts';
import type { BucketConfiguration } from '../../../src/model/bucket-configuration.ts';
import { groupOf, inline, keyOf, openTestIdentities, roleOf, userOf } from '../../support/identities-fixture.ts';

const OWNER = { accountId: '111111111111', canonicalId: 'a'.repeat(64), displayName: 'root' };
const OTHER = { accountId: '222222222222', canonicalId: 'b'.repeat(64), displayName: 'other' };
const ANN: Principal = { type: 'user', accessKeyId: 'HFANN', owner: OWNER, entityId: 'AIDA1' };
const ROLE_SESSION: Principal = {
  type: 'assumed-role',
  accessKeyId: 'HFSESSION',
  owner: OWNER,
  entityId: 'AROA1',
  session: { name: 'now', issuedAtMs: 1000, tags: [], facts: new Map() },
};
const READ = inline({ Action: 's3:GetObject' });
let identities: Identities;
beforeEach(async () => (identities = await openTestIdentities(OWNER)));

async function ask(request: Partial<AuthorizationRequest>, configuration: BucketConfiguration = {}): Promise<string> {
  const bucketOf = { bucketId: 1, region: 'us-east-1', createdAtMs: 0, owner: OWNER, configuration };
  const store = {
    getBucket: async (name: string) =>
      name === 'b' ? { ...bucketOf, name } : name === 'c' ? { ...bucketOf, name, owner: OTHER } : undefined,
    getObject: async () => undefined,
  };
  const authorizer = new PolicyAuthorizer(() => store, new Callers(identities));
  const whole = { principal: ANN, action: 's3:GetObject', bucket: 'b', key: 'k', context: () => undefined, ...request };
  return await authorizer.authorize(whole).then(
    () => 'allowed',
    (error: unknown) => (error as { code: string }).code,
  );
}

function bucketPolicy(statement: Record<string, unknown>): BucketConfiguration {
  const whole = { Effect: 'Allow', Action: 's3:*', Resource: ['arn:aws:s3:::b', 'arn:aws:s3:::b/*'], ...statement };
  const document = JSON.stringify({ Version: '2012-10-17', Statement: whole });
  return { publicAccessBlock: 'none', policy: { document, bindsOwner: false } };
}

const put = (user: Parameters<typeof userOf>[2]): Promise<void> =>
  identities.change((writer) => writer.users.put(userOf('AIDA1', 'ann', user)));

test('a user without policies may do nothing', async () => {
  await put({});
  expect(await ask({})).toBe('AccessDenied');
  for (const action of ['s3:ListAllMyBuckets', 's3:CreateBucket', 'iam:GetUser', 'kms:Decrypt', 'holdfast:GetStatus']) {
    expect(await ask({ action, bucket: undefined, key: undefined })).toBe('AccessDenied');
  }
});

test('a user may do what an inline, an attached or a policy of its group allows, until that is taken away', async () => {
  const ways = [
    { inlinePolicies: [READ] },
    { attachedPolicyArns: ['arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess'] },
    { groupIds: ['AGPA1'] },
  ];
  await identities.change((writer) => writer.groups.put(groupOf('AGPA1', 'readers', { inlinePolicies: [READ] })));
  for (const way of ways) {
    await put(way);
    expect(await ask({})).toBe('allowed');
    expect(await ask({ action: 's3:PutObject' })).toBe('AccessDenied');
    await put({});
    expect(await ask({})).toBe('AccessDenied');
  }
});

test('a Deny of any of its policies decides', async () => {
  await identities.change((writer) =>
    writer.groups.put(groupOf('AGPA1', 'g', { inlinePolicies: [inline({ Effect: 'Deny', Action: 's3:Get*' })] })),
  );
  await put({ inlinePolicies: [READ], groupIds: ['AGPA1'] });
  expect(await ask({})).toBe('AccessDenied');
  expect(await ask({}, bucketPolicy({ Principal: '*' }))).toBe('AccessDenied');
});

test('a policy, a group or a boundary that is missing or cannot be read shuts its user out', async () => {
  const unreadable = { name: 'p', document: '{"Version":"2030-01-01"}' };
  for (const more of [
    { inlinePolicies: [READ, unreadable] },
    { inlinePolicies: [READ], groupIds: ['AGPAgone'] },
    { inlinePolicies: [READ], boundaryArn: 'arn:aws:iam::111111111111:policy/gone' },
    { inlinePolicies: [READ], attachedPolicyArns: ['arn:aws:iam::111111111111:policy/gone'] },
  ]) {
    await put(more);
    expect(await ask({}, bucketPolicy({ Principal: '*' }))).toBe('AccessDenied');
  }
});

test('a boundary limits what identity policies and the bucket policy give', async () => {
  await put({
    inlinePolicies: [inline({ Action: 's3:*' })],
    boundaryArn: 'arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess',
  });
  expect(await ask({})).toBe('allowed');
  expect(await ask({ action: 's3:PutObject' })).toBe('AccessDenied');
  expect(await ask({ action: 's3:PutObject' }, bucketPolicy({ Principal: '*' }))).toBe('AccessDenied');
});

test('a bucket policy gives to the user it names, and leaves it to the account when it names that', async () => {
  await put({});
  const user = bucketPolicy({ Principal: { AWS: 'arn:aws:iam::111111111111:user/ann' } });
  expect(await ask({ action: 's3:PutObject' }, user)).toBe('allowed');
  expect(await ask({ action: 's3:PutObject' }, bucketPolicy({ Principal: { AWS: '111111111111' } }))).toBe(
    'AccessDenied',
  );
});

test('across accounts both sides must allow', async () => {
  const named = bucketPolicy({
    Principal: { AWS: '111111111111' },
    Resource: ['arn:aws:s3:::c', 'arn:aws:s3:::c/*'],
  });
  const inC = { bucket: 'c' };
  await put({ inlinePolicies: [READ] });
  expect(await ask(inC)).toBe('AccessDenied');
  expect(await ask(inC, named)).toBe('allowed');
  await put({});
  expect(await ask(inC, named)).toBe('AccessDenied');
});

test('a service account can do what its user can and its own policy allows, and may not change identities', async () => {
  await put({ inlinePolicies: [inline({ Action: '*' })] });
  const policy = READ.document;
  await identities.change((writer) =>
    writer.accessKeys.put(keyOf('HFSVC', { userId: 'AIDA1', serviceAccount: { description: '', policy } })),
  );
  const { principal } = identities.findCredential('HFSVC')!;
  expect(await ask({ principal })).toBe('allowed');
  expect(await ask({ principal, action: 's3:PutObject' })).toBe('AccessDenied');
  const wide: Principal = { ...principal, narrowedBy: [parseStored(inline({ Action: '*' }).document)!] };
  const onUser = { principal: wide, bucket: undefined, key: undefined };
  const resource = { arn: 'arn:aws:iam::111111111111:user/ann' };
  expect(await ask({ ...onUser, action: 'iam:CreateAccessKey', resource })).toBe('AccessDenied');
  expect(await ask({ ...onUser, action: 'iam:GetUser', resource })).toBe('allowed');
  expect(await ask({ ...onUser, action: 'sts:AssumeRole', resource })).toBe('AccessDenied');
  await put({ inlinePolicies: [inline({ Action: 's3:PutObject' })] });
  expect(await ask({ principal })).toBe('AccessDenied');
});

test('a service account with a policy that only denies may do nothing', async () => {
  await put({ inlinePolicies: [inline({ Action: 's3:*' })] });
  const policy = inline({ Effect: 'Deny', Action: 's3:PutObject' }).document;
  await identities.change((writer) =>
    writer.accessKeys.put(keyOf('HFSVC', { userId: 'AIDA1', serviceAccount: { description: '', policy } })),
  );
  expect(await ask({ principal: identities.findCredential('HFSVC')!.principal })).toBe('AccessDenied');
});

test('a session of a role ends when the role is gone, or its sessions were ended', async () => {
  const role = roleOf('AROA1', 'reader', { inlinePolicies: [READ] });
  await identities.change((writer) => writer.roles.put(role));
  expect(await ask({ principal: ROLE_SESSION })).toBe('allowed');
  await identities.change((writer) => writer.roles.put({ ...role, notBeforeMs: 1001 }));
  expect(await ask({ principal: ROLE_SESSION })).toBe('AccessDenied');
  await identities.change((writer) => writer.roles.put({ ...role, notBeforeMs: 1000 }));
  expect(await ask({ principal: ROLE_SESSION })).toBe('allowed');
  await identities.change(async (writer) => {
    await writer.roles.delete('AROA1');
    await writer.roles.put({ ...role, id: 'AROA2' });
  });
  expect(await ask({ principal: ROLE_SESSION })).toBe('AccessDenied');
});

test('a session policy narrows a role', async () => {
  await identities.change((writer) =>
    writer.roles.put(roleOf('AROA1', 'all', { inlinePolicies: [inline({ Action: 's3:*' })] })),
  );
  const principal = { ...ROLE_SESSION, narrowedBy: [parseStored(READ.document)!] };
  expect(await ask({ principal })).toBe('allowed');
  expect(await ask({ principal, action: 's3:PutObject' })).toBe('AccessDenied');
});

test('a user deleted and made again under its name is somebody else', async () => {
  await put({ inlinePolicies: [READ] });
  await identities.change(async (writer) => {
    await writer.users.delete('AIDA1');
    await writer.users.put(userOf('AIDA2', 'ann', { inlinePolicies: [READ] }));
  });
  expect(await ask({})).toBe('AccessDenied');
});

test.each([
  ['aws:username', 'ann'],
  ['aws:userid', 'AIDA1'],
  ['aws:PrincipalArn', 'arn:aws:iam::111111111111:user/ann'],
  ['aws:PrincipalAccount', '111111111111'],
  ['aws:PrincipalType', 'User'],
  ['aws:PrincipalTag/team', 'red'],
  ['aws:ResourceAccount', '111111111111'],
])('conditions on %s know the user, whatever the request claims', async (key, value) => {
  const policy = (wanted: string): ReturnType<typeof inline> =>
    inline({ Action: 's3:GetObject', Condition: { StringEquals: { [key]: wanted } } });
  await put({ inlinePolicies: [policy(value)], tags: [{ key: 'Team', value: 'red' }] });
  expect(await ask({ context: () => ['forged'] })).toBe('allowed');
  await put({ inlinePolicies: [policy('forged')] });
  expect(await ask({ context: () => ['forged'] })).toBe('AccessDenied');
});

test('of a session the principal ARN is the role’s and the tags of the session come before those of the role', async () => {
  const conditions = {
    StringEquals: {
      'aws:PrincipalArn': 'arn:aws:iam::111111111111:role/reader',
      'aws:PrincipalTag/a': 'session',
      'aws:PrincipalTag/b': 'role',
      'aws:userid': 'AROA1:now',
    },
    DateLessThan: { 'aws:TokenIssueTime': '1970-01-01T00:00:02Z' },
  };
  const policy = inline({ Action: 's3:GetObject', Condition: conditions });
  const tags = [
    { key: 'a', value: 'role' },
    { key: 'b', value: 'role' },
  ];
  await identities.change((writer) => writer.roles.put(roleOf('AROA1', 'reader', { inlinePolicies: [policy], tags })));
  const session = { ...ROLE_SESSION.session!, tags: [{ key: 'a', value: 'session' }] };
  expect(await ask({ principal: { ...ROLE_SESSION, session } })).toBe('allowed');
});

test('root of another account sees neither the status of the server nor its keys', async () => {
  const principal: Principal = { type: 'root', accessKeyId: 'K', owner: OTHER };
  const nothing = { principal, bucket: undefined, key: undefined };
  expect(await ask({ ...nothing, action: 'holdfast:GetStatus' })).toBe('AccessDenied');
  const keyArn = 'arn:aws:kms:us-east-1:111111111111:key/k';
  expect(await ask({ ...nothing, action: 'kms:Decrypt', keyArn })).toBe('AccessDenied');
  expect(await ask({ ...nothing, action: 'kms:Decrypt', keyArn, principal: { ...principal, owner: OWNER } })).toBe(
    'allowed',
  );
});

test('an identity policy decides on keys of the key service', async () => {
  const keyArn = 'arn:aws:kms:us-east-1:111111111111:key/k';
  await put({ inlinePolicies: [inline({ Action: 'kms:Decrypt', Resource: keyArn })] });
  const nothing = { bucket: undefined, key: undefined };
  expect(await ask({ ...nothing, action: 'kms:Decrypt', keyArn })).toBe('allowed');
  expect(await ask({ ...nothing, action: 'kms:GenerateDataKey', keyArn })).toBe('AccessDenied');
  expect(await ask({ ...nothing, action: 'kms:Decrypt', keyArn: `${keyArn}2` })).toBe('AccessDenied');
});

test('a role may be assumed by whom its trust policy names, and by whose policies allow it when it names the account', async () => {
  await put({});
  const arn = 'arn:aws:iam::111111111111:role/r';
  const trusting = (AWS: string): AuthorizationRequest['resource'] => ({
    arn,
    accountId: '111111111111',
    policy: trustPolicy(AWS),
  });
  const assume = { action: 'sts:AssumeRole', bucket: undefined, key: undefined };
  expect(await ask({ ...assume, resource: trusting('arn:aws:iam::111111111111:user/ann') })).toBe('allowed');
  expect(await ask({ ...assume, resource: trusting('111111111111') })).toBe('AccessDenied');
  await put({ inlinePolicies: [inline({ Action: 'sts:AssumeRole', Resource: arn })] });
  expect(await ask({ ...assume, resource: trusting('111111111111') })).toBe('allowed');
});

function trustPolicy(AWS: string): Policy {
  const Statement = { Effect: 'Allow', Principal: { AWS }, Action: 'sts:AssumeRole' };
  return parsePolicy(JSON.stringify({ Version: '2012-10-17', Statement }), 'trust', IDENTITY_VOCABULARY);
}
