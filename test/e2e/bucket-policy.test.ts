import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  DeletePublicAccessBlockCommand,
  GetBucketPolicyCommand,
  GetBucketPolicyStatusCommand,
  GetObjectCommand,
  GetPublicAccessBlockCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from '../support/server-process.ts';

let server: TestServer;
let client: S3Client;

beforeAll(async () => {
  server = await TestServer.create();
  client = server.client();
}, 180_000);

afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

function policy(Bucket: string, statement: Record<string, unknown>): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*`, ...statement },
    ],
  });
}

async function putPolicy(Bucket: string, statement: Record<string, unknown>): Promise<void> {
  await client.send(new PutBucketPolicyCommand({ Bucket, Policy: policy(Bucket, statement) }));
}

/** Status and code of a request without credentials. */
async function anonymous(path: string, init: RequestInit = {}): Promise<string> {
  const answer = await fetch(`${server.endpoint}/${path}`, init);
  const code = /<Code>(.*?)<\/Code>/.exec(await answer.text())?.[1];
  return code === undefined ? String(answer.status) : `${answer.status} ${code}`;
}

/** With an object `k` and public policies allowed. */
async function openBucket(Bucket: string): Promise<void> {
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'body' }));
  await client.send(new DeletePublicAccessBlockCommand({ Bucket }));
}

test('a bucket is private, and cannot be made public before its owner takes the blocks away', async () => {
  const Bucket = 'private';
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'body' }));
  expect(await anonymous('private/k')).toBe('403 AccessDenied');
  await expect(putPolicy(Bucket, {})).rejects.toMatchObject({ name: 'AccessDenied' });
  const { PublicAccessBlockConfiguration: block } = await client.send(new GetPublicAccessBlockCommand({ Bucket }));
  expect(block).toEqual({
    BlockPublicAcls: true,
    IgnorePublicAcls: true,
    BlockPublicPolicy: true,
    RestrictPublicBuckets: true,
  });
});

test('a policy opens what it names to everybody, and only that', async () => {
  const Bucket = 'public';
  await openBucket(Bucket);
  await putPolicy(Bucket, {});
  expect(await anonymous('public/k')).toBe('200');
  expect(await anonymous('public/k', { method: 'PUT', body: 'x' })).toBe('403 AccessDenied');
  expect(await anonymous('public/k', { method: 'DELETE' })).toBe('403 AccessDenied');
  expect(await anonymous('public')).toBe('403 AccessDenied');
  expect(await anonymous('public?policy')).toBe('403 AccessDenied');
  const status = await client.send(new GetBucketPolicyStatusCommand({ Bucket }));
  expect(status.PolicyStatus?.IsPublic).toBe(true);
  const { Policy } = await client.send(new GetBucketPolicyCommand({ Bucket }));
  expect(Policy).toBe(policy(Bucket, {}));
});

test('a missing key is told only to those who may list it', async () => {
  const Bucket = 'listing';
  await openBucket(Bucket);
  await putPolicy(Bucket, {});
  expect(await anonymous('listing/missing')).toBe('403 AccessDenied');
  const Statement = [
    { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` },
    {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:ListBucket',
      Resource: `arn:aws:s3:::${Bucket}`,
      Condition: { StringLike: { 's3:prefix': 'open/*' } },
    },
  ];
  await client.send(
    new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
  );
  expect(await anonymous('listing/open/missing')).toBe('404 NoSuchKey');
  expect(await anonymous('listing/shut/missing')).toBe('403 AccessDenied');
  expect(await anonymous('listing?list-type=2&prefix=open/')).toBe('200');
  expect(await anonymous('listing?list-type=2')).toBe('403 AccessDenied');
  await expect(client.send(new GetObjectCommand({ Bucket, Key: 'shut/missing' }))).rejects.toMatchObject({
    name: 'NoSuchKey',
  });
});

test('each key of a DeleteObjects is asked for', async () => {
  const Bucket = 'deleting';
  await openBucket(Bucket);
  await putPolicy(Bucket, { Action: 's3:DeleteObject', Resource: `arn:aws:s3:::${Bucket}/open/*` });
  const body = '<Delete><Object><Key>k</Key></Object><Object><Key>open/k</Key></Object></Delete>';
  const { createHash } = await import('node:crypto');
  const answer = await fetch(`${server.endpoint}/${Bucket}?delete`, {
    method: 'POST',
    body,
    headers: { 'content-md5': createHash('md5').update(body).digest('base64') },
  });
  const text = await answer.text();
  expect(text).toContain('<Deleted><Key>open/k</Key></Deleted>');
  expect(text).toContain('<Error><Key>k</Key><Code>AccessDenied</Code>');
  expect(await (await client.send(new GetObjectCommand({ Bucket, Key: 'k' }))).Body?.transformToString()).toBe('body');
});

test('what a condition asks of the request is the request', async () => {
  const Bucket = 'conditions';
  await openBucket(Bucket);
  await putPolicy(Bucket, { Condition: { IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } } });
  expect(await anonymous('conditions/k')).toBe('200');
  await putPolicy(Bucket, { Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } });
  expect(await anonymous('conditions/k', { headers: { 'x-forwarded-for': '192.0.2.1' } })).toBe('403 AccessDenied');
  await putPolicy(Bucket, { Condition: { Bool: { 'aws:SecureTransport': 'true' } } });
  expect(await anonymous('conditions/k', { headers: { 'x-forwarded-proto': 'https' } })).toBe('403 AccessDenied');
});

test('the next request sees a changed policy, and a bucket made again inherits nothing', async () => {
  const Bucket = 'again';
  await openBucket(Bucket);
  await putPolicy(Bucket, {});
  expect(await anonymous('again/k')).toBe('200');
  await client.send(new DeleteBucketPolicyCommand({ Bucket }));
  expect(await anonymous('again/k')).toBe('403 AccessDenied');
  await putPolicy(Bucket, {});
  await client.send(
    new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration: { RestrictPublicBuckets: true } }),
  );
  expect(await anonymous('again/k')).toBe('403 AccessDenied');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  await client.send(new DeleteBucketCommand({ Bucket }));
  expect(await anonymous('again/k')).toBe('404 NoSuchBucket');
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'new' }));
  expect(await anonymous('again/k')).toBe('403 AccessDenied');
  await expect(client.send(new GetBucketPolicyCommand({ Bucket }))).rejects.toMatchObject({
    name: 'NoSuchBucketPolicy',
  });
});

test('a Deny holds for root too, who can still take the policy away', async () => {
  const Bucket = 'denied';
  await openBucket(Bucket);
  await putPolicy(Bucket, {
    Effect: 'Deny',
    Action: 's3:*',
    Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`],
  });
  await expect(client.send(new GetObjectCommand({ Bucket, Key: 'k' }))).rejects.toMatchObject({ name: 'AccessDenied' });
  await client.send(new DeleteBucketPolicyCommand({ Bucket }));
  await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
});

test.each([
  ['no JSON', '{'],
  [
    'another bucket',
    JSON.stringify({
      Statement: { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::other/*' },
    }),
  ],
  [
    'an unknown action',
    JSON.stringify({
      Statement: { Effect: 'Deny', Principal: '*', Action: 's3:Fly', Resource: 'arn:aws:s3:::malformed/*' },
    }),
  ],
])('a policy that is not one is MalformedPolicy: %s', async (_, Policy) => {
  const Bucket = 'malformed';
  await client.send(new CreateBucketCommand({ Bucket }));
  await expect(client.send(new PutBucketPolicyCommand({ Bucket, Policy }))).rejects.toMatchObject({
    name: 'MalformedPolicy',
  });
});
