import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3TestServer } from '../../../support/s3-test-server.ts';

const server = new S3TestServer();
beforeAll(async () => {
  await server.start();
  await server.createBucket('bucket');
});
afterAll(() => server.stop());

test.each([
  ['analytics&id=x', 'NoSuchConfiguration'],
  ['cors', 'NoSuchCORSConfiguration'],
  ['encryption', 'ServerSideEncryptionConfigurationNotFoundError'],
  ['intelligent-tiering&id=x', 'NoSuchConfiguration'],
  ['inventory&id=x', 'NoSuchConfiguration'],
  ['lifecycle', 'NoSuchLifecycleConfiguration'],
  ['metadataConfiguration', 'MetadataConfigurationNotFound'],
  ['metadataTable', 'MetadataConfigurationNotFound'],
  ['metrics&id=x', 'NoSuchConfiguration'],
  ['object-lock', 'ObjectLockConfigurationNotFoundError'],
  ['policy', 'NoSuchBucketPolicy'],
  ['policyStatus', 'NoSuchBucketPolicy'],
  ['replication', 'ReplicationConfigurationNotFoundError'],
  ['tagging', 'NoSuchTagSet'],
  ['website', 'NoSuchWebsiteConfiguration'],
])('GET ?%s of a bucket where nothing is set is 404 %s', async (query, code) => {
  const { status, body } = await server.request('GET', `/bucket?${query}`);
  expect(status).toBe(404);
  expect(body).toContain(`<Code>${code}</Code>`);
  expect(body).toContain('<BucketName>bucket</BucketName>');
});

const XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

test.each([
  ['abac', `<AbacStatus ${XMLNS}><Status>Disabled</Status></AbacStatus>`],
  ['accelerate', `<AccelerateConfiguration ${XMLNS}/>`],
  [
    'analytics',
    `<ListBucketAnalyticsConfigurationResult ${XMLNS}><IsTruncated>false</IsTruncated></ListBucketAnalyticsConfigurationResult>`,
  ],
  ['logging', `<BucketLoggingStatus ${XMLNS}/>`],
  ['notification', `<NotificationConfiguration ${XMLNS}/>`],
  [
    'ownershipControls',
    `<OwnershipControls ${XMLNS}><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`,
  ],
  [
    'publicAccessBlock',
    `<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets>`,
  ],
  ['requestPayment', `<RequestPaymentConfiguration ${XMLNS}><Payer>BucketOwner</Payer></RequestPaymentConfiguration>`],
  ['versioning', `<VersioningConfiguration ${XMLNS}/>`],
  ['acl', '<Permission>FULL_CONTROL</Permission>'],
])('GET ?%s of a bucket where nothing is set', async (query, expected) => {
  const { status, body, headers } = await server.request('GET', `/bucket?${query}`);
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('application/xml');
  expect(body).toContain(expected);
});

test('every such read of a bucket that does not exist is NoSuchBucket', async () => {
  for (const query of ['cors', 'versioning', 'acl', 'location', 'policy', 'tagging', 'logging', 'inventory']) {
    expect((await server.request('GET', `/missing-bucket?${query}`)).body).toContain('<Code>NoSuchBucket</Code>');
  }
  expect((await server.request('GET', '/missing-bucket/key?retention')).body).toContain('<Code>NoSuchBucket</Code>');
});

test('GetObjectRetention and GetObjectLegalHold say that the bucket has no Object Lock', async () => {
  for (const query of ['retention', 'legal-hold']) {
    const { status, body } = await server.request('GET', `/bucket/key?${query}`);
    expect(status).toBe(400);
    expect(body).toContain('Bucket is missing Object Lock Configuration');
  }
});

test('PutBucketAcl takes the ACL that holds, and no other while ACLs are disabled', async () => {
  const put = (headers: Record<string, string>, body = ''): ReturnType<typeof server.request> =>
    server.request('PUT', '/bucket?acl', { headers, body });
  expect((await put({ 'x-amz-acl': 'bucket-owner-full-control' })).status).toBe(200);
  expect((await put({ 'x-amz-acl': 'private' })).status).toBe(200);
  expect((await put({ 'x-amz-acl': 'public-read' })).body).toContain('<Code>AccessControlListNotSupported</Code>');
  expect((await put({ 'x-amz-acl': 'nonsense' })).body).toContain('<Code>InvalidArgument</Code>');
  expect((await put({}, '<AccessControlPolicy/>')).body).toContain('<Code>MalformedACLError</Code>');
  expect((await put({})).body).toContain('<Code>MissingSecurityHeader</Code>');
});
