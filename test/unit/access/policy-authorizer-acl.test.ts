import { describe, expect, test, vi } from 'vitest';
import { Callers } from '../../../src/access/callers.ts';
import { PolicyAuthorizer } from '../../../src/access/policy-authorizer.ts';
import type { AuthorizationRequest, Principal } from '../../../src/access/principal.ts';
import type { AclPermission, Grant } from '../../../src/model/access-control.ts';
import type { PublicAccessBlock } from '../../../src/model/bucket-access.ts';
import type { BucketConfiguration } from '../../../src/model/bucket-configuration.ts';
import type { BucketRecord, ObjectRecord, Owner } from '../../../src/model/object-record.ts';
import { DocumentStore } from '../../support/document-store.ts';
import { inline, openTestIdentities, userOf } from '../../support/identities-fixture.ts';
import { ALICE, BOB } from '../../support/metadata-fixtures.ts';

const ROOT: Principal = { type: 'root', accessKeyId: 'A', owner: ALICE };
const OTHER: Principal = { type: 'root', accessKeyId: 'B', owner: BOB };
const USER: Principal = { type: 'user', accessKeyId: 'U', owner: ALICE, entityId: 'AIDAUSER' };
const READER: Principal = { type: 'user', accessKeyId: 'R', owner: ALICE, entityId: 'AIDAREADER' };
const ANONYMOUS: Principal = {
  type: 'anonymous',
  accessKeyId: '',
  owner: { accountId: '', canonicalId: '', displayName: '' },
};
const OPEN: PublicAccessBlock = {
  blockPublicAcls: false,
  ignorePublicAcls: false,
  blockPublicPolicy: false,
  restrictPublicBuckets: false,
};

function toGroup(group: 'AllUsers' | 'AuthenticatedUsers' | 'LogDelivery', permission: AclPermission): Grant {
  return { grantee: { group }, permission };
}

function to({ canonicalId, displayName }: Owner, permission: AclPermission): Grant {
  return { grantee: { canonicalId, displayName }, permission };
}

interface World {
  configuration?: BucketConfiguration;
  object?: { owner?: Owner; acl?: readonly Grant[] };
  accountBlock?: PublicAccessBlock;
}

async function authorizer({ configuration = {}, object, accountBlock }: World) {
  const identities = await openTestIdentities(ALICE, new DocumentStore());
  await identities.change(async (write) => {
    await write.users.put(userOf('AIDAUSER', 'user'));
    await write.users.put(userOf('AIDAREADER', 'reader', { inlinePolicies: [inline({ Action: 's3:Get*' })] }));
  });
  const bucket: BucketRecord = {
    bucketId: 1,
    name: 'b',
    owner: ALICE,
    region: 'us-east-1',
    createdAtMs: 0,
    configuration: { ownershipControls: 'ObjectWriter', publicAccessBlock: OPEN, ...configuration },
  };
  const record = object === undefined ? undefined : ({ owner: ALICE, ...object } as unknown as ObjectRecord);
  const getObject = vi.fn(async () => record);
  const store = { getBucket: async () => bucket, getObject };
  return {
    getObject,
    authorizer: new PolicyAuthorizer(
      () => store,
      new Callers(identities),
      undefined,
      () => accountBlock,
    ),
  };
}

async function ask(world: World, request: Partial<AuthorizationRequest>): Promise<string> {
  const whole = {
    principal: ANONYMOUS,
    action: 's3:GetObject',
    bucket: 'b',
    key: 'k',
    context: () => undefined,
    ...request,
  };
  const made = await authorizer(world);
  return await made.authorizer.authorize(whole).then(
    () => 'allowed',
    (error: unknown) => (error as { code: string }).code,
  );
}

describe('an ACL of an object', () => {
  test.each<[string, Grant, Principal, string, string]>([
    ['READ for everybody', toGroup('AllUsers', 'READ'), ANONYMOUS, 's3:GetObject', 'allowed'],
    ['READ for everybody', toGroup('AllUsers', 'READ'), OTHER, 's3:GetObjectVersion', 'allowed'],
    ['READ for everybody', toGroup('AllUsers', 'READ'), USER, 's3:GetObject', 'allowed'],
    ['READ for everybody', toGroup('AllUsers', 'READ'), ANONYMOUS, 's3:GetObjectAcl', 'AccessDenied'],
    ['READ for everybody', toGroup('AllUsers', 'READ'), ANONYMOUS, 's3:GetObjectTagging', 'AccessDenied'],
    ['READ for everybody', toGroup('AllUsers', 'READ'), ANONYMOUS, 's3:DeleteObject', 'AccessDenied'],
    [
      'READ for those with credentials',
      toGroup('AuthenticatedUsers', 'READ'),
      ANONYMOUS,
      's3:GetObject',
      'AccessDenied',
    ],
    ['READ for those with credentials', toGroup('AuthenticatedUsers', 'READ'), OTHER, 's3:GetObject', 'allowed'],
    ['READ for log delivery', toGroup('LogDelivery', 'READ'), OTHER, 's3:GetObject', 'AccessDenied'],
    ['READ for an account', to(BOB, 'READ'), OTHER, 's3:GetObject', 'allowed'],
    ['READ for an account', to(BOB, 'READ'), ANONYMOUS, 's3:GetObject', 'AccessDenied'],
    ['WRITE for an account', to(BOB, 'WRITE'), OTHER, 's3:GetObject', 'AccessDenied'],
    ['READ_ACP for an account', to(BOB, 'READ_ACP'), OTHER, 's3:GetObjectVersionAcl', 'allowed'],
    ['WRITE_ACP for an account', to(BOB, 'WRITE_ACP'), OTHER, 's3:PutObjectAcl', 'allowed'],
    ['FULL_CONTROL for an account', to(BOB, 'FULL_CONTROL'), OTHER, 's3:PutObjectAcl', 'allowed'],
    ['FULL_CONTROL for the own account', to(ALICE, 'FULL_CONTROL'), USER, 's3:GetObject', 'AccessDenied'],
  ])('%s: %o, %j, %s: %s', async (_, grant, principal, action, outcome) => {
    expect(await ask({ object: { acl: [grant] } }, { principal, action })).toBe(outcome);
  });

  test('counts for nothing where ACLs are disabled, and no object is looked at', async () => {
    const world: World = {
      configuration: { ownershipControls: 'BucketOwnerEnforced' },
      object: { acl: [toGroup('AllUsers', 'READ')] },
    };
    const made = await authorizer(world);
    const request = { action: 's3:GetObject', bucket: 'b', key: 'k', context: () => undefined };
    await expect(made.authorizer.authorize({ ...request, principal: ANONYMOUS })).rejects.toMatchObject({
      code: 'AccessDenied',
    });
    await made.authorizer.authorize({ ...request, principal: ROOT });
    await made.authorizer.authorize({ ...request, principal: READER });
    expect(made.getObject).not.toHaveBeenCalled();
  });

  test('public ones are ignored where IgnorePublicAcls holds, in the bucket or its account; others are not', async () => {
    const object = { acl: [toGroup('AllUsers', 'READ'), to(BOB, 'READ')] };
    const ignoring = { ...OPEN, ignorePublicAcls: true };
    for (const world of [
      { object, configuration: { publicAccessBlock: ignoring } },
      { object, accountBlock: ignoring },
    ]) {
      expect(await ask(world, { principal: ANONYMOUS })).toBe('AccessDenied');
      expect(await ask(world, { principal: USER })).toBe('AccessDenied');
      expect(await ask(world, { principal: OTHER })).toBe('allowed');
    }
  });

  test('of an object that is not there gives nothing', async () => {
    expect(await ask({ configuration: { acl: [toGroup('AllUsers', 'FULL_CONTROL')] } }, {})).toBe('AccessDenied');
  });
});

describe('an ACL of a bucket', () => {
  test.each<[AclPermission, string, string]>([
    ['READ', 's3:ListBucket', 'allowed'],
    ['READ', 's3:ListBucketVersions', 'allowed'],
    ['READ', 's3:PutObject', 'AccessDenied'],
    ['READ', 's3:GetObject', 'AccessDenied'],
    ['WRITE', 's3:PutObject', 'allowed'],
    ['WRITE', 's3:DeleteObject', 'AccessDenied'],
    ['WRITE', 's3:ListBucket', 'AccessDenied'],
    ['READ_ACP', 's3:GetBucketAcl', 'allowed'],
    ['WRITE_ACP', 's3:PutBucketAcl', 'allowed'],
    ['FULL_CONTROL', 's3:PutBucketAcl', 'allowed'],
    ['FULL_CONTROL', 's3:PutBucketPolicy', 'AccessDenied'],
    ['FULL_CONTROL', 's3:DeleteBucket', 'AccessDenied'],
  ])('%s: %s is %s, for everybody and for an account', async (permission, action, outcome) => {
    const object = {};
    const forAll = { object, configuration: { acl: [toGroup('AllUsers', permission)] } };
    expect(await ask(forAll, { action })).toBe(outcome);
    const forBob = { object, configuration: { acl: [to(BOB, permission)] } };
    expect(await ask(forBob, { principal: OTHER, action })).toBe(outcome);
    expect(await ask(forBob, { action })).toBe('AccessDenied');
  });

  test('with WRITE a writer may state the ACL of what it uploads, without it nobody may', async () => {
    const upload: Partial<AuthorizationRequest> = { action: 's3:PutObjectAcl', isUpload: true };
    const open = { configuration: { acl: [toGroup('AllUsers', 'WRITE')] }, object: {} };
    expect(await ask(open, upload)).toBe('allowed');
    expect(await ask({ object: { acl: [toGroup('AllUsers', 'FULL_CONTROL')] } }, upload)).toBe('AccessDenied');
  });
});

describe('an object of another account than the bucket', () => {
  const object = { owner: BOB };
  const document = JSON.stringify({
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: ['arn:aws:s3:::b', 'arn:aws:s3:::b/*'] },
  });

  test("is its owner's to read and to share, not the bucket owner's", async () => {
    expect(await ask({ object }, { principal: OTHER })).toBe('allowed');
    for (const action of ['s3:GetObject', 's3:GetObjectAcl', 's3:PutObjectAcl', 's3:GetObjectTagging']) {
      expect(await ask({ object }, { principal: ROOT, action })).toBe('AccessDenied');
    }
    expect(await ask({ object: { ...object, acl: [to(ALICE, 'FULL_CONTROL')] } }, { principal: ROOT })).toBe('allowed');
  });

  test("can be deleted and overwritten by the bucket's owner", async () => {
    for (const action of ['s3:DeleteObject', 's3:PutObject']) {
      expect(await ask({ object }, { principal: ROOT, action })).toBe('allowed');
    }
  });

  test("is not opened by the bucket's policy, but can be closed by it", async () => {
    const policy = { document, bindsOwner: false };
    expect(await ask({ object, configuration: { policy } }, {})).toBe('AccessDenied');
    expect(await ask({ object: {}, configuration: { policy } }, {})).toBe('allowed');
    const denied = { document: document.replace('Allow', 'Deny'), bindsOwner: false };
    expect(await ask({ object, configuration: { policy: denied } }, { principal: OTHER })).toBe('AccessDenied');
  });

  test("becomes the bucket owner's when ACLs are disabled", async () => {
    const configuration = { ownershipControls: 'BucketOwnerEnforced' } as const;
    expect(await ask({ object, configuration }, { principal: ROOT })).toBe('allowed');
    expect(await ask({ object, configuration }, { principal: OTHER })).toBe('AccessDenied');
  });
});

test('where requesters pay, other accounts must say so, and nobody is anonymous', async () => {
  const world: World = {
    configuration: { requestPayment: 'Requester' },
    object: { acl: [toGroup('AllUsers', 'READ')] },
  };
  expect(await ask(world, { principal: OTHER })).toBe('AccessDenied');
  expect(await ask(world, { principal: OTHER, paysAsRequester: () => true })).toBe('allowed');
  expect(await ask(world, { principal: ANONYMOUS, paysAsRequester: () => true })).toBe('AccessDenied');
  expect(await ask(world, { principal: READER })).toBe('allowed');
});
