import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StoreError } from '../../../src/errors/store-error.ts';
import type { ObjectService } from '../../../src/service/objects.ts';
import { ACCESS_KEY, S3TestServer } from '../../support/s3-test-server.ts';

let failWith: Error = new Error('not set');
const failingObjects = new Proxy(
  {},
  {
    get: () => async () => {
      throw failWith;
    },
  },
) as ObjectService;

const server = new S3TestServer({ objects: failingObjects });
beforeAll(async () => {
  await server.start();
  await server.createBucket('bucket');
});
afterAll(() => server.stop());

test('every answer carries x-amz-request-id and x-amz-id-2, and the log line the same id', async () => {
  const { status, headers } = await server.request('GET', '/');
  expect(status).toBe(200);
  expect(headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/);
  expect(headers['x-amz-id-2']).toMatch(/^[A-Za-z0-9+/=]{20,}$/);
  expect(headers['date']).toBeDefined();
  expect(headers['server']).toBe('Holdfast');
  const line = server.lines.find(({ fields }) => fields['requestId'] === headers['x-amz-request-id']);
  expect(line?.fields).toMatchObject({ operation: 'ListBuckets', status: 200, accessKeyId: 'AKIDEXAMPLE' });
});

test('an error is S3 XML with Code, Message, details, Resource, RequestId and HostId', async () => {
  const { status, headers, body } = await server.request('GET', '/no-such-bucket?location');
  expect(status).toBe(404);
  expect(headers['content-type']).toBe('application/xml');
  const requestId = String(headers['x-amz-request-id']);
  expect(body).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchBucket</Code>' +
      '<Message>The specified bucket does not exist</Message><BucketName>no-such-bucket</BucketName>' +
      `<Resource>/no-such-bucket</Resource><RequestId>${requestId}</RequestId><HostId>${String(headers['x-amz-id-2'])}</HostId></Error>`,
  );
});

test('an error of a HEAD has no body', async () => {
  const { status, body, headers } = await server.request('HEAD', '/no-such-bucket');
  expect([status, body]).toEqual([404, '']);
  expect(headers['x-amz-request-id']).toBeDefined();
});

test('an anonymous request is denied before any service is reached', async () => {
  failWith = new Error('objects were reached');
  const { status, body } = await server.request('GET', '/bucket/key', { isSigned: false });
  expect(status).toBe(403);
  expect(body).toContain('<Code>AccessDenied</Code>');
});

test('a wrong signature is denied before any service is reached', async () => {
  const { status, body } = await server.request('GET', '/bucket/key', {
    isSigned: false,
    headers: {
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=' +
        '0'.repeat(64),
      'x-amz-date': '20260101T000000Z',
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
    },
  });
  expect(status).toBe(403);
  expect(body).toMatch(/<Code>(RequestTimeTooSkewed|SignatureDoesNotMatch)<\/Code>/);
});

test('an operation that is not implemented is answered 501 with its name', async () => {
  const { status, body } = await server.request('PUT', '/bucket?website', { body: '<WebsiteConfiguration/>' });
  expect(status).toBe(501);
  expect(body).toContain('<Code>NotImplemented</Code><Message>PutBucketWebsite is not implemented</Message>');
});

test.each([
  ['x-amz-object-lock-event-hold', 'ON'],
  ['x-amz-website-redirect-location', '/elsewhere'],
])('PutObject with %s: %s is answered 501 and stores nothing', async (name, value) => {
  failWith = new Error('objects were reached');
  const { status, body } = await server.request('PUT', '/bucket/key', { headers: { [name]: value }, body: 'x' });
  expect(status).toBe(501);
  expect(body).toContain(`<Header>${name}</Header>`);
});

test.each([
  ['QuorumLost', 503, 'ServiceUnavailable'],
  ['Undecided', 503, 'ServiceUnavailable'],
  ['IndexFailed', 503, 'ServiceUnavailable'],
  ['Overloaded', 503, 'SlowDown'],
  ['DiskFull', 507, 'InsufficientStorage'],
  ['TooFewShards', 500, 'InternalError'],
] as const)('a store that fails with %s is answered %i %s', async (storeCode, expectedStatus, expectedCode) => {
  failWith = new StoreError(storeCode, 'planted', { hint: 'replace the disk' });
  const { status, body, headers } = await server.request('GET', '/bucket/key');
  expect(status).toBe(expectedStatus);
  expect(body).toContain(`<Code>${expectedCode}</Code>`);
  expect(headers['retry-after'] !== undefined).toBe(expectedStatus === 503);
  expect(body).not.toContain('planted');
  const id = headers['x-amz-request-id'];
  expect(server.lines.find(({ level, fields }) => level === 'warn' && fields['requestId'] === id)).toBeDefined();
  expect(
    server.lines.find(({ message, fields }) => message === 'request' && fields['requestId'] === id)?.fields,
  ).toMatchObject({
    code: expectedCode,
    hint: 'replace the disk',
  });
});

test('a bug is answered InternalError and logged as an error, without its words', async () => {
  failWith = new TypeError('secret inner words');
  const { status, body, headers } = await server.request('GET', '/bucket/key');
  expect(status).toBe(500);
  expect(body).toContain('<Code>InternalError</Code>');
  expect(body).not.toContain('secret inner words');
  const id = headers['x-amz-request-id'];
  expect(server.lines.find(({ level, fields }) => level === 'error' && fields['requestId'] === id)).toBeDefined();
});

test.each([
  ['111111111111', 200, undefined],
  ['222222222222', 403, 'AccessDenied'],
  ['alice', 400, 'InvalidBucketOwnerAWSAccountID'],
])('x-amz-expected-bucket-owner %s is answered %i', async (owner, expectedStatus, code) => {
  const headers = { 'x-amz-expected-bucket-owner': owner };
  const { status, body } = await server.request('GET', '/bucket?versioning', { headers });
  expect(status).toBe(expectedStatus);
  if (code !== undefined) expect(body).toContain(`<Code>${code}</Code>`);
});

test('the owner of the source bucket is checked as well', async () => {
  const headers = { 'x-amz-copy-source': '/bucket/source', 'x-amz-source-expected-bucket-owner': '222222222222' };
  failWith = new Error('objects were reached');
  const { status } = await server.request('PUT', '/bucket/key', { headers });
  expect(status).toBe(403);
});

test('CopyObject asks the authorizer for the source too', async () => {
  server.authorizations.length = 0;
  await server.request('PUT', '/bucket/key', { headers: { 'x-amz-copy-source': 'other/a%20b?versionId=null' } });
  expect(server.authorizations.map(({ action, bucket, key }) => [action, bucket, key])).toEqual([
    ['s3:PutObject', 'bucket', 'key'],
    ['s3:GetObjectVersion', 'other', 'a b'],
  ]);
});

test('PutObject with tags asks for s3:PutObjectTagging, GetObject of a version for s3:GetObjectVersion', async () => {
  server.authorizations.length = 0;
  await server.request('PUT', '/bucket/key', { headers: { 'x-amz-tagging': 'a=b' }, body: 'x' });
  await server.request('GET', '/bucket/key?versionId=null');
  expect(server.authorizations.map(({ action }) => action)).toEqual([
    's3:PutObject',
    's3:PutObjectTagging',
    's3:GetObjectVersion',
  ]);
});

test('x-amz-bypass-governance-retention asks for its own permission', async () => {
  server.authorizations.length = 0;
  await server.request('DELETE', '/bucket/key', { headers: { 'x-amz-bypass-governance-retention': 'true' } });
  expect(server.authorizations.map(({ action }) => action)).toEqual([
    's3:DeleteObject',
    's3:BypassGovernanceRetention',
  ]);
});

test('a lock in headers asks for the permission to set each part of it', async () => {
  server.authorizations.length = 0;
  const lock = {
    'x-amz-object-lock-mode': 'GOVERNANCE',
    'x-amz-object-lock-retain-until-date': '2099-01-01T00:00:00Z',
    'x-amz-object-lock-legal-hold': 'ON',
  };
  await server.request('PUT', '/bucket/key', { headers: lock, body: 'x' });
  await server.request('PUT', '/locked-bucket', { headers: { 'x-amz-bucket-object-lock-enabled': 'True' } });
  expect(server.authorizations.map(({ action }) => action)).toEqual([
    's3:PutObject',
    's3:PutObjectRetention',
    's3:PutObjectLegalHold',
    's3:CreateBucket',
    's3:PutBucketObjectLockConfiguration',
    's3:PutBucketVersioning',
  ]);
});

test('DeleteObjects asks to bypass governance for each key', async () => {
  server.authorizations.length = 0;
  const body = '<Delete><Object><Key>a</Key><VersionId>v</VersionId></Object></Delete>';
  const contentMd5 = createHash('md5').update(body).digest('base64');
  const headers = { 'content-md5': contentMd5, 'x-amz-bypass-governance-retention': 'true' };
  await server.request('POST', '/bucket?delete', { headers, body });
  expect(server.authorizations.map(({ action, key }) => [action, key])).toEqual([
    ['s3:DeleteObjectVersion', 'a'],
    ['s3:BypassGovernanceRetention', 'a'],
  ]);
});

test('an uploadId never turns into a PutObject', async () => {
  failWith = new Error('objects were reached');
  const { status, body } = await server.request('PUT', '/bucket/key?uploadId=x', { body: 'x' });
  expect(status).toBe(400);
  expect(body).toContain('<Code>InvalidArgument</Code>');
});

test('before recovery is over every request is answered 503 with Retry-After', async () => {
  const { services } = server;
  server.services = undefined;
  try {
    const { status, headers, body } = await server.request('GET', '/bucket/key');
    expect(status).toBe(503);
    expect(headers['retry-after']).toBe('2');
    expect(body).toContain('<Code>ServiceUnavailable</Code>');
  } finally {
    server.services = services;
  }
});

test('a repeated security header is answered 400', async () => {
  const { status } = await server.request('GET', '/bucket', {
    isSigned: false,
    headers: { 'x-amz-date': ['a', 'b'] as never },
  });
  expect(status).toBe(400);
});

test('a refused upload gets its answer although its body was not read', async () => {
  const body = Buffer.alloc(512 * 1024);
  const { status } = await server.request('PUT', '/no-such-bucket/key?uploadId=x', { body });
  expect(status).toBe(400);
});

test('a presigned query that carries a copy source is a CopyObject, with everything that it needs', async () => {
  failWith = new Error('objects were reached');
  server.authorizations.length = 0;
  const path = server.presign(
    'PUT',
    '/bucket/key?x-amz-copy-source=other%2Fsecret&x-amz-source-expected-bucket-owner=222222222222',
  );
  const { body } = await server.request('PUT', path, { isSigned: false });
  expect(server.authorizations.map(({ action, bucket }) => [action, bucket])).toEqual([
    ['s3:PutObject', 'bucket'],
    ['s3:GetObject', 'other'],
  ]);
  expect(body).toContain('<Code>NoSuchBucket</Code>');
});

test('a presigned query with an input that is not implemented is answered 501', async () => {
  const path = server.presign('PUT', '/bucket/key?x-amz-object-lock-event-hold=ON');
  const { status } = await server.request('PUT', path, { isSigned: false });
  expect(status).toBe(501);
});

test('sec_unsigned_copy_source__CVE_2026_97731: a header added to a presigned URL is refused', async () => {
  failWith = new Error('objects were reached');
  const path = server.presign('PUT', '/bucket/key');
  for (const name of ['x-amz-copy-source', 'x-amz-acl', 'x-amz-tagging', 'x-amz-meta-a', 'x-amz-storage-class']) {
    const { status, body } = await server.request('PUT', path, {
      isSigned: false,
      headers: { [name]: 'bucket/other' },
    });
    expect([name, status]).toEqual([name, 403]);
    expect(body).toContain('<Code>AccessDenied</Code>');
  }
});

test('no secret and no signature is ever logged', async () => {
  await server.request('GET', '/bucket/key', {
    isSigned: false,
    headers: { 'x-amz-date': '20260101T000000Z', authorization: 'AWS4-HMAC-SHA256 Credential=nonsense' },
  });
  await server.request('GET', `${server.presign('GET', '/bucket/key')}0`, { isSigned: false });
  const logged = JSON.stringify(server.lines);
  expect(logged).toContain('SignatureDoesNotMatch');
  expect(logged).not.toContain(ACCESS_KEY.secretAccessKey);
  expect(logged).not.toMatch(/[0-9a-f]{64}/);
  expect(logged).not.toContain('X-Amz-Signature');
});
