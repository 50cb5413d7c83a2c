import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketOwnershipControlsCommand,
  DeletePublicAccessBlockCommand,
  GetBucketAclCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketRequestPaymentCommand,
  GetObjectAclCommand,
  type Grant,
  PutBucketAclCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketRequestPaymentCommand,
  PutBucketVersioningCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from '../support/server-process.ts';

const ALL_USERS = 'http://acs.amazonaws.com/groups/global/AllUsers';

let server: TestServer;
let client: S3Client;
let ownerId: string;

beforeAll(async () => {
  server = await TestServer.create({
    environment: { HOLDFAST_OBJECT_OWNERSHIP: 'ObjectWriter', HOLDFAST_BLOCK_PUBLIC_ACCESS: 'false' },
  });
  client = server.client();
  await client.send(new CreateBucketCommand({ Bucket: 'acls' }));
  ownerId = (await client.send(new GetBucketAclCommand({ Bucket: 'acls' }))).Owner!.ID!;
}, 60_000);

afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

function anonymous(path: string, init: RequestInit = {}): Promise<number> {
  return fetch(`${server.endpoint}/${path}`, init).then(async (answer) => {
    await answer.arrayBuffer();
    return answer.status;
  });
}

/** `AllUsers READ`, in the order answered. */
function short(grants: readonly Grant[] | undefined): string[] {
  return (grants ?? []).map(({ Grantee: grantee, Permission: permission }) => {
    const name =
      grantee?.URI === undefined ? (grantee?.ID === ownerId ? 'owner' : grantee?.ID) : grantee.URI.split('/').at(-1);
    return `${name} ${permission}`;
  });
}

async function objectGrants(Key: string, VersionId?: string): Promise<string[]> {
  return short((await client.send(new GetObjectAclCommand({ Bucket: 'acls', Key, VersionId }))).Grants);
}

test.each(['private', 'public-read', 'public-read-write', 'authenticated-read', 'bucket-owner-read'] as const)(
  'an object uploaded with %s has that ACL, and shows it',
  async (ACL) => {
    await client.send(new PutObjectCommand({ Bucket: 'acls', Key: ACL, Body: 'x', ACL }));
    expect(await anonymous(`acls/${ACL}`)).toBe(ACL.startsWith('public') ? 200 : 403);
    const groups = {
      private: [],
      'public-read': ['AllUsers READ'],
      'public-read-write': ['AllUsers READ', 'AllUsers WRITE'],
      'authenticated-read': ['AuthenticatedUsers READ'],
      'bucket-owner-read': [],
    };
    expect(await objectGrants(ACL)).toEqual([...groups[ACL], 'owner FULL_CONTROL']);
  },
);

test('an ACL goes with a multipart upload and not with a copy', async () => {
  const Key = 'parts';
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: 'acls', Key, ACL: 'public-read' }));
  const { ETag } = await client.send(
    new UploadPartCommand({ Bucket: 'acls', Key, UploadId, PartNumber: 1, Body: 'x' }),
  );
  const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
  await client.send(new CompleteMultipartUploadCommand({ Bucket: 'acls', Key, UploadId, MultipartUpload }));
  expect(await anonymous(`acls/${Key}`)).toBe(200);
  await client.send(new CopyObjectCommand({ Bucket: 'acls', Key: 'copy', CopySource: `acls/${Key}` }));
  expect(await anonymous('acls/copy')).toBe(403);
  await client.send(
    new CopyObjectCommand({ Bucket: 'acls', Key: 'copy', CopySource: `acls/${Key}`, ACL: 'public-read' }),
  );
  expect(await anonymous('acls/copy')).toBe(200);
});

test('grants by header and by document are kept as they were put', async () => {
  const granted = {
    GrantRead: `uri="${ALL_USERS}"`,
    GrantFullControl: `id="${ownerId}"`,
    GrantReadACP: `id=${ownerId}`,
  };
  await client.send(new PutObjectCommand({ Bucket: 'acls', Key: 'headers', Body: 'x', ...granted }));
  expect(await objectGrants('headers')).toEqual(['AllUsers READ', 'owner READ_ACP', 'owner FULL_CONTROL']);
  const Grants: Grant[] = [
    { Grantee: { Type: 'CanonicalUser', ID: ownerId }, Permission: 'FULL_CONTROL' },
    { Grantee: { Type: 'Group', URI: ALL_USERS }, Permission: 'READ_ACP' },
  ];
  const AccessControlPolicy = { Owner: { ID: ownerId }, Grants };
  await client.send(new PutObjectAclCommand({ Bucket: 'acls', Key: 'headers', AccessControlPolicy }));
  expect(await objectGrants('headers')).toEqual(['AllUsers READ_ACP', 'owner FULL_CONTROL']);
  expect([await anonymous('acls/headers'), await anonymous('acls/headers?acl')]).toEqual([403, 200]);
});

test('each version has an ACL of its own', async () => {
  const Bucket = 'versions';
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
  const first = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '1' }));
  const second = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '2' }));
  await client.send(new PutObjectAclCommand({ Bucket, Key: 'k', VersionId: first.VersionId, ACL: 'public-read' }));
  expect(await anonymous(`${Bucket}/k?versionId=${first.VersionId}`)).toBe(200);
  expect(await anonymous(`${Bucket}/k?versionId=${second.VersionId}`)).toBe(403);
  expect(await anonymous(`${Bucket}/k`)).toBe(403);
});

test('an ACL of a bucket lists and takes uploads, and a restart forgets neither it nor those of objects', async () => {
  const Bucket = 'open';
  await client.send(new CreateBucketCommand({ Bucket, ACL: 'public-read-write' }));
  expect(await anonymous(Bucket)).toBe(200);
  expect(await anonymous(`${Bucket}/k`, { method: 'PUT', body: 'x' })).toBe(200);
  expect(await anonymous(`${Bucket}/k`)).toBe(403);
  expect(await anonymous(`${Bucket}/k`, { method: 'DELETE' })).toBe(403);
  expect(await anonymous(`${Bucket}/k`, { method: 'PUT', body: 'x', headers: { 'x-amz-acl': 'public-read' } })).toBe(
    200,
  );
  await server.kill();
  await server.start();
  client.destroy();
  client = server.client();
  expect([await anonymous(Bucket), await anonymous(`${Bucket}/k`)]).toEqual([200, 200]);
  await client.send(new PutBucketAclCommand({ Bucket, ACL: 'private' }));
  expect([await anonymous(Bucket), await anonymous(`${Bucket}/k`)]).toEqual([403, 200]);
  expect(short((await client.send(new GetBucketAclCommand({ Bucket }))).Grants)).toEqual(['owner FULL_CONTROL']);
});

test('public ACLs cannot be put, or count for nothing, where they are blocked', async () => {
  const Bucket = 'blocked';
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ACL: 'public-read' }));
  const block = (name: 'BlockPublicAcls' | 'IgnorePublicAcls') =>
    client.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration: { [name]: true } }));
  await block('BlockPublicAcls');
  expect(await anonymous(`${Bucket}/k`)).toBe(200);
  const denied = { name: 'AccessDenied' };
  await expect(client.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read' }))).rejects.toMatchObject(denied);
  await expect(
    client.send(new PutObjectAclCommand({ Bucket, Key: 'k', ACL: 'authenticated-read' })),
  ).rejects.toMatchObject(denied);
  await expect(client.send(new PutObjectCommand({ Bucket, Key: 'l', ACL: 'public-read' }))).rejects.toMatchObject(
    denied,
  );
  await block('IgnorePublicAcls');
  expect(await anonymous(`${Bucket}/k`)).toBe(403);
  await client.send(new DeletePublicAccessBlockCommand({ Bucket }));
  expect(await anonymous(`${Bucket}/k`)).toBe(200);
});

test('ownership controls: without ACLs only the one that holds can be put', async () => {
  const Bucket = 'owned';
  await client.send(new CreateBucketCommand({ Bucket, ObjectOwnership: 'BucketOwnerPreferred', ACL: 'public-read' }));
  const ownership = async (): Promise<string | undefined> =>
    (await client.send(new GetBucketOwnershipControlsCommand({ Bucket }))).OwnershipControls?.Rules?.[0]
      ?.ObjectOwnership;
  expect(await ownership()).toBe('BucketOwnerPreferred');
  const OwnershipControls = { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' as const }] };
  const enforce = (): Promise<unknown> =>
    client.send(new PutBucketOwnershipControlsCommand({ Bucket, OwnershipControls }));
  await expect(enforce()).rejects.toMatchObject({ name: 'InvalidBucketAclWithObjectOwnership' });
  await client.send(new PutBucketAclCommand({ Bucket, ACL: 'private' }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ACL: 'public-read' }));
  expect(await anonymous(`${Bucket}/k`)).toBe(200);
  await enforce();
  expect([await ownership(), await anonymous(`${Bucket}/k`)]).toEqual(['BucketOwnerEnforced', 403]);
  const unsupported = { name: 'AccessControlListNotSupported' };
  for (const ACL of ['public-read', 'authenticated-read'] as const) {
    await expect(client.send(new PutObjectCommand({ Bucket, Key: 'l', ACL }))).rejects.toMatchObject(unsupported);
    await expect(client.send(new PutBucketAclCommand({ Bucket, ACL }))).rejects.toMatchObject(unsupported);
    await expect(client.send(new PutObjectAclCommand({ Bucket, Key: 'k', ACL }))).rejects.toMatchObject(unsupported);
    await expect(client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'l', ACL }))).rejects.toMatchObject(
      unsupported,
    );
  }
  // What holds anyway: rclone says it with each upload.
  for (const ACL of ['private', 'bucket-owner-full-control'] as const) {
    await client.send(new PutObjectCommand({ Bucket, Key: 'l', Body: 'x', ACL }));
    await client.send(new PutObjectAclCommand({ Bucket, Key: 'l', ACL }));
  }
  await client.send(new PutBucketAclCommand({ Bucket, ACL: 'private' }));
  await client.send(new DeleteBucketOwnershipControlsCommand({ Bucket }));
  await expect(ownership()).rejects.toMatchObject({ name: 'OwnershipControlsNotFoundError' });
  expect(await anonymous(`${Bucket}/k`)).toBe(200);
});

test.each<[string, Partial<ConstructorParameters<typeof PutBucketAclCommand>[0]>, string]>([
  ['an unknown account', { GrantRead: 'id="nobody"' }, 'InvalidArgument'],
  ['an e-mail address', { GrantRead: 'emailAddress="a@b.example"' }, 'UnresolvableGrantByEmailAddress'],
  ['an unknown group', { GrantRead: 'uri="http://example.com/group"' }, 'InvalidArgument'],
  ['no form at all', { GrantRead: 'everybody' }, 'InvalidArgument'],
  ['two ways at once', { GrantRead: `uri="${ALL_USERS}"`, ACL: 'private' }, 'InvalidRequest'],
  ['another owner', { AccessControlPolicy: { Owner: { ID: 'x' }, Grants: [] } }, 'AccessDenied'],
  ['no owner', { AccessControlPolicy: { Grants: [] } }, 'MalformedACLError'],
  [
    'an unknown permission',
    {
      AccessControlPolicy: {
        Owner: { ID: 'x' },
        Grants: [{ Grantee: { Type: 'CanonicalUser', ID: 'x' }, Permission: 'ALL' as 'READ' }],
      },
    },
    'MalformedACLError',
  ],
])('an ACL is refused with %s', async (_, acl, name) => {
  await expect(client.send(new PutBucketAclCommand({ Bucket: 'acls', ...acl }))).rejects.toMatchObject({ name });
});

test('request payment is kept; anonymous callers are refused where requesters pay', async () => {
  const Bucket = 'paid';
  await client.send(new CreateBucketCommand({ Bucket, ACL: 'public-read' }));
  const payer = async (): Promise<unknown> => (await client.send(new GetBucketRequestPaymentCommand({ Bucket }))).Payer;
  const set = (Payer: 'Requester' | 'BucketOwner'): Promise<unknown> =>
    client.send(new PutBucketRequestPaymentCommand({ Bucket, RequestPaymentConfiguration: { Payer } }));
  expect([await payer(), await anonymous(Bucket)]).toEqual(['BucketOwner', 200]);
  await set('Requester');
  expect([await payer(), await anonymous(Bucket)]).toEqual(['Requester', 403]);
  await set('BucketOwner');
  expect([await payer(), await anonymous(Bucket)]).toEqual(['BucketOwner', 200]);
});

test('an upload that is given up leaves no ACL behind', async () => {
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ Bucket: 'acls', Key: 'gone', ACL: 'public-read' }),
  );
  await client.send(new AbortMultipartUploadCommand({ Bucket: 'acls', Key: 'gone', UploadId }));
  await client.send(new PutObjectCommand({ Bucket: 'acls', Key: 'gone', Body: 'x' }));
  expect(await anonymous('acls/gone')).toBe(403);
});
