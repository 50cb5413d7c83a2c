import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3Error } from '../../../src/errors/s3-error.ts';
import type { ObjectService } from '../../../src/service/objects.ts';
import { ALICE } from '../../support/metadata-fixtures.ts';
import { S3TestServer } from '../../support/s3-test-server.ts';

/** What gets past the authorizer is a key that is missing, or done. */
const objects = {
  changeVersion: async () => ({ versionId: 'null' }),
  deleteObjects: async (_bucket: unknown, requests: readonly { key: string }[]) =>
    requests.map((request) => ({ request, deleted: { isDeleteMarker: false } })),
  inspectObject: async () => {
    throw new S3Error('PreconditionFailed');
  },
  copyObject: async () => {
    throw new S3Error('PreconditionFailed');
  },
} as unknown as ObjectService;
const server = new S3TestServer({ objects });
beforeAll(() => server.start());
afterAll(() => server.stop());

type Statement = Record<string, unknown> & { Action: string | readonly string[] };
let count = 0;

/** A bucket that everybody may use as these statements say. */
async function openBucket(...statements: readonly Statement[]): Promise<string> {
  const name = `bucket-${++count}`;
  const arn = `arn:aws:s3:::${name}`;
  const common = { Effect: 'Allow', Principal: '*', Resource: [arn, `${arn}/*`] };
  const whole = statements.map((statement) => ({ ...common, ...statement }));
  const document = JSON.stringify({ Version: '2012-10-17', Statement: whole });
  await server.services!.buckets.createBucket({
    name,
    owner: ALICE,
    locationConstraint: undefined,
    configuration: { publicAccessBlock: 'none', policy: { document, bindsOwner: false } },
  });
  return name;
}

async function anonymous(
  method: string,
  path: string,
  { headers = {}, body = '' }: { headers?: Record<string, string>; body?: string } = {},
): Promise<string> {
  const md5 = createHash('md5').update(body).digest('base64');
  const withDigest = body === '' ? headers : { ...headers, 'content-md5': md5 };
  const answer = await server.request(method, path, { headers: withDigest, body, isSigned: false });
  const code = /<Code>(.*?)<\/Code>/.exec(answer.body)?.[1];
  return code ?? String(answer.status);
}

function tagging(key: string, value: string): string {
  return `<Tagging><TagSet><Tag><Key>${key}</Key><Value>${value}</Value></Tag></TagSet></Tagging>`;
}

test('conditions on requested tags look at the body of PutObjectTagging, never at its headers', async () => {
  const one = await openBucket({
    Action: 's3:PutObjectTagging',
    Condition: { StringEquals: { 's3:RequestObjectTag/team': 'red' } },
  });
  expect(await anonymous('PUT', `/${one}/k?tagging`, { body: tagging('team', 'red') })).toBe('200');
  for (const headers of [{}, { 'x-amz-tagging': 'team=red' }]) {
    expect(await anonymous('PUT', `/${one}/k?tagging`, { headers, body: tagging('team', 'blue') })).toBe(
      'AccessDenied',
    );
    expect(await anonymous('PUT', `/${one}/k?tagging`, { headers, body: tagging('x', 'red') })).toBe('AccessDenied');
  }
  const two = await openBucket({
    Action: 's3:PutObjectTagging',
    Condition: { 'ForAllValues:StringEquals': { 's3:RequestObjectTagKeys': ['team'] } },
  });
  expect(await anonymous('PUT', `/${two}/k?tagging`, { body: tagging('team', 'red') })).toBe('200');
  expect(await anonymous('PUT', `/${two}/k?tagging`, { body: tagging('other', 'red') })).toBe('AccessDenied');
  const three = await openBucket(
    { Action: 's3:PutObjectTagging' },
    { Effect: 'Deny', Action: 's3:*', Condition: { StringEquals: { 's3:RequestObjectTag/public': 'yes' } } },
  );
  expect(await anonymous('PUT', `/${three}/k?tagging`, { body: tagging('public', 'yes') })).toBe('AccessDenied');
  expect(await anonymous('PUT', `/${three}/k?tagging`, { body: tagging('public', 'no') })).toBe('200');
});

test('conditions on a lock look at the bodies of PutObjectRetention and PutObjectLegalHold', async () => {
  const bucket = await openBucket(
    { Action: ['s3:PutObjectRetention', 's3:PutObjectLegalHold'] },
    {
      Effect: 'Deny',
      Action: 's3:PutObjectRetention',
      Condition: { NumericGreaterThan: { 's3:object-lock-remaining-retention-days': '10' } },
    },
    {
      Effect: 'Deny',
      Action: 's3:PutObjectLegalHold',
      Condition: { StringEquals: { 's3:object-lock-legal-hold': 'OFF' } },
    },
  );
  const retention = (days: number): string =>
    `<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>${new Date(Date.now() + days * 86_400_000).toISOString()}</RetainUntilDate></Retention>`;
  const headers = { 'x-amz-object-lock-retain-until-date': new Date(Date.now() + 86_400_000).toISOString() };
  expect(await anonymous('PUT', `/${bucket}/k?retention`, { headers, body: retention(20) })).toBe('AccessDenied');
  // Past the authorizer: the bucket has no Object Lock.
  expect(await anonymous('PUT', `/${bucket}/k?retention`, { body: retention(5) })).toBe('InvalidRequest');
  const hold = (status: string): string => `<LegalHold><Status>${status}</Status></LegalHold>`;
  expect(await anonymous('PUT', `/${bucket}/k?legal-hold`, { body: hold('OFF') })).toBe('AccessDenied');
  expect(await anonymous('PUT', `/${bucket}/k?legal-hold`, { body: hold('ON') })).toBe('InvalidRequest');
});

test('s3:VersionId is the version that is meant, not one that the query of another target names', async () => {
  const bucket = await openBucket({
    Action: 's3:DeleteObjectVersion',
    Condition: { StringEquals: { 's3:VersionId': 'null' } },
  });
  const body = (version: string): string =>
    `<Delete><Quiet>true</Quiet><Object><Key>k</Key><VersionId>${version}</VersionId></Object></Delete>`;
  expect(await anonymous('POST', `/${bucket}?delete&versionId=null`, { body: body('another') })).toBe('AccessDenied');
  expect(await anonymous('POST', `/${bucket}?delete`, { body: body('null') })).toBe('200');
});

test('s3:x-amz-copy-source is the source that is read, however the header spells it', async () => {
  const bucket = await openBucket(
    { Action: ['s3:PutObject', 's3:GetObject'] },
    { Effect: 'Deny', Action: 's3:PutObject', Condition: { StringLike: { 's3:x-amz-copy-source': '*/secret k*' } } },
  );
  const target = `/${bucket}/copy`;
  for (const source of [`${bucket}/secret%20k`, `${bucket}/secret+k`, `%2F${bucket}%2Fsecret+k`]) {
    expect(await anonymous('PUT', target, { headers: { 'x-amz-copy-source': source } })).toBe('AccessDenied');
  }
  const named = await openBucket(
    { Action: ['s3:PutObject', 's3:GetObject'] },
    {
      Effect: 'Deny',
      Action: 's3:PutObject',
      Condition: { StringLike: { 's3:x-amz-copy-source': `bucket-${count + 1}/secret*` } },
    },
  );
  for (const source of [`/${named}/secret`, `%2F${named}%2Fsecret`]) {
    const headers = { 'x-amz-copy-source': source };
    expect(await anonymous('PUT', `/${named}/copy`, { headers })).toBe('AccessDenied');
  }
});

test('the policy of a bucket lets nobody make one', async () => {
  const bucket = await openBucket({ Action: 's3:*' });
  expect(await anonymous('PUT', `/${bucket}`)).toBe('AccessDenied');
});

test('GetObjectAttributes needs its own permission beside that to read', async () => {
  const headers = { 'x-amz-object-attributes': 'ETag' };
  const reader = await openBucket({ Action: 's3:GetObject' });
  expect(await anonymous('GET', `/${reader}/k?attributes`, { headers })).toBe('AccessDenied');
  const both = await openBucket({ Action: ['s3:GetObject', 's3:GetObjectAttributes'] });
  expect(await anonymous('GET', `/${both}/k?attributes`, { headers })).toBe('PreconditionFailed');
});

test('an ETag in DeleteObjects is compared only for who may read the object', async () => {
  const bucket = await openBucket({ Action: 's3:DeleteObject' });
  const entry = (etag: string): string => `<Delete><Quiet>true</Quiet><Object><Key>k</Key>${etag}</Object></Delete>`;
  expect(await anonymous('POST', `/${bucket}?delete`, { body: entry('<ETag>"abc"</ETag>') })).toBe('AccessDenied');
  expect(await anonymous('POST', `/${bucket}?delete`, { body: entry('') })).toBe('200');
});

test('s3:x-amz-content-sha256 of a presigned URL that names no digest is UNSIGNED-PAYLOAD', async () => {
  const bucket = await openBucket({
    Effect: 'Deny',
    Action: 's3:GetBucketTagging',
    Condition: { StringEquals: { 's3:x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
  });
  const path = `/${bucket}?tagging`;
  const codeOf = async (target: string, isSigned: boolean): Promise<string | undefined> =>
    /<Code>(.*?)<\/Code>/.exec((await server.request('GET', target, { isSigned })).body)?.[1];
  expect(await codeOf(path, true)).toBe('NoSuchTagSet');
  expect(await codeOf(server.presign('GET', path), false)).toBe('AccessDenied');
});
