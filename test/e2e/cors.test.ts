import {
  CreateBucketCommand,
  DeleteBucketCorsCommand,
  GetBucketCorsCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
  type CORSRule,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from '../support/server-process.ts';

const Bucket = 'shared';
const ORIGIN = 'https://app.example';
const RULES: CORSRule[] = [
  {
    ID: 'app',
    AllowedOrigins: [ORIGIN],
    AllowedMethods: ['GET', 'PUT'],
    AllowedHeaders: ['content-type', 'x-amz-*'],
    ExposeHeaders: ['ETag', 'x-amz-request-id'],
    MaxAgeSeconds: 600,
  },
  { AllowedOrigins: ['*'], AllowedMethods: ['HEAD'] },
];

let server: TestServer;
let client: S3Client;

beforeAll(async () => {
  server = await TestServer.create();
  client = server.client();
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules: RULES } }));
}, 180_000);

afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

function preflight(path: string, headers: Record<string, string>): Promise<Response> {
  return fetch(`${server.endpoint}/${path}`, { method: 'OPTIONS', headers });
}

test('rules come back as they were put', async () => {
  const { CORSRules } = await client.send(new GetBucketCorsCommand({ Bucket }));
  expect(CORSRules).toMatchObject(RULES);
});

test('a preflight is answered without credentials, by the first rule that matches', async () => {
  const answer = await preflight(`${Bucket}/any/key`, {
    origin: ORIGIN,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'Content-Type, x-amz-date',
  });
  expect(answer.status).toBe(200);
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    'access-control-allow-origin': ORIGIN,
    'access-control-allow-methods': 'GET, PUT',
    'access-control-allow-headers': 'content-type, x-amz-date',
    'access-control-allow-credentials': 'true',
    'access-control-max-age': '600',
    vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
  });
});

test.each<[string, string, Record<string, string>, number]>([
  ['another origin', `${Bucket}/k`, { origin: 'https://evil.example', 'access-control-request-method': 'PUT' }, 403],
  ['another method', `${Bucket}/k`, { origin: ORIGIN, 'access-control-request-method': 'DELETE' }, 403],
  [
    'a header that is not allowed',
    `${Bucket}/k`,
    { origin: ORIGIN, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization' },
    403,
  ],
  ['no origin', `${Bucket}/k`, { 'access-control-request-method': 'PUT' }, 400],
  ['no method', `${Bucket}/k`, { origin: ORIGIN }, 400],
  ['a bucket that is not there', 'missing/k', { origin: ORIGIN, 'access-control-request-method': 'PUT' }, 404],
])('a preflight is refused: %s', async (_, path, headers, status) => {
  const answer = await preflight(path, headers);
  expect(answer.status).toBe(status);
  expect(answer.headers.has('access-control-allow-origin')).toBe(false);
});

test('a preflight of a presigned URL is answered: its signature is that of the upload to come', async () => {
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: 'up' }));
  const headers = { origin: ORIGIN, 'access-control-request-method': 'PUT' };
  const answer = await fetch(url, { method: 'OPTIONS', headers });
  expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, ORIGIN]);
  expect((await fetch(url, { method: 'PUT', body: 'x', headers: { origin: ORIGIN } })).status).toBe(200);
});

test('a presigned upload from a page, and the errors of it, are shown to that page', async () => {
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: 'up' }));
  const put = await fetch(url, { method: 'PUT', body: 'body', headers: { origin: ORIGIN } });
  expect(put.status).toBe(200);
  expect(Object.fromEntries(put.headers)).toMatchObject({
    'access-control-allow-origin': ORIGIN,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'ETag, x-amz-request-id',
  });
  const denied = await fetch(`${server.endpoint}/${Bucket}/up`, { headers: { origin: ORIGIN } });
  expect(denied.status).toBe(403);
  expect(denied.headers.get('access-control-allow-origin')).toBe(ORIGIN);
  const stranger = await fetch(`${server.endpoint}/${Bucket}/up`, { headers: { origin: 'https://evil.example' } });
  expect(stranger.headers.has('access-control-allow-origin')).toBe(false);
  expect(stranger.headers.get('vary')).toContain('Origin');
});

test.each<[string, CORSRule, string]>([
  ['an unknown method', { AllowedOrigins: ['*'], AllowedMethods: ['PATCH'] }, 'InvalidRequest'],
  ['two wildcards', { AllowedOrigins: ['*a*'], AllowedMethods: ['GET'] }, 'InvalidRequest'],
  [
    'a wildcard in ExposeHeader',
    { AllowedOrigins: ['*'], AllowedMethods: ['GET'], ExposeHeaders: ['*'] },
    'InvalidRequest',
  ],
  [
    'a header that would split the answer',
    { AllowedOrigins: ['*'], AllowedMethods: ['GET'], ExposeHeaders: ['a\r\nb: c'] },
    'InvalidRequest',
  ],
  ['no origin', { AllowedOrigins: [], AllowedMethods: ['GET'] }, 'MalformedXML'],
])('refused when put: %s', async (_, rule, code) => {
  const put = client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules: [rule] } }));
  await expect(put).rejects.toMatchObject({ name: code });
});

test('without a configuration nothing is shared', async () => {
  const other = 'alone';
  await client.send(new CreateBucketCommand({ Bucket: other }));
  await client.send(new PutBucketCorsCommand({ Bucket: other, CORSConfiguration: { CORSRules: RULES } }));
  await client.send(new DeleteBucketCorsCommand({ Bucket: other }));
  const get = client.send(new GetBucketCorsCommand({ Bucket: other }));
  await expect(get).rejects.toMatchObject({ name: 'NoSuchCORSConfiguration' });
  const answer = await preflight(`${other}/k`, { origin: ORIGIN, 'access-control-request-method': 'PUT' });
  expect(answer.status).toBe(403);
});
