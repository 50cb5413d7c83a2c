import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import { decodeBlobDescriptor } from '../../src/service/blob-descriptor.ts';
import { payloadOf } from '../support/payload.ts';
import { codeOf, createMemoryFixture, errorOf, type MemoryFixture } from '../support/service-fixture.ts';

const SMALL_LIMIT = 16 * 1024;

let s3: MemoryFixture;
let bucket: string;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture({ smallBlobLimitBytes: SMALL_LIMIT, pieceSizeBytes: 8192 });
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

function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex');
}

describe('PutObject', () => {
  it.each([0, 1, SMALL_LIMIT - 1, SMALL_LIMIT, SMALL_LIMIT + 1, 100_000, 1_000_000])(
    'stores %i bytes that GetObject returns, with their MD5 as ETag',
    async (sizeBytes) => {
      const body = payloadOf('put', sizeBytes);
      const put = await s3.put(bucket, 'key', body);
      expect(put).toMatchObject({ status: 200, headers: { etag: `"${md5(body)}"` } });
      const got = await s3.get(bucket, 'key');
      expect(got.status).toBe(200);
      expect(got.body.equals(body)).toBe(true);
      expect(got.headers).toMatchObject({ etag: `"${md5(body)}"`, 'content-length': sizeBytes });
    },
  );

  it.each([100, 100_000])('adds CRC64NVME to %i bytes that come without a checksum', async (sizeBytes) => {
    const body = payloadOf('crc', sizeBytes);
    const crc64 = digestOf('CRC64NVME', body).toString('base64');
    const put = await s3.put(bucket, 'key', body);
    expect(put.headers).toMatchObject({ 'x-amz-checksum-crc64nvme': crc64, 'x-amz-checksum-type': 'FULL_OBJECT' });
    const silent = await s3.get(bucket, 'key');
    expect(silent.headers).not.toHaveProperty('x-amz-checksum-crc64nvme');
    const asked = await s3.get(bucket, 'key', { 'x-amz-checksum-mode': 'ENABLED' });
    expect(asked.headers).toMatchObject({ 'x-amz-checksum-crc64nvme': crc64 });
  });

  it.each(['CRC32', 'CRC32C', 'SHA1', 'SHA256', 'SHA512', 'MD5', 'XXHASH64', 'XXHASH3', 'XXHASH128'] as const)(
    'keeps the %s of the client',
    async (algorithm) => {
      for (const sizeBytes of [50, 50_000]) {
        const body = payloadOf('sum', sizeBytes);
        const header = `x-amz-checksum-${algorithm.toLowerCase()}`;
        const value = digestOf(algorithm, body).toString('base64');
        const put = await s3.put(bucket, 'key', body, { [header]: value });
        expect(put.headers[header]).toBe(value);
        const got = await s3.get(bucket, 'key', { 'x-amz-checksum-mode': 'enabled' });
        expect(got.headers[header]).toBe(value);
        expect(got.headers).not.toHaveProperty('x-amz-checksum-crc64nvme');
      }
    },
  );

  it.each([
    ['content-md5', digestOf('MD5', Buffer.from('other')).toString('base64'), 'BadDigest'],
    ['x-amz-checksum-crc32', 'AAAAAA==', 'BadDigest'],
    ['x-amz-checksum-sha256', digestOf('SHA256', Buffer.from('other')).toString('base64'), 'BadDigest'],
    ['x-amz-content-sha256', '0'.repeat(64), 'XAmzContentSHA256Mismatch'],
  ])('with a wrong %s leaves what was there', async (header, value, code) => {
    for (const sizeBytes of [100, 100_000]) {
      await s3.put(bucket, 'key', 'before');
      expect(await codeOf(s3.put(bucket, 'key', payloadOf('bad', sizeBytes), { [header]: value }))).toBe(code);
      expect((await s3.get(bucket, 'key')).body.toString()).toBe('before');
    }
  });

  it('accepts every claim that holds at once', async () => {
    for (const sizeBytes of [100, 100_000]) {
      const body = payloadOf('claims', sizeBytes);
      const crc = Buffer.alloc(4);
      crc.writeUInt32BE(crc32(body));
      const put = await s3.put(bucket, 'key', body, {
        'content-md5': digestOf('MD5', body).toString('base64'),
        'x-amz-checksum-crc32': crc.toString('base64'),
        'x-amz-content-sha256': digestOf('SHA256', body).toString('hex'),
      });
      expect(put.status).toBe(200);
    }
  });

  it('stores headers, user metadata and tags as they came, and the default type', async () => {
    await s3.put(bucket, 'plain', 'x');
    expect((await s3.get(bucket, 'plain')).headers['content-type']).toBe('binary/octet-stream');
    const headers = {
      'cache-control': 'max-age=60',
      'content-disposition': 'attachment; filename="a b"',
      'content-encoding': 'gzip',
      'content-language': 'de',
      'content-type': 'text/plain; charset=utf-8',
      expires: 'not even a date',
      'x-amz-meta-colour': 'blue',
      'x-amz-meta-__proto__': 'name like any other',
    };
    await s3.put(bucket, 'key', 'x', { ...headers, 'x-amz-tagging': 'a=1&b=' });
    const got = await s3.get(bucket, 'key');
    expect(got.headers).toMatchObject({ ...headers, 'x-amz-tagging-count': 2 });
    const head = await s3.call('HeadObject', { bucket, key: 'key' });
    expect(head.headers).toEqual(got.headers);
    const tagging = await s3.call('GetObjectTagging', { bucket, key: 'key' });
    expect(tagging.body.toString()).toContain(
      '<Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value></Value></Tag>',
    );
  });

  it('replaces metadata and tags of the object before', async () => {
    await s3.put(bucket, 'key', 'one', { 'x-amz-meta-a': '1', 'x-amz-tagging': 'a=1' });
    await s3.put(bucket, 'key', 'two');
    const got = await s3.get(bucket, 'key');
    expect(got.headers).not.toHaveProperty('x-amz-meta-a');
    expect(got.headers).not.toHaveProperty('x-amz-tagging-count');
  });

  it.each([
    ['over 2 KB of metadata', { 'x-amz-meta-big': 'x'.repeat(2100) }, 'MetadataTooLarge'],
    ['eleven tags', { 'x-amz-tagging': Array.from({ length: 11 }, (_, i) => `k${i}=v`).join('&') }, 'BadRequest'],
    ['a tag key of 129 characters', { 'x-amz-tagging': `${'k'.repeat(129)}=v` }, 'InvalidTag'],
    ['a tag value of 257 characters', { 'x-amz-tagging': `k=${'v'.repeat(257)}` }, 'InvalidTag'],
    ['a tag twice', { 'x-amz-tagging': 'a=1&a=2' }, 'InvalidArgument'],
  ])('refuses %s', async (_, headers, code) => {
    expect(await codeOf(s3.put(bucket, 'key', 'x', headers))).toBe(code);
    expect(await codeOf(s3.get(bucket, 'key'))).toBe('NoSuchKey');
  });

  it('answers a body of unknown length 411, one over 5 GiB EntityTooLarge, one that ends early IncompleteBody', async () => {
    const body = (lengthBytes: number | undefined) => ({
      lengthBytes,
      expectations: [],
      async *[Symbol.asyncIterator]() {
        yield Buffer.alloc(1000);
      },
    });
    const put = (lengthBytes: number | undefined) =>
      s3.call('PutObject', { bucket, key: 'key', body: body(lengthBytes) });
    expect(await errorOf(put(undefined))).toMatchObject({ code: 'MissingContentLength', status: 411 });
    expect(await codeOf(put(5 * 1024 ** 3 + 1))).toBe('EntityTooLarge');
    expect(await codeOf(put(1001))).toBe('IncompleteBody');
    expect(await codeOf(put(100_000))).toBe('IncompleteBody');
    expect((await put(1000)).status).toBe(200);
  });

  it('passes on what the body throws and leaves nothing', async () => {
    for (const lengthBytes of [2000, 200_000]) {
      const body = {
        lengthBytes,
        expectations: [],
        async *[Symbol.asyncIterator]() {
          yield Buffer.alloc(1000);
          throw new StoreError('NotReady', 'cut off');
        },
      };
      await expect(s3.call('PutObject', { bucket, key: 'key', body })).rejects.toThrow('cut off');
      expect(await codeOf(s3.get(bucket, 'key'))).toBe('NoSuchKey');
    }
  });

  it('into a bucket that is not there is NoSuchBucket, also when it goes while the body is read', async () => {
    expect(await codeOf(s3.put('nowhere', 'key', 'x'))).toBe('NoSuchBucket');
    const body = {
      lengthBytes: 4,
      expectations: [],
      [Symbol.asyncIterator]: async function* () {
        await s3.services.buckets.deleteBucket(bucket);
        yield Buffer.from('late');
      },
    };
    expect(await codeOf(s3.call('PutObject', { bucket, key: 'key', body }))).toBe('NoSuchBucket');
  });

  it('writes a small body anew when its volume is lost before the commit', async () => {
    const [volume] = await s3.metadata.listVolumes();
    const body = {
      lengthBytes: 4,
      expectations: [],
      [Symbol.asyncIterator]: async function* () {
        yield Buffer.from('data');
      },
    };
    const writeSmall = s3.data.writeSmall.bind(s3.data);
    let writes = 0;
    s3.data.writeSmall = async (bytes, descriptor) => {
      const pinned = await writeSmall(bytes, descriptor);
      if (writes++ > 0) return pinned;
      // The first time as if into a volume that is dropped before the commit.
      const footprint = [{ volumeId: volume!.volumeId + 1000, storedBytes: 1 }];
      return { blob: { ...pinned.blob, footprint }, unpin: () => pinned.unpin() };
    };
    expect((await s3.call('PutObject', { bucket, key: 'key', body })).status).toBe(200);
    expect(writes).toBe(2);
    expect((await s3.get(bucket, 'key')).body.toString()).toBe('data');
  });

  it('passes on a failure of the data store', async () => {
    for (const sizeBytes of [10, 100_000]) {
      s3.data.failWrites.push(new StoreError('DiskFull', 'full'));
      await expect(s3.put(bucket, 'key', payloadOf('full', sizeBytes))).rejects.toMatchObject({ code: 'DiskFull' });
    }
  });

  it('describes the blob to a recovery from shards', async () => {
    await s3.put(bucket, 'a/key', 'body', { 'x-amz-meta-a': '1', 'x-amz-tagging': 't=v' });
    const described = decodeBlobDescriptor(s3.data.descriptors.at(-1)!);
    expect(described).toMatchObject({
      kind: 'object',
      bucketName: bucket,
      key: 'a/key',
      content: { sizeBytes: 4, etag: md5(Buffer.from('body')), checksum: { algorithm: 'CRC64NVME' } },
      attributes: { userMetadata: { a: '1' }, tags: [{ key: 't', value: 'v' }], storageClass: 'STANDARD' },
    });
  });
});

describe('a small body that is hashed on another thread', () => {
  let medium: MemoryFixture;
  const lent = new Set<unknown>();
  beforeAll(async () => {
    medium = await createMemoryFixture({ smallBlobLimitBytes: 128 * 1024 });
    const { bodyBuffers } = medium.stores;
    const [tryAcquire, release] = [bodyBuffers.tryAcquire.bind(bodyBuffers), bodyBuffers.release.bind(bodyBuffers)];
    bodyBuffers.tryAcquire = () => {
      const slot = tryAcquire();
      if (slot !== undefined) lent.add(slot);
      return slot;
    };
    bodyBuffers.release = (slot) => {
      lent.delete(slot);
      release(slot);
    };
    await medium.createBucket('medium');
  });
  afterAll(async () => {
    expect(lent.size).toBe(0);
    await medium.stop();
  });

  it('is stored and named as any other, many at once and when no buffer is free', async () => {
    const sizes = [32 * 1024 - 1, 32 * 1024, 100_000, 128 * 1024];
    const bodies = Array.from({ length: 24 }, (_, i) => payloadOf(`medium/${i}`, sizes[i % sizes.length]!));
    const puts = await Promise.all(bodies.map((body, i) => medium.put('medium', `key-${i}`, body)));
    for (const [i, body] of bodies.entries()) {
      expect(puts[i]!.headers).toMatchObject({
        etag: `"${md5(body)}"`,
        'x-amz-checksum-crc64nvme': digestOf('CRC64NVME', body).toString('base64'),
      });
      expect((await medium.get('medium', `key-${i}`)).body.equals(body)).toBe(true);
    }
    expect(lent.size).toBe(0);
  });

  it.each([
    ['content-md5', digestOf('MD5', Buffer.from('other')).toString('base64'), 'BadDigest'],
    ['x-amz-content-sha256', '0'.repeat(64), 'XAmzContentSHA256Mismatch'],
  ])('is refused with a wrong %s, and its buffer goes back', async (header, value, code) => {
    const put = medium.put('medium', 'refused', payloadOf('refused', 100_000), { [header]: value });
    expect(await codeOf(put)).toBe(code);
    expect(await codeOf(medium.get('medium', 'refused'))).toBe('NoSuchKey');
    expect(lent.size).toBe(0);
  });
});
