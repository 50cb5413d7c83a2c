import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import {
  codeOf,
  createMemoryFixture,
  elementsOf,
  errorOf,
  type CallResult,
  type MemoryFixture,
} from '../support/service-fixture.ts';

let s3: MemoryFixture;
let bucket: string;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture();
});
beforeEach(async () => {
  bucket = `bucket-${++bucketCount}`;
  await s3.call('CreateBucket', { bucket, headers: { 'x-amz-bucket-object-lock-enabled': 'true' } });
});
afterAll(async () => {
  await s3.stop();
});

const DAY = 86_400_000;
const md5 = (body: string): Record<string, string> => ({
  'content-md5': digestOf('MD5', Buffer.from(body)).toString('base64'),
});
const BYPASS = { 'x-amz-bypass-governance-retention': 'true' };
const isoIn = (days: number): string => new Date(s3.clock.nowMs() + days * DAY).toISOString();
const headerDate = (iso: string): string => iso.replace('.000Z', 'Z');

type Mode = 'GOVERNANCE' | 'COMPLIANCE';
const lockHeaders = (mode: Mode, days: number): Record<string, string> => ({
  'x-amz-object-lock-mode': mode,
  'x-amz-object-lock-retain-until-date': headerDate(isoIn(days)),
});
const put = async (key: string, headers: Record<string, string> = {}): Promise<string> => {
  const { headers: answer } = await s3.put(bucket, key, 'body', { ...md5('body'), ...headers });
  return String(answer['x-amz-version-id']);
};
const withBody = (operation: string, key: string, body: string, more: { versionId?: string; bypass?: boolean } = {}) =>
  s3.call(operation, {
    bucket,
    key,
    body,
    query: more.versionId === undefined ? {} : { versionId: more.versionId },
    headers: { ...md5(body), ...(more.bypass ? BYPASS : {}) },
  });
const retentionXml = (mode: string, date: string): string =>
  `<Retention><Mode>${mode}</Mode><RetainUntilDate>${date}</RetainUntilDate></Retention>`;
const retain = (key: string, mode: Mode, days: number, more: { versionId?: string; bypass?: boolean } = {}) =>
  withBody('PutObjectRetention', key, retentionXml(mode, isoIn(days)), more);
const hold = (key: string, status: string, versionId?: string) =>
  withBody(
    'PutObjectLegalHold',
    key,
    `<LegalHold><Status>${status}</Status></LegalHold>`,
    versionId ? { versionId } : {},
  );
const configure = (rule: string, target = bucket): Promise<CallResult> => {
  const body = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`;
  return s3.call('PutObjectLockConfiguration', { bucket: target, body, headers: md5(body) });
};
const rule = (inner: string): string => `<Rule><DefaultRetention>${inner}</DefaultRetention></Rule>`;
const remove = (key: string, versionId: string, headers: Record<string, string> = {}) =>
  s3.call('DeleteObject', { bucket, key, query: { versionId }, headers });
const head = async (key: string, versionId?: string) =>
  (await s3.call('HeadObject', { bucket, key, query: versionId ? { versionId } : {} })).headers;
const setVersioning = async (status: 'Enabled' | 'Suspended', name = bucket): Promise<void> => {
  const record = await s3.services.buckets.requireBucket(name);
  await s3.services.buckets.putConfiguration(record, { name: 'versioning', value: { status } });
};

const PROTECTED = { code: 'AccessDenied', message: 'Access Denied because object protected by object lock.' };
const NO_LOCK = { code: 'InvalidRequest', message: 'Bucket is missing Object Lock Configuration' };

describe('the lock of a bucket', () => {
  it('comes with CreateBucket and versioning, and neither goes again', async () => {
    const record = await s3.services.buckets.requireBucket(bucket);
    expect(record.configuration).toEqual({ versioning: { status: 'Enabled' }, objectLock: {} });
    expect(await errorOf(setVersioning('Suspended'))).toMatchObject({
      code: 'InvalidBucketState',
      message: 'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
    });
    const { body } = await s3.call('GetObjectLockConfiguration', { bucket });
    expect(body.toString()).toMatch(/<ObjectLockEnabled>Enabled<\/ObjectLockEnabled><\/ObjectLockConfiguration>$/);
  });

  it('is enabled later only where versions are kept', async () => {
    await s3.createBucket(`${bucket}-later`);
    const later = `${bucket}-later`;
    expect(await codeOf(s3.call('GetObjectLockConfiguration', { bucket: later }))).toBe(
      'ObjectLockConfigurationNotFoundError',
    );
    expect(await codeOf(configure('', later))).toBe('InvalidBucketState');
    await setVersioning('Suspended', later);
    expect(await codeOf(configure('', later))).toBe('InvalidBucketState');
    await setVersioning('Enabled', later);
    expect((await configure(rule('<Mode>COMPLIANCE</Mode><Years>2</Years>'), later)).status).toBe(200);
    const { body } = await s3.call('GetObjectLockConfiguration', { bucket: later });
    expect(body.toString()).toContain(
      '<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>2</Years></DefaultRetention></Rule>',
    );
  });

  it.each([
    ['nothing', '', 'MalformedXML'],
    ['no ObjectLockEnabled', '<ObjectLockConfiguration/>', 'MalformedXML'],
    ['Disabled', '<ObjectLockEnabled>Disabled</ObjectLockEnabled>', 'MalformedXML'],
    ['an empty rule', '<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>', 'MalformedXML'],
    ['days and years', rule('<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>'), 'MalformedXML'],
    ['no period', rule('<Mode>GOVERNANCE</Mode>'), 'MalformedXML'],
    ['no mode', rule('<Days>1</Days>'), 'MalformedXML'],
    ['another mode', rule('<Mode>governance</Mode><Days>1</Days>'), 'MalformedXML'],
    ['no number', rule('<Mode>GOVERNANCE</Mode><Days>one</Days>'), 'MalformedXML'],
    ['0 days', rule('<Mode>GOVERNANCE</Mode><Days>0</Days>'), 'InvalidArgument'],
    ['-1 years', rule('<Mode>GOVERNANCE</Mode><Years>-1</Years>'), 'InvalidArgument'],
    ['36501 days', rule('<Mode>GOVERNANCE</Mode><Days>36501</Days>'), 'InvalidArgument'],
    ['101 years', rule('<Mode>GOVERNANCE</Mode><Years>101</Years>'), 'InvalidArgument'],
    [
      'an event hold',
      rule('<Mode>GOVERNANCE</Mode><DefaultEventHold><Days>1</Days></DefaultEventHold>'),
      'NotImplemented',
    ],
  ])('is refused with %s', async (_what, inner, code) => {
    const enabled = inner.startsWith('<Rule>') ? `<ObjectLockEnabled>Enabled</ObjectLockEnabled>${inner}` : inner;
    const body = inner === '' ? '' : `<ObjectLockConfiguration>${enabled}</ObjectLockConfiguration>`;
    expect(await codeOf(s3.call('PutObjectLockConfiguration', { bucket, body, headers: md5(body) }))).toBe(code);
    expect((await s3.services.buckets.requireBucket(bucket)).configuration.objectLock).toEqual({});
  });

  it('retains by default what is written from then on, by whatever way', async () => {
    const before = await put('before');
    await configure(rule('<Mode>GOVERNANCE</Mode><Days>3</Days>'));
    const expected = {
      'x-amz-object-lock-mode': 'GOVERNANCE',
      'x-amz-object-lock-retain-until-date': headerDate(isoIn(3)),
    };
    await put('put');
    await s3.call('CopyObject', { bucket, key: 'copy', headers: { 'x-amz-copy-source': `${bucket}/before` } });
    await complete('multipart');
    for (const key of ['put', 'copy', 'multipart']) expect(await head(key)).toMatchObject(expected);
    expect(await head('before', before)).not.toHaveProperty('x-amz-object-lock-mode');
    await put('own', lockHeaders('COMPLIANCE', 1));
    expect(await head('own')).toMatchObject(lockHeaders('COMPLIANCE', 1));
    await put('held', { 'x-amz-object-lock-legal-hold': 'ON' });
    expect(await head('held')).toMatchObject({ ...expected, 'x-amz-object-lock-legal-hold': 'ON' });
    await configure('');
    await put('after');
    expect(await head('after')).not.toHaveProperty('x-amz-object-lock-mode');
    expect(await head('put')).toMatchObject(expected);
  });
});

async function complete(key: string, headers: Record<string, string> = {}): Promise<string> {
  const created = await s3.call('CreateMultipartUpload', { bucket, key, headers });
  const uploadId = elementsOf(created.body, 'UploadId')[0]!;
  const query = { uploadId, partNumber: '1' };
  const part = await s3.call('UploadPart', { bucket, key, query, body: 'part', headers: md5('part') });
  const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${String(part.headers['etag'])}</ETag></Part></CompleteMultipartUpload>`;
  const completed = await s3.call('CompleteMultipartUpload', { bucket, key, query: { uploadId }, body });
  return String(completed.headers['x-amz-version-id']);
}

describe('a lock that comes with an upload', () => {
  it('is that of the version, and shown by GET and HEAD', async () => {
    const lock = { ...lockHeaders('COMPLIANCE', 2), 'x-amz-object-lock-legal-hold': 'OFF' };
    for (const versionId of [await put('key', lock), await complete('key', lock)]) {
      expect(await head('key', versionId)).toMatchObject(lock);
      expect((await s3.get(bucket, 'key')).headers).toMatchObject(lock);
      expect(await errorOf(remove('key', versionId, BYPASS))).toMatchObject(PROTECTED);
    }
    const headers = { 'x-amz-copy-source': `${bucket}/key`, ...lockHeaders('GOVERNANCE', 1) };
    await s3.call('CopyObject', { bucket, key: 'copy', headers });
    expect(await head('copy')).toMatchObject(lockHeaders('GOVERNANCE', 1));
    expect(await head('copy')).not.toHaveProperty('x-amz-object-lock-legal-hold');
    await s3.call('CopyObject', { bucket, key: 'bare', headers: { 'x-amz-copy-source': `${bucket}/key` } });
    expect(await head('bare')).not.toHaveProperty('x-amz-object-lock-mode');
  });

  it.each<[string, Record<string, string>, string, string]>([
    ['only a mode', { mode: 'GOVERNANCE' }, 'InvalidArgument', 'must both be supplied'],
    ['only a date', { 'retain-until-date': '2099-01-01T00:00:00Z' }, 'InvalidArgument', 'must both be supplied'],
    ['another mode', { mode: 'no', 'retain-until-date': '2099-01-01T00:00:00Z' }, 'InvalidArgument', 'wormMode'],
    ['no date', { mode: 'GOVERNANCE', 'retain-until-date': 'abc' }, 'InvalidArgument', 'ISO 8601'],
    [
      'a day that is none',
      { mode: 'GOVERNANCE', 'retain-until-date': '2099-02-30T00:00:00Z' },
      'InvalidArgument',
      'ISO',
    ],
    ['a past date', { mode: 'GOVERNANCE', 'retain-until-date': '1999-01-01T00:00:00Z' }, 'InvalidArgument', 'future'],
    ['another hold', { 'legal-hold': 'on' }, 'InvalidArgument', "either of 'ON' or 'OFF'"],
  ])('is refused with %s', async (_what, given, code, message) => {
    const headers = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [`x-amz-object-lock-${name}`, value]),
    );
    for (const operation of ['PutObject', 'CreateMultipartUpload', 'CopyObject']) {
      const request = { bucket, key: 'key', headers: { ...headers, 'x-amz-copy-source': `${bucket}/other` } };
      expect(await errorOf(s3.call(operation, request))).toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
    }
    expect(await codeOf(s3.get(bucket, 'key'))).toBe('NoSuchKey');
  });

  it('needs a bucket with Object Lock', async () => {
    await s3.createBucket(`${bucket}-plain`);
    const plain = { bucket: `${bucket}-plain`, key: 'key' };
    await s3.put(plain.bucket, 'other', 'x');
    const headers = { ...md5(''), ...lockHeaders('GOVERNANCE', 1), 'x-amz-copy-source': `${plain.bucket}/other` };
    for (const operation of ['PutObject', 'CreateMultipartUpload', 'CopyObject']) {
      expect(await errorOf(s3.call(operation, { ...plain, headers }))).toMatchObject(NO_LOCK);
    }
    for (const operation of ['GetObjectRetention', 'GetObjectLegalHold']) {
      expect(await errorOf(s3.call(operation, { ...plain, key: 'other' }))).toMatchObject(NO_LOCK);
    }
    const documents = {
      PutObjectRetention: retentionXml('GOVERNANCE', isoIn(1)),
      PutObjectLegalHold: '<LegalHold><Status>ON</Status></LegalHold>',
    };
    for (const [operation, body] of Object.entries(documents)) {
      expect(await errorOf(s3.call(operation, { ...plain, key: 'other', body, headers: md5(body) }))).toMatchObject(
        NO_LOCK,
      );
    }
  });

  it('needs a digest of the bytes, as the documents about locks do', async () => {
    const error = { code: 'InvalidRequest', message: expect.stringContaining('Content-MD5 OR x-amz-checksum-') };
    const digest = { 'x-amz-content-sha256': digestOf('SHA256', Buffer.from('x')).toString('hex') };
    expect(await errorOf(s3.put(bucket, 'key', 'x', { ...digest, ...lockHeaders('GOVERNANCE', 1) }))).toMatchObject(
      error,
    );
    expect(await errorOf(s3.put(bucket, 'key', 'x', { 'x-amz-object-lock-legal-hold': 'OFF' }))).toMatchObject(error);
    expect((await s3.put(bucket, 'key', 'x')).status).toBe(200);
    await configure(rule('<Mode>GOVERNANCE</Mode><Days>1</Days>'));
    expect(await errorOf(s3.put(bucket, 'key', 'x'))).toMatchObject(error);
    for (const operation of ['PutObjectRetention', 'PutObjectLegalHold', 'PutObjectLockConfiguration']) {
      expect(await errorOf(s3.call(operation, { bucket, key: 'key', body: '<Any/>' }))).toMatchObject(error);
    }
    const created = await s3.call('CreateMultipartUpload', {
      bucket,
      key: 'key',
      headers: lockHeaders('GOVERNANCE', 1),
    });
    const query = { uploadId: elementsOf(created.body, 'UploadId')[0]!, partNumber: '1' };
    expect(await errorOf(s3.call('UploadPart', { bucket, key: 'key', query, body: 'x' }))).toMatchObject(error);
  });
});

describe('retention', () => {
  it('is put, read, extended and removed as its mode allows', async () => {
    const versionId = await put('key');
    expect(await codeOf(s3.call('GetObjectRetention', { bucket, key: 'key' }))).toBe('NoSuchObjectLockConfiguration');
    expect((await retain('key', 'GOVERNANCE', 1)).headers).toEqual({ 'x-amz-version-id': versionId });
    const until = isoIn(2);
    await retain('key', 'GOVERNANCE', 2);
    const { body } = await s3.call('GetObjectRetention', { bucket, key: 'key', query: { versionId } });
    expect(body.toString()).toContain(`<Mode>GOVERNANCE</Mode><RetainUntilDate>${until}</RetainUntilDate>`);
    expect(await errorOf(retain('key', 'GOVERNANCE', 1))).toMatchObject(PROTECTED);
    expect(await errorOf(retain('key', 'COMPLIANCE', 3))).toMatchObject(PROTECTED);
    expect(await errorOf(withBody('PutObjectRetention', 'key', '<Retention/>'))).toMatchObject(PROTECTED);
    await retain('key', 'GOVERNANCE', 1, { bypass: true });
    await withBody('PutObjectRetention', 'key', '<Retention/>', { bypass: true });
    expect(await codeOf(s3.call('GetObjectRetention', { bucket, key: 'key' }))).toBe('NoSuchObjectLockConfiguration');
    await retain('key', 'COMPLIANCE', 2);
    expect(await errorOf(retain('key', 'COMPLIANCE', 1, { bypass: true }))).toMatchObject(PROTECTED);
    expect(await errorOf(retain('key', 'GOVERNANCE', 9, { bypass: true }))).toMatchObject(PROTECTED);
    await retain('key', 'COMPLIANCE', 3);
  });

  it('keeps a version from deletion until its date, and no longer', async () => {
    const versionId = await put('key');
    await retain('key', 'COMPLIANCE', 1, { versionId });
    s3.clock.jumpWallClock(DAY - 1);
    expect(await errorOf(remove('key', versionId))).toMatchObject(PROTECTED);
    s3.clock.jumpWallClock(1);
    expect((await remove('key', versionId)).status).toBe(204);
    expect(await codeOf(s3.get(bucket, 'key'))).toBe('NoSuchKey');
  });

  it('is of one version: others, markers and new writes are free', async () => {
    const locked = await put('key', lockHeaders('COMPLIANCE', 1));
    const free = await put('key');
    const marker = String((await s3.call('DeleteObject', { bucket, key: 'key' })).headers['x-amz-version-id']);
    expect((await remove('key', marker)).status).toBe(204);
    expect((await remove('key', free)).status).toBe(204);
    expect(await errorOf(remove('key', locked))).toMatchObject(PROTECTED);
    expect((await s3.get(bucket, 'key')).body.toString()).toBe('body');
  });

  it('GOVERNANCE is bypassed one version at a time, and DeleteObjects says for each key what became of it', async () => {
    const [a, b, c] = [
      await put('a', lockHeaders('GOVERNANCE', 1)),
      await put('b'),
      await put('c', lockHeaders('COMPLIANCE', 1)),
    ];
    const object = (key: string, versionId: string): string =>
      `<Object><Key>${key}</Key><VersionId>${versionId}</VersionId></Object>`;
    const body = `<Delete>${object('a', a)}${object('b', b)}${object('c', c)}</Delete>`;
    const first = await s3.call('DeleteObjects', { bucket, body, headers: md5(body) });
    expect(first.body.toString()).toMatch(/<Deleted><Key>b<\/Key>.*<Error><Key>a<\/Key>.*AccessDenied.*<Error><Key>c</);
    const second = await s3.call('DeleteObjects', { bucket, body, headers: { ...md5(body), ...BYPASS } });
    expect(second.body.toString()).toMatch(/<Deleted><Key>a<\/Key>.*<Deleted><Key>b<\/Key>.*<Error><Key>c<\/Key>/);
    expect(elementsOf(second.body, 'Code')).toEqual(['AccessDenied']);
  });

  it.each([
    ['nothing', '', 'MalformedXML'],
    ['only a mode', '<Retention><Mode>GOVERNANCE</Mode></Retention>', 'MalformedXML'],
    ['another mode', retentionXml('governance', '2099-01-01T00:00:00Z'), 'MalformedXML'],
    ['no date', retentionXml('GOVERNANCE', 'tomorrow'), 'MalformedXML'],
    ['a past date', retentionXml('GOVERNANCE', '1999-01-01T00:00:00Z'), 'InvalidArgument'],
    ['an event hold', '<Retention><EventHold>ON</EventHold></Retention>', 'NotImplemented'],
  ])('is refused with %s', async (_what, body, code) => {
    await put('key');
    expect(await codeOf(withBody('PutObjectRetention', 'key', body))).toBe(code);
    expect(await head('key')).not.toHaveProperty('x-amz-object-lock-mode');
  });

  it('of what is not there, or of a delete marker, is refused', async () => {
    expect(await codeOf(retain('missing', 'GOVERNANCE', 1))).toBe('NoSuchKey');
    await put('key');
    expect(await codeOf(retain('key', 'GOVERNANCE', 1, { versionId: 'other' }))).toBe('NoSuchVersion');
    const marker = String((await s3.call('DeleteObject', { bucket, key: 'key' })).headers['x-amz-version-id']);
    expect(await codeOf(retain('key', 'GOVERNANCE', 1))).toBe('NoSuchKey');
    expect(await codeOf(retain('key', 'GOVERNANCE', 1, { versionId: marker }))).toBe('MethodNotAllowed');
  });
});

describe('a legal hold', () => {
  it('keeps a version whatever its retention says and whoever bypasses it, until it is taken off', async () => {
    const versionId = await put('key', lockHeaders('GOVERNANCE', 1));
    expect(await codeOf(s3.call('GetObjectLegalHold', { bucket, key: 'key' }))).toBe('NoSuchObjectLockConfiguration');
    await hold('key', 'ON');
    s3.clock.jumpWallClock(9 * DAY);
    expect(await errorOf(remove('key', versionId, BYPASS))).toMatchObject(PROTECTED);
    const { body } = await s3.call('GetObjectLegalHold', { bucket, key: 'key' });
    expect(body.toString()).toContain('<Status>ON</Status>');
    expect((await hold('key', 'OFF', versionId)).headers).toEqual({ 'x-amz-version-id': versionId });
    expect(await head('key')).toMatchObject({ 'x-amz-object-lock-legal-hold': 'OFF' });
    expect((await remove('key', versionId)).status).toBe(204);
  });

  it('is ON or OFF and nothing else', async () => {
    await put('key');
    for (const body of ['', '<LegalHold/>', '<LegalHold><Status>abc</Status></LegalHold>']) {
      expect(await codeOf(withBody('PutObjectLegalHold', 'key', body))).toBe('MalformedXML');
    }
  });
});

it('a bucket with a locked version cannot be deleted', async () => {
  await put('key', lockHeaders('COMPLIANCE', 1));
  await s3.call('DeleteObject', { bucket, key: 'key' });
  expect(await codeOf(s3.call('DeleteBucket', { bucket }))).toBe('BucketNotEmpty');
});

it('tags of a locked version may change: they are not what is locked', async () => {
  await put('key', lockHeaders('COMPLIANCE', 1));
  const body = '<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>';
  expect((await s3.call('PutObjectTagging', { bucket, key: 'key', body })).status).toBe(200);
  expect(await head('key')).toMatchObject({ ...lockHeaders('COMPLIANCE', 1), 'x-amz-tagging-count': 1 });
});
