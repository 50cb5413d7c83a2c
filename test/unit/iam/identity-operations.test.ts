import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ALICE } from '../../support/metadata-fixtures.ts';
import { IamFixture, type IamAnswer } from '../../support/iam-fixture.ts';

const iam = new IamFixture();
beforeAll(() => iam.start());
afterAll(() => iam.stop());

const READ = JSON.stringify({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Action: 's3:GetObject', Resource: '*' },
});
const S3_READ_ONLY = 'arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess';
let round = 0;
let user = '';
let group = '';
const call = (action: string, parameters: Record<string, string> = {}): Promise<IamAnswer> =>
  iam.call(action, parameters);
beforeEach(async () => {
  round += 1;
  [user, group] = [`user-${round}`, `group-${round}`];
  await call('CreateUser', { UserName: user });
  await call('CreateGroup', { GroupName: group });
});

test('a user is made once, whatever the case of its name, and shown by it', async () => {
  const made = await call('CreateUser', {
    UserName: 'Ann',
    Path: '/team/',
    'Tags.member.1.Key': 'a',
    'Tags.member.1.Value': 'b',
  });
  expect(made.all('Arn')).toEqual([`arn:aws:iam::${ALICE.accountId}:user/team/Ann`]);
  expect(made.all('UserId')[0]).toMatch(/^AIDA[A-Z2-9]{17}$/);
  expect(await call('CreateUser', { UserName: 'ANN' })).toMatchObject({ status: 409, code: 'EntityAlreadyExists' });
  const shown = await call('GetUser', { UserName: 'ann' });
  expect([shown.all('UserId'), shown.all('Key'), shown.all('Value')]).toEqual([made.all('UserId'), ['a'], ['b']]);
  expect(await call('GetUser', { UserName: 'nobody' })).toMatchObject({ status: 404, code: 'NoSuchEntity' });
  expect(await call('CreateUser', { UserName: 'a/b' })).toMatchObject({ status: 400, code: 'ValidationError' });
});

test('GetUser of root is the account', async () => {
  const { body } = await call('GetUser');
  expect(body).toContain(`<UserId>${ALICE.accountId}</UserId><Arn>arn:aws:iam::${ALICE.accountId}:root</Arn>`);
});

test('a renamed user keeps id, keys and policies', async () => {
  const before = await call('GetUser', { UserName: user });
  await call('PutUserPolicy', { UserName: user, PolicyName: 'p', PolicyDocument: READ });
  expect((await call('UpdateUser', { UserName: user, NewUserName: `${user}-new` })).status).toBe(200);
  const after = await call('GetUser', { UserName: `${user}-new` });
  expect(after.all('UserId')).toEqual(before.all('UserId'));
  expect((await call('ListUserPolicies', { UserName: `${user}-new` })).body).toContain('<member>p</member>');
  expect(await call('UpdateUser', { UserName: `${user}-new`, NewUserName: 'ANN' })).toMatchObject({
    code: 'EntityAlreadyExists',
  });
});

test('users come in pages, by path', async () => {
  for (const name of ['p1', 'p2', 'p3']) await call('CreateUser', { UserName: `${name}-${round}`, Path: '/paged/' });
  const first = await call('ListUsers', { PathPrefix: '/paged/', MaxItems: '2' });
  expect([first.all('UserName'), first.all('IsTruncated')]).toEqual([[`p1-${round}`, `p2-${round}`], ['true']]);
  const rest = await call('ListUsers', { PathPrefix: '/paged/', Marker: first.all('Marker')[0]! });
  expect([rest.all('UserName'), rest.all('IsTruncated')]).toEqual([[`p3-${round}`], ['false']]);
});

test('names are listed without regard to their case, page by page', async () => {
  for (const UserName of ['cd', 'Cb', 'cA', 'Ce']) await call('CreateUser', { UserName, Path: '/cases/' });
  const names: string[] = [];
  let Marker: Record<string, string> = {};
  do {
    const page = await call('ListUsers', { PathPrefix: '/cases/', MaxItems: '1', ...Marker });
    names.push(...page.all('UserName'));
    Marker = page.all('Marker').length === 0 ? {} : { Marker: page.all('Marker')[0]! };
  } while ('Marker' in Marker);
  expect(names).toEqual(['cA', 'Cb', 'cd', 'Ce']);
});

test('a user with keys, policies or groups is not deleted', async () => {
  const key = (await call('CreateAccessKey', { UserName: user })).all('AccessKeyId')[0]!;
  const refused = async (): Promise<string> => (await call('DeleteUser', { UserName: user })).all('Message')[0] ?? '';
  expect(await refused()).toContain('must delete access keys first');
  await call('DeleteAccessKey', { UserName: user, AccessKeyId: key });
  await call('PutUserPolicy', { UserName: user, PolicyName: 'p', PolicyDocument: READ });
  expect(await refused()).toContain('must delete policies first');
  await call('DeleteUserPolicy', { UserName: user, PolicyName: 'p' });
  await call('AttachUserPolicy', { UserName: user, PolicyArn: S3_READ_ONLY });
  expect(await refused()).toContain('must detach all policies first');
  await call('DetachUserPolicy', { UserName: user, PolicyArn: S3_READ_ONLY });
  await call('AddUserToGroup', { UserName: user, GroupName: group });
  expect(await refused()).toContain('must remove users from group first');
  expect(await call('DeleteGroup', { GroupName: group })).toMatchObject({ status: 409, code: 'DeleteConflict' });
  await call('RemoveUserFromGroup', { UserName: user, GroupName: group });
  expect((await call('DeleteUser', { UserName: user })).status).toBe(200);
  expect((await call('DeleteGroup', { GroupName: group })).status).toBe(200);
});

test('a user has two keys at most, and a secret is shown once', async () => {
  const made = await call('CreateAccessKey', { UserName: user });
  expect(made.all('SecretAccessKey')[0]).toMatch(/^[a-z2-9]{40}$/);
  await call('CreateAccessKey', { UserName: user });
  expect(await call('CreateAccessKey', { UserName: user })).toMatchObject({ status: 409, code: 'LimitExceeded' });
  const listed = await call('ListAccessKeys', { UserName: user });
  expect(listed.all('AccessKeyId')).toHaveLength(2);
  expect(listed.body).not.toContain('Secret');
});

test('a key of one user is not found under another', async () => {
  const key = (await call('CreateAccessKey', { UserName: user })).all('AccessKeyId')[0]!;
  await call('CreateUser', { UserName: `${user}-b` });
  const asOther = { UserName: `${user}-b`, AccessKeyId: key };
  expect((await call('DeleteAccessKey', asOther)).code).toBe('NoSuchEntity');
  expect((await call('UpdateAccessKey', { ...asOther, Status: 'Inactive' })).code).toBe('NoSuchEntity');
});

test('users of a group are its members, and its policies can be listed', async () => {
  await call('AddUserToGroup', { UserName: user, GroupName: group });
  await call('AddUserToGroup', { UserName: user, GroupName: group });
  expect((await call('GetGroup', { GroupName: group })).all('UserName')).toEqual([user]);
  expect((await call('ListGroupsForUser', { UserName: user })).all('GroupName')).toEqual([group]);
  await call('PutGroupPolicy', { GroupName: group, PolicyName: 'p', PolicyDocument: READ });
  const policy = await call('GetGroupPolicy', { GroupName: group, PolicyName: 'p' });
  expect(decodeURIComponent(policy.all('PolicyDocument')[0]!)).toBe(READ);
  expect((await call('GetGroupPolicy', { GroupName: group, PolicyName: 'q' })).code).toBe('NoSuchEntity');
});

test.each([
  ['no JSON', '{'],
  ['a principal', READ.replace('"Action"', '"Principal":"*","Action"')],
  ['an action that S3 does not have', READ.replace('GetObject', 'GetObjet')],
  [
    'a condition operator that is none',
    READ.replace('"Action"', '"Condition":{"StringIs":{"s3:prefix":"a"}},"Action"'),
  ],
])('a policy with %s is refused', async (_what, PolicyDocument) => {
  const parameters = { UserName: user, PolicyName: 'p', PolicyDocument };
  expect(await call('PutUserPolicy', parameters)).toMatchObject({ status: 400, code: 'MalformedPolicyDocument' });
  expect((await call('CreatePolicy', { PolicyName: 'bad', PolicyDocument })).code).toBe('MalformedPolicyDocument');
});

test('inline policies of a user have 2,048 characters together', async () => {
  const long = READ.replace('"*"', `"arn:aws:s3:::${'a'.repeat(1200)}"`);
  expect((await call('PutUserPolicy', { UserName: user, PolicyName: 'p', PolicyDocument: long })).status).toBe(200);
  const second = { UserName: user, PolicyName: 'q', PolicyDocument: long };
  expect((await call('PutUserPolicy', second)).code).toBe('LimitExceeded');
});

test('a managed policy has up to five versions, one of them the default', async () => {
  const PolicyArn = (await call('CreatePolicy', { PolicyName: `m-${round}`, PolicyDocument: READ })).all('Arn')[0]!;
  const version = { PolicyArn, PolicyDocument: READ };
  for (let count = 0; count < 4; count += 1) await call('CreatePolicyVersion', version);
  expect((await call('CreatePolicyVersion', version)).code).toBe('LimitExceeded');
  expect((await call('DeletePolicyVersion', { PolicyArn, VersionId: 'v1' })).code).toBe('DeleteConflict');
  await call('SetDefaultPolicyVersion', { PolicyArn, VersionId: 'v3' });
  await call('DeletePolicyVersion', { PolicyArn, VersionId: 'v1' });
  const next = await call('CreatePolicyVersion', { ...version, SetAsDefault: 'true' });
  expect([next.all('VersionId'), next.all('IsDefaultVersion')]).toEqual([['v6'], ['true']]);
  const versions = await call('ListPolicyVersions', { PolicyArn });
  expect(versions.all('VersionId')).toEqual(['v6', 'v5', 'v4', 'v3', 'v2']);
  expect((await call('DeletePolicy', { PolicyArn })).code).toBe('DeleteConflict');
});

test('a policy in use is not deleted, and says who uses it', async () => {
  const PolicyArn = (await call('CreatePolicy', { PolicyName: `u-${round}`, PolicyDocument: READ })).all('Arn')[0]!;
  await call('AttachUserPolicy', { UserName: user, PolicyArn });
  await call('PutUserPermissionsBoundary', { UserName: user, PermissionsBoundary: PolicyArn });
  expect((await call('GetPolicy', { PolicyArn })).all('AttachmentCount')).toEqual(['1']);
  expect((await call('ListEntitiesForPolicy', { PolicyArn })).all('UserName')).toEqual([user]);
  expect((await call('GetUser', { UserName: user })).all('PermissionsBoundaryArn')).toEqual([PolicyArn]);
  await call('DetachUserPolicy', { UserName: user, PolicyArn });
  expect((await call('DeletePolicy', { PolicyArn })).code).toBe('DeleteConflict');
  await call('DeleteUserPermissionsBoundary', { UserName: user });
  expect((await call('DeletePolicy', { PolicyArn })).status).toBe(200);
  expect((await call('GetPolicy', { PolicyArn })).code).toBe('NoSuchEntity');
});

test('AWS’s own policies can be attached and not changed', async () => {
  expect((await call('AttachUserPolicy', { UserName: user, PolicyArn: S3_READ_ONLY })).status).toBe(200);
  expect((await call('ListAttachedUserPolicies', { UserName: user })).all('PolicyName')).toEqual([
    'AmazonS3ReadOnlyAccess',
  ]);
  expect((await call('DeletePolicy', { PolicyArn: S3_READ_ONLY })).code).toBe('AccessDenied');
  expect((await call('AttachUserPolicy', { UserName: user, PolicyArn: `${S3_READ_ONLY}X` })).code).toBe('NoSuchEntity');
  expect((await call('ListPolicies', { Scope: 'AWS' })).all('PolicyName')).toContain('AdministratorAccess');
});

test('tags of a user are added, replaced and taken away', async () => {
  const tag = (key: string, value: string) => ({ 'Tags.member.1.Key': key, 'Tags.member.1.Value': value });
  await call('TagUser', { UserName: user, ...tag('a', '1') });
  await call('TagUser', { UserName: user, ...tag('A', '2') });
  expect((await call('ListUserTags', { UserName: user })).all('Value')).toEqual(['2']);
  await call('UntagUser', { UserName: user, 'TagKeys.member.1': 'a' });
  expect((await call('ListUserTags', { UserName: user })).all('Value')).toEqual([]);
});

test('a user may do in IAM what its policies allow, until its key is disabled', async () => {
  const signer = await iam.makeUser(`caller-${round}`);
  const asUser = (action: string, parameters: Record<string, string> = {}): Promise<IamAnswer> =>
    iam.call(action, parameters, signer);
  const denied = await asUser('ListUsers');
  expect([denied.status, denied.code]).toEqual([403, 'AccessDenied']);
  expect(denied.all('Message')[0]).toContain('is not authorized to perform: iam:ListUsers');
  await call('AttachUserPolicy', {
    UserName: `caller-${round}`,
    PolicyArn: 'arn:aws:iam::aws:policy/IAMReadOnlyAccess',
  });
  expect((await asUser('ListUsers')).status).toBe(200);
  expect((await asUser('GetUser')).all('UserName')).toEqual([`caller-${round}`]);
  expect((await asUser('CreateUser', { UserName: 'x' })).code).toBe('AccessDenied');
  const use = await call('GetAccessKeyLastUsed', { AccessKeyId: signer.accessKeyId });
  expect([use.all('UserName'), use.all('ServiceName')]).toEqual([[`caller-${round}`], ['iam']]);
  const key = { UserName: `caller-${round}`, AccessKeyId: signer.accessKeyId };
  await call('UpdateAccessKey', { ...key, Status: 'Inactive' });
  expect((await asUser('ListUsers')).code).toBe('InvalidClientTokenId');
  await call('UpdateAccessKey', { ...key, Status: 'Active' });
  expect((await asUser('ListUsers')).status).toBe(200);
});

test('a condition on the boundary keeps a delegate from making users without one', async () => {
  const signer = await iam.makeUser(`delegate-${round}`);
  const Condition = { StringEquals: { 'iam:PermissionsBoundary': S3_READ_ONLY } };
  const Statement = { Effect: 'Allow', Action: 'iam:CreateUser', Resource: '*', Condition };
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
  await call('PutUserPolicy', { UserName: `delegate-${round}`, PolicyName: 'p', PolicyDocument });
  const make = (more: Record<string, string>): Promise<IamAnswer> =>
    iam.call('CreateUser', { UserName: `made-${round}`, ...more }, signer);
  expect((await make({})).code).toBe('AccessDenied');
  expect((await make({ PermissionsBoundary: S3_READ_ONLY })).status).toBe(200);
});
