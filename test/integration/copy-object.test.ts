import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import { formatHttpDate } from '../../src/s3/headers/http-date.ts';
import { decodeBlobDescriptor } from '../../src/service/blob-descriptor.ts';
import { payloadOf } from '../support/payload.ts';
import { codeOf, createMemoryFixture, elementOf, errorOf, type MemoryFixture } from '../support/service-fixture.ts';

let s3: MemoryFixture;
let bucket: string;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture({ smallBlobLimitBytes: 16 * 1024, pieceSizeBytes: 8192 });
});
beforeEach(async () => {
  bucket = `bucket-${++bucketCount}`;
  await s3.createBucket(bucket);
});
afterEach(() => {
  expect(s3.data.check()).toEqual({ pins: 0, pieces: 0, reads: 0, writers: 0 });
});
afterAll(async () => {
  await s3.stop();
});

const copy = (source: string, key: string, headers: Record<string, string> = {}) =>
  s3.call('CopyObject', { bucket, key, headers: { 'x-amz-copy-source': source, ...headers } });
const body = payloadOf('copy', 40_000);

describe('CopyObject', () => {
  it.each([0, 10, 40_000])('of %i bytes moves no bytes and keeps ETag, checksum and metadata', async (sizeBytes) => {
    const source = payloadOf('source', sizeBytes);
    const headers = { 'content-type': 'text/x', 'x-amz-meta-a': '1', 'x-amz-tagging': 'a=1' };
    const put = await s3.put(bucket, 'source', source, headers);
    const { bytesWritten, bytesRead } = s3.data;
    const copied = await copy(`/${bucket}/source`, 'copy');
    expect(copied.status).toBe(200);
    expect(elementOf(copied.body, 'ETag')).toBe(`&quot;${String(put.headers.etag).slice(1, -1)}&quot;`);
    expect(elementOf(copied.body, 'ChecksumCRC64NVME')).toBe(put.headers['x-amz-checksum-crc64nvme']);
    expect(elementOf(copied.body, 'LastModified')).toBe('2026-01-01T00:00:00.000Z');
    expect([s3.data.bytesWritten, s3.data.bytesRead]).toEqual([bytesWritten, bytesRead]);
    await s3.call('DeleteObject', { bucket, key: 'source' });
    const got = await s3.get(bucket, 'copy', { 'x-amz-checksum-mode': 'ENABLED' });
    expect(got.body.equals(source)).toBe(true);
    expect(got.headers).toMatchObject({
      'content-type': 'text/x',
      'x-amz-meta-a': '1',
      'x-amz-tagging-count': 1,
      'x-amz-checksum-crc64nvme': put.headers['x-amz-checksum-crc64nvme'],
    });
  });

  it('of a copy of a copy reads back after both before are gone', async () => {
    await s3.put(bucket, 'a', body);
    await copy(`${bucket}/a`, 'b');
    await copy(`${bucket}/b`, 'c');
    await s3.call('DeleteObject', { bucket, key: 'a' });
    await s3.put(bucket, 'b', 'other');
    expect((await s3.get(bucket, 'c')).body.equals(body)).toBe(true);
  });

  it('leaves a manifest that names the blobs for a recovery from shards', async () => {
    await s3.put(bucket, 'source', body);
    const { bucketId } = await s3.services.buckets.requireBucket(bucket);
    const source = await s3.metadata.getObject({ bucketId, key: 'source' });
    await copy(`${bucket}/source`, 'copy');
    expect(decodeBlobDescriptor(s3.data.descriptors.at(-1)!)).toMatchObject({
      kind: 'manifest',
      key: 'copy',
      uploadId: '',
      blobs: [{ blobId: source!.blobs[0]!.blobId, sizeBytes: 40_000 }],
    });
  });

  it('replaces metadata and tags when told to', async () => {
    await s3.put(bucket, 'source', body, { 'x-amz-meta-a': '1', 'x-amz-tagging': 'a=1', 'content-type': 'text/a' });
    await copy(`${bucket}/source`, 'copy', {
      'x-amz-metadata-directive': 'REPLACE',
      'x-amz-meta-b': '2',
      'x-amz-tagging-directive': 'REPLACE',
      'x-amz-tagging': 'b=2&c=3',
    });
    const got = await s3.get(bucket, 'copy');
    expect(got.headers).toMatchObject({
      'x-amz-meta-b': '2',
      'content-type': 'binary/octet-stream',
      'x-amz-tagging-count': 2,
    });
    expect(got.headers).not.toHaveProperty('x-amz-meta-a');
    await copy(`${bucket}/source`, 'bare', { 'x-amz-tagging-directive': 'REPLACE' });
    expect((await s3.get(bucket, 'bare')).headers).not.toHaveProperty('x-amz-tagging-count');
    const unknown = (name: string) => copy(`${bucket}/source`, 'copy', { [name]: 'MOVE' });
    expect(await codeOf(unknown('x-amz-metadata-directive'))).toBe('InvalidArgument');
    expect(await codeOf(unknown('x-amz-tagging-directive'))).toBe('InvalidArgument');
  });

  it('onto itself is refused unless something changes', async () => {
    await s3.put(bucket, 'key', body, { 'x-amz-meta-a': '1' });
    expect(await codeOf(copy(`${bucket}/key`, 'key'))).toBe('InvalidRequest');
    expect(await codeOf(copy(`${bucket}/key?versionId=null`, 'key'))).toBe('InvalidRequest');
    expect(await codeOf(copy(`${bucket}/key`, 'key', { 'x-amz-tagging-directive': 'REPLACE' }))).toBe('InvalidRequest');
    const changes = [
      { 'x-amz-metadata-directive': 'REPLACE', 'x-amz-meta-b': '2' },
      { 'x-amz-storage-class': 'STANDARD' },
      { 'x-amz-checksum-algorithm': 'SHA256' },
    ];
    for (const headers of changes) expect((await copy(`${bucket}/key`, 'key', headers)).status).toBe(200);
    const got = await s3.get(bucket, 'key', { 'x-amz-checksum-mode': 'ENABLED' });
    expect(got.body.equals(body)).toBe(true);
    expect(got.headers).toMatchObject({
      'x-amz-meta-b': '2',
      'x-amz-checksum-sha256': digestOf('SHA256', body).toString('base64'),
    });
    expect(got.headers).not.toHaveProperty('x-amz-meta-a');
  });

  it('reads the bytes for a checksum that the source does not have, and only then', async () => {
    await s3.put(bucket, 'source', body);
    const before = s3.data.bytesRead;
    await copy(`${bucket}/source`, 'copy', { 'x-amz-checksum-algorithm': 'CRC64NVME' });
    expect(s3.data.bytesRead).toBe(before);
    const copied = await copy(`${bucket}/source`, 'copy', { 'x-amz-checksum-algorithm': 'SHA1' });
    expect(s3.data.bytesRead).toBe(before + body.length);
    expect(elementOf(copied.body, 'ChecksumSHA1')).toBe(digestOf('SHA1', body).toString('base64'));
    expect(elementOf(copied.body, 'ETag')).toBe(`&quot;${createHash('md5').update(body).digest('hex')}&quot;`);
    expect(await codeOf(copy(`${bucket}/source`, 'copy', { 'x-amz-checksum-algorithm': 'ADLER' }))).toBe(
      'InvalidRequest',
    );
  });

  it('compares conditions on the source, each failure 412', async () => {
    const put = await s3.put(bucket, 'source', body);
    const etag = String(put.headers.etag);
    const past = formatHttpDate(s3.clock.nowMs() - 60_000);
    const now = formatHttpDate(s3.clock.nowMs());
    const cases: [Record<string, string>, boolean][] = [
      [{ 'if-match': etag }, true],
      [{ 'if-match': '"other"' }, false],
      [{ 'if-none-match': etag }, false],
      [{ 'if-none-match': '"other"' }, true],
      [{ 'if-modified-since': past }, true],
      [{ 'if-modified-since': now }, false],
      [{ 'if-unmodified-since': past }, false],
      [{ 'if-unmodified-since': now }, true],
    ];
    for (const [conditions, passes] of cases) {
      const headers = Object.fromEntries(
        Object.entries(conditions).map(([name, value]) => [`x-amz-copy-source-${name}`, value]),
      );
      const outcome = await copy(`${bucket}/source`, 'copy', headers).then(
        () => true,
        (error) => ((error as { code: string }).code === 'PreconditionFailed' ? false : error),
      );
      expect([conditions, outcome]).toEqual([conditions, passes]);
    }
  });

  it('compares conditions on the destination inside the commit', async () => {
    await s3.put(bucket, 'source', body);
    expect((await copy(`${bucket}/source`, 'copy', { 'if-none-match': '*' })).status).toBe(200);
    expect(await codeOf(copy(`${bucket}/source`, 'copy', { 'if-none-match': '*' }))).toBe('PreconditionFailed');
    expect(await codeOf(copy(`${bucket}/source`, 'copy', { 'if-match': '"other"' }))).toBe('PreconditionFailed');
    expect(await codeOf(copy(`${bucket}/source`, 'missing', { 'if-match': '*' }))).toBe('NoSuchKey');
    expect((await copy(`${bucket}/source`, 'copy', { 'if-match': '*' })).status).toBe(200);
  });

  it('names what is missing', async () => {
    expect(await codeOf(copy('nowhere/key', 'copy'))).toBe('NoSuchBucket');
    expect(await errorOf(copy(`${bucket}/missing`, 'copy'))).toMatchObject({
      code: 'NoSuchKey',
      details: { Key: 'missing' },
    });
    await s3.put(bucket, 'source', 'x');
    expect(await codeOf(copy(`${bucket}/source?versionId=other`, 'copy'))).toBe('NoSuchVersion');
    const elsewhere = { bucket: 'nowhere', key: 'k', headers: { 'x-amz-copy-source': `${bucket}/source` } };
    expect(await codeOf(s3.call('CopyObject', elsewhere))).toBe('NoSuchBucket');
    for (const source of ['', '/', bucket, `${bucket}/`]) {
      expect(await codeOf(copy(source, 'copy'))).toBe('InvalidArgument');
    }
  });

  it('takes keys that need encoding', async () => {
    const key = 'a b/+%25?&ü';
    await s3.put(bucket, key, body);
    await copy(`/${bucket}/${encodeURIComponent(key)}`, 'copy');
    expect((await s3.get(bucket, 'copy')).body.equals(body)).toBe(true);
  });

  it('looks the source up again when it was replaced before the commit', async () => {
    await s3.put(bucket, 'source', body);
    const commit = s3.metadata.commit.bind(s3.metadata);
    let isFirst = true;
    s3.metadata.commit = async (mutation) => {
      if (mutation.type === 'PutObject' && isFirst) {
        isFirst = false;
        await s3.put(bucket, 'source', 'replaced');
      }
      return commit(mutation);
    };
    try {
      expect((await copy(`${bucket}/source`, 'copy')).status).toBe(200);
    } finally {
      s3.metadata.commit = commit;
    }
    expect((await s3.get(bucket, 'copy')).body.toString()).toBe('replaced');
  });

  it('over 5 GiB is refused', async () => {
    const source = await s3.services.buckets.requireBucket(bucket);
    const pinned = await s3.data.writeSmall(Buffer.from('x'), Buffer.alloc(0));
    await s3.metadata.commit({
      type: 'PutObject',
      bucketId: source.bucketId,
      key: 'huge',
      owner: source.owner,
      attributes: { etag: 'e', sizeBytes: 5 * 1024 ** 3 + 1, headers: {}, userMetadata: {}, storageClass: 'STANDARD' },
      blobs: [{ newBlob: { ...pinned.blob, sizeBytes: 5 * 1024 ** 3 + 1 } }],
      lastModifiedMs: 0,
    });
    pinned.unpin();
    expect(await codeOf(copy(`${bucket}/huge`, 'copy'))).toBe('InvalidRequest');
  });
});
