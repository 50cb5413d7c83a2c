import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import { formatHttpDate } from '../../src/s3/headers/http-date.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import { codeOf, createMemoryFixture, elementsOf, errorOf, type MemoryFixture } from '../support/service-fixture.ts';

let s3: MemoryFixture;
let bucket: string;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture();
});
beforeEach(async () => {
  bucket = `bucket-${++bucketCount}`;
  await s3.createBucket(bucket);
});
afterAll(async () => {
  await s3.stop();
});

const remove = (key: string, headers: Record<string, string> = {}, query: Record<string, string> = {}) =>
  s3.call('DeleteObject', { bucket, key, headers, query });

describe('DeleteObject', () => {
  it('answers 204 whether or not the key was there', async () => {
    await s3.put(bucket, 'key', 'x');
    expect(await remove('key')).toMatchObject({ status: 204, headers: {} });
    expect(await codeOf(s3.get(bucket, 'key'))).toBe('NoSuchKey');
    expect((await remove('key')).status).toBe(204);
  });

  it('in a bucket that is not there is NoSuchBucket', async () => {
    expect(await codeOf(s3.call('DeleteObject', { bucket: 'nowhere', key: 'key' }))).toBe('NoSuchBucket');
  });

  it('of version null deletes the object and says so, of another version nothing', async () => {
    await s3.put(bucket, 'key', 'x');
    expect((await remove('key', {}, { versionId: 'other' })).status).toBe(204);
    expect((await s3.get(bucket, 'key')).status).toBe(200);
    expect(await remove('key', {}, { versionId: 'null' })).toMatchObject({
      status: 204,
      headers: { 'x-amz-version-id': 'null' },
    });
    expect(await codeOf(s3.get(bucket, 'key'))).toBe('NoSuchKey');
    expect(await codeOf(remove('key', {}, { versionId: 'no such shape' }))).toBe('InvalidArgument');
  });

  it('with If-Match deletes that object only', async () => {
    const put = await s3.put(bucket, 'key', 'x');
    expect(await errorOf(remove('key', { 'if-match': '"other"' }))).toMatchObject({ code: 'PreconditionFailed' });
    expect((await s3.get(bucket, 'key')).status).toBe(200);
    expect((await remove('key', { 'if-match': String(put.headers.etag) })).status).toBe(204);
    // What is not there is deleted already.
    expect((await remove('key', { 'if-match': '*' })).status).toBe(204);
    expect((await remove('key', { 'if-match': '"other"' })).status).toBe(204);
  });

  it('compares size and time when asked', async () => {
    await s3.put(bucket, 'key', 'four');
    expect(await codeOf(remove('key', { 'x-amz-if-match-size': '5' }))).toBe('PreconditionFailed');
    const time = 'x-amz-if-match-last-modified-time';
    expect(await codeOf(remove('key', { [time]: formatHttpDate(0) }))).toBe('PreconditionFailed');
    const matching = { 'x-amz-if-match-size': '4', [time]: formatHttpDate(s3.clock.nowMs()) };
    expect((await remove('key', matching)).status).toBe(204);
  });
});

describe('DeleteObjects', () => {
  const removeAll = (body: string, headers?: Record<string, string>) =>
    s3.call('DeleteObjects', {
      bucket,
      body,
      headers: headers ?? { 'content-md5': digestOf('MD5', Buffer.from(body)).toString('base64') },
    });
  const object = (key: string, more = '') => `<Object><Key>${key}</Key>${more}</Object>`;

  it('deletes each key and names it, missing ones too', async () => {
    await s3.put(bucket, 'a', 'x');
    await s3.put(bucket, 'b&<>', 'x');
    const answer = await removeAll(
      `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${object('a')}${object('b&amp;&lt;&gt;')}${object('c')}</Delete>`,
    );
    expect(answer.status).toBe(200);
    expect(elementsOf(answer.body, 'Key')).toEqual(['a', 'b&amp;&lt;&gt;', 'c']);
    expect(answer.body.toString()).not.toContain('<Error>');
    expect(await codeOf(s3.get(bucket, 'a'))).toBe('NoSuchKey');
    expect(await codeOf(s3.get(bucket, 'b&<>'))).toBe('NoSuchKey');
  });

  it('is silent about success when quiet, and tells errors', async () => {
    await s3.put(bucket, 'a', 'x');
    const answer = await removeAll(
      `<Delete><Quiet>true</Quiet>${object('a', '<ETag>"other"</ETag>')}${object('b')}</Delete>`,
    );
    expect(answer.body.toString()).not.toContain('<Deleted>');
    expect(elementsOf(answer.body, 'Code')).toEqual(['PreconditionFailed']);
    expect(elementsOf(answer.body, 'Key')).toEqual(['a']);
    expect((await s3.get(bucket, 'a')).status).toBe(200);
  });

  it('knows the version null and no other', async () => {
    await s3.put(bucket, 'a', 'x');
    await s3.put(bucket, 'b', 'x');
    const answer = await removeAll(
      `<Delete>${object('a', '<VersionId>null</VersionId>')}${object('b', '<VersionId>other</VersionId>')}${object('b', '<VersionId>no shape</VersionId>')}</Delete>`,
    );
    expect(elementsOf(answer.body, 'VersionId')).toEqual(['null', 'other', 'no shape']);
    expect(elementsOf(answer.body, 'Code')).toEqual(['InvalidArgument']);
    expect(await codeOf(s3.get(bucket, 'a'))).toBe('NoSuchKey');
    expect((await s3.get(bucket, 'b')).status).toBe(200);
  });

  it('takes 1,000 keys and refuses 1,001, none, and a key without a name', async () => {
    const many = (count: number) =>
      `<Delete>${Array.from({ length: count }, (_, index) => object(`k${index}`)).join('')}</Delete>`;
    expect(elementsOf((await removeAll(many(1000))).body, 'Key')).toHaveLength(1000);
    expect(await codeOf(removeAll(many(1001)))).toBe('MalformedXML');
    expect(await codeOf(removeAll('<Delete></Delete>'))).toBe('MalformedXML');
    expect(await codeOf(removeAll(`<Delete>${object('')}</Delete>`))).toBe('MalformedXML');
    expect(await codeOf(removeAll(`<Delete>${object('a')}<Quiet>perhaps</Quiet></Delete>`))).toBe('MalformedXML');
  });

  it('needs a checksum of its body, and checks it', async () => {
    const body = `<Delete>${object('a')}</Delete>`;
    expect(await codeOf(removeAll(body, {}))).toBe('InvalidRequest');
    expect(await codeOf(removeAll(body, { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }))).toBe('BadDigest');
    const crc32 = digestOf('CRC32', Buffer.from(body)).toString('base64');
    expect((await removeAll(body, { 'x-amz-checksum-crc32': crc32 })).status).toBe(200);
  });

  it('fails as a whole when the journal does', async () => {
    await s3.put(bucket, 'a', 'x');
    const commit = s3.metadata.commit.bind(s3.metadata);
    s3.metadata.commit = () => Promise.reject(new StoreError('QuorumLost', 'lost'));
    try {
      await expect(removeAll(`<Delete>${object('a')}</Delete>`)).rejects.toThrow('lost');
    } finally {
      s3.metadata.commit = commit;
    }
  });
});
