import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import { attributesOf } from '../../src/model/object-record.ts';
import { decodeBlobDescriptor } from '../../src/service/blob-descriptor.ts';
import {
  type CallOptions,
  type CallResult,
  codeOf,
  createMemoryFixture,
  errorOf,
  type MemoryFixture,
} from '../support/service-fixture.ts';

const SSE = 'x-amz-server-side-encryption';
const OFFSET = 'x-amz-write-offset-bytes';
const CUSTOMER_KEY = Buffer.alloc(32, 1);
const SSE_C = {
  [`${SSE}-customer-algorithm`]: 'AES256',
  [`${SSE}-customer-key`]: CUSTOMER_KEY.toString('base64'),
  [`${SSE}-customer-key-md5`]: createHash('md5').update(CUSTOMER_KEY).digest('base64'),
};
const KMS = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'first' };

let s3: MemoryFixture;
let bucket = '';
let bucketCount = 0;

beforeAll(async () => {
  s3 = await createMemoryFixture();
  await s3.ring.create('first');
});
afterAll(async () => {
  await s3.stop();
});
beforeEach(async () => {
  bucket = `bucket-${++bucketCount}`;
  await s3.createBucket(bucket);
});

function call(operation: string, options: CallOptions = {}): Promise<CallResult> {
  return s3.call(operation, { bucket, key: 'log', isSecure: true, ...options });
}

const put = (body: string | Buffer, headers: Record<string, string> = {}) => call('PutObject', { body, headers });
const append = (offsetBytes: number, body: string | Buffer, headers: Record<string, string> = {}) =>
  put(body, { [OFFSET]: String(offsetBytes), ...headers });
const textOf = async (headers: Record<string, string> = {}) => (await call('GetObject', { headers })).body.toString();
const headOf = (headers: Record<string, string> = {}, query: Record<string, string> = {}) =>
  call('HeadObject', { headers: { 'x-amz-checksum-mode': 'ENABLED', ...headers }, query });

describe('PutObject with a write offset', () => {
  it('makes an object at 0 and appends at its size, and answers how long it is', async () => {
    expect((await append(0, 'one ')).headers['x-amz-object-size']).toBe(4);
    const written = s3.data.bytesWritten;
    const answer = await append(4, 'two ');
    expect(answer.headers['x-amz-object-size']).toBe(8);
    expect(s3.data.bytesWritten - written).toBe(4);
    await append(8, 'three');
    expect(await textOf()).toBe('one two three');
    expect(await textOf({ range: 'bytes=2-9' })).toBe('e two th');
    expect((await headOf()).headers['content-length']).toBe(13);
    expect((await put('x')).headers['x-amz-object-size']).toBeUndefined();
  });

  it.each([1, 3, 5])('is refused at %i where the object has four bytes', async (offsetBytes) => {
    await put('four');
    expect(await codeOf(append(offsetBytes, 'x'))).toBe('InvalidWriteOffset');
    expect(await textOf()).toBe('four');
  });

  it('is refused at another offset than 0 without an object, and at 0 with one', async () => {
    expect(await codeOf(append(1, 'x'))).toBe('InvalidWriteOffset');
    await put('four');
    expect(await codeOf(append(0, 'x'))).toBe('InvalidWriteOffset');
    expect(await codeOf(append(-1, 'x'))).toBe('InvalidArgument');
  });

  it('of two at one offset lets one win, and loses no byte', async () => {
    await put('0');
    for (let size = 1; size <= 10; size++) {
      const settled = await Promise.allSettled([append(size, 'a'), append(size, 'b')]);
      expect(settled.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    }
    expect(await textOf()).toMatch(/^0[ab]{10}$/);
    const created = await Promise.allSettled(
      ['x', 'y'].map((body) => call('PutObject', { key: 'new', body, headers: { [OFFSET]: '0' } })),
    );
    expect(created.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(created.map((each) => (each.status === 'rejected' ? each.reason.code : ''))).toContain('InvalidWriteOffset');
  });

  it('keeps what is said of the object, and refuses to change it', async () => {
    await put('a', { 'x-amz-meta-m': '1', 'x-amz-tagging': 't=1', 'content-type': 'text/x', expires: 'never' });
    await append(1, 'b', { 'content-type': 'application/octet-stream', 'x-amz-meta-m': '1', 'x-amz-tagging': 't=1' });
    const { headers } = await headOf();
    expect(headers).toMatchObject({ 'x-amz-meta-m': '1', 'content-type': 'text/x', 'x-amz-tagging-count': 1 });
    for (const change of [
      { 'x-amz-meta-m': '2' },
      { 'x-amz-meta-n': '1' },
      { 'x-amz-tagging': 't=2' },
      { 'content-type': 'text/y' },
      { 'cache-control': 'no-cache' },
      { 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    ]) {
      expect(await codeOf(append(2, 'c', change))).toBe('InvalidRequest');
    }
    expect(await textOf()).toBe('ab');
  });

  it('goes on in the storage class of the object', async () => {
    await put('a', { 'x-amz-storage-class': 'REDUCED_REDUNDANCY' });
    await append(1, 'b');
    expect((await headOf()).headers['x-amz-storage-class']).toBe('REDUCED_REDUNDANCY');
  });

  it('gives each body a part, also behind a multipart object', async () => {
    const part = randomBytes(5 * 1024 * 1024);
    const created = await call('CreateMultipartUpload');
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
    const uploaded = await call('UploadPart', { query: { uploadId, partNumber: '3' }, body: part });
    const body = `<CompleteMultipartUpload><Part><PartNumber>3</PartNumber><ETag>${uploaded.headers['etag']}</ETag></Part></CompleteMultipartUpload>`;
    await call('CompleteMultipartUpload', { query: { uploadId }, body });
    const answer = await append(part.length, 'more');
    expect(answer.headers['etag']).toMatch(/^"[0-9a-f]{32}-2"$/);
    const last = await call('GetObject', { query: { partNumber: '4' } });
    expect([last.body.toString(), last.headers['x-amz-mp-parts-count']]).toEqual(['more', 2]);
    expect((await call('GetObject', { query: { partNumber: '3' } })).body.equals(part)).toBe(true);
  });

  it.each(['CRC32', 'CRC32C', 'CRC64NVME'] as const)(
    'keeps a %s of the whole, whatever the client checks by',
    async (algorithm) => {
      const name = `x-amz-checksum-${algorithm.toLowerCase()}`;
      const of = (text: string) => digestOf(algorithm, Buffer.from(text)).toString('base64');
      await put('one ', { [name]: of('one ') });
      const second = await append(4, 'two ', {
        'x-amz-checksum-sha256': digestOf('SHA256', Buffer.from('two ')).toString('base64'),
      });
      expect(second.headers).toMatchObject({ [name]: of('one two '), 'x-amz-checksum-type': 'FULL_OBJECT' });
      await append(8, 'three', { [name]: of('three') });
      expect((await headOf()).headers).toMatchObject({
        [name]: of('one two three'),
        'x-amz-checksum-type': 'FULL_OBJECT',
      });
      expect((await headOf({}, { partNumber: '2' })).headers[name]).toBe(of('two '));
      expect(await codeOf(append(13, 'four', { [name]: of('five') }))).toBe('BadDigest');
    },
  );

  it('makes of another checksum one of the parts', async () => {
    const sha256 = (text: string) => digestOf('SHA256', Buffer.from(text));
    const name = 'x-amz-checksum-sha256';
    await put('one ', { [name]: sha256('one ').toString('base64') });
    await append(4, 'two');
    const composite = digestOf('SHA256', Buffer.concat([sha256('one '), sha256('two')])).toString('base64');
    expect((await headOf()).headers).toMatchObject({ [name]: `${composite}-2`, 'x-amz-checksum-type': 'COMPOSITE' });
  });

  it.each([
    ['SSE-S3', { [SSE]: 'AES256' }, {}],
    ['SSE-KMS', KMS, {}],
    ['SSE-C', SSE_C, SSE_C],
  ])('seals what is appended to an object under %s with its key', async (_what, headers, key) => {
    const bodies = [randomBytes(100), randomBytes(200_000), randomBytes(70_000)];
    await put(bodies[0]!, headers);
    let size = 100;
    for (const body of bodies.slice(1)) {
      await append(size, body, key);
      size += body.length;
    }
    const whole = Buffer.concat(bodies);
    const got = await call('GetObject', { headers: { ...key, 'x-amz-checksum-mode': 'ENABLED' } });
    expect(got.body.equals(whole)).toBe(true);
    expect(got.headers['x-amz-checksum-crc64nvme']).toBe(digestOf('CRC64NVME', whole).toString('base64'));
    const range = await call('GetObject', { headers: { ...key, range: 'bytes=90-200105' } });
    expect(range.body.equals(whole.subarray(90, 200_106))).toBe(true);
    for (const descriptor of s3.data.descriptors) expect(descriptor.includes(whole.subarray(0, 32))).toBe(false);
  });

  it('refuses another encryption than the object’s, and plain bytes where the bucket encrypts', async () => {
    await put('a', { [SSE]: 'AES256' });
    for (const other of [KMS, SSE_C]) expect(await codeOf(append(1, 'b', other))).toBe('EncryptionTypeMismatch');
    await append(1, 'b', { [SSE]: 'AES256' });
    await put('a', SSE_C);
    expect(await codeOf(append(1, 'b'))).toBe('InvalidRequest');
    await put('a');
    expect(await codeOf(append(1, 'b', { [SSE]: 'AES256' }))).toBe('EncryptionTypeMismatch');
    const byDefault = `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`;
    await call('PutBucketEncryption', { key: '', body: byDefault });
    expect(await codeOf(append(1, 'b'))).toBe('EncryptionTypeMismatch');
    expect(await textOf()).toBe('a');
  });

  it('is 501 in a bucket with versions', async () => {
    await put('a');
    const record = await s3.services.buckets.requireBucket(bucket);
    await s3.services.buckets.putConfiguration(record, { name: 'versioning', value: { status: 'Enabled' } });
    expect(await codeOf(append(1, 'b'))).toBe('NotImplemented');
  });

  it('looks at conditions', async () => {
    const etag = String((await put('a')).headers['etag']);
    expect(await codeOf(append(1, 'b', { 'if-match': '"other"' }))).toBe('PreconditionFailed');
    expect(await codeOf(append(1, 'b', { 'if-none-match': '*' }))).toBe('PreconditionFailed');
    await append(1, 'b', { 'if-match': etag });
    expect(await textOf()).toBe('ab');
  });

  it('takes 10,000 parts and no more; a copy is one body again', { timeout: 120_000 }, async () => {
    const { bucketId } = (await s3.metadata.getBucket(bucket))!;
    await put('0');
    const first = (await s3.metadata.getObject({ bucketId, key: 'log' }))!;
    // 9,998 at once, which one by one take half a minute.
    const pinned = await s3.data.writeSmall(Buffer.from('x'), Buffer.alloc(0));
    const blobs = Array.from({ length: 9998 }, () => ({
      newBlob: { ...pinned.blob, blobId: s3.metadata.nextIdentifier() },
    }));
    const attributes = attributesOf(first);
    await s3.metadata.commit({
      type: 'AppendObject',
      bucketId,
      key: 'log',
      seen: { order: first.order, sizeBytes: 1, attributes },
      etag: `${'0'.repeat(32)}-9999`,
      sizeBytes: 9999,
      lastModifiedMs: 1,
      checksum: attributes.checksum,
      encryption: undefined,
      parts: [{ sizeBytes: 1 }, ...blobs.map(() => ({ sizeBytes: 1 }))],
      blobs,
    });
    pinned.unpin();
    const etag = String((await append(9999, 'last')).headers['etag']);
    expect(etag).toMatch(/-10000"$/);
    expect(await codeOf(append(10_003, 'more'))).toBe('TooManyParts');
    expect((await headOf({}, { partNumber: '10000' })).headers['x-amz-mp-parts-count']).toBe(10_000);
  });

  it('is copied as one body, which is appended to anew', async () => {
    await put('one ');
    await append(4, 'two ');
    const copied = await call('CopyObject', { key: 'copy', headers: { 'x-amz-copy-source': `/${bucket}/log` } });
    const md5 = createHash('md5').update('one two ').digest('hex');
    expect(copied.body.toString()).toContain(md5);
    const { bucketId } = (await s3.metadata.getBucket(bucket))!;
    const copy = (await s3.metadata.getObject({ bucketId, key: 'copy' }))!;
    expect([copy.parts, copy.blobs.length]).toEqual([undefined, 1]);
  });

  it('tells a recovery from shards what it goes on from', async () => {
    await put('one ');
    await append(4, 'two ');
    await append(8, 'three');
    const { bucketId } = (await s3.metadata.getBucket(bucket))!;
    const { blobs, etag } = (await s3.metadata.getObject({ bucketId, key: 'log' }))!;
    const [, second, third] = s3.data.descriptors.slice(-3).map((descriptor) => decodeBlobDescriptor(descriptor));
    expect(second).toMatchObject({ kind: 'object', previous: blobs[0]!.blobId, content: { sizeBytes: 8 } });
    expect(third).toMatchObject({ previous: blobs[1]!.blobId, content: { sizeBytes: 13, etag } });
  });

  it('does not undo a change of tags that comes between', async () => {
    await put('a');
    const { metadataStore } = s3.stores;
    const commit = metadataStore.commit.bind(metadataStore);
    let isFirst = true;
    metadataStore.commit = async (mutation) => {
      if (mutation.type === 'AppendObject' && isFirst) {
        isFirst = false;
        const body = '<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>';
        await call('PutObjectTagging', { body });
      }
      return await commit(mutation);
    };
    try {
      expect(await errorOf(append(1, 'b'))).toMatchObject({ code: 'ConditionalRequestConflict', status: 409 });
    } finally {
      metadataStore.commit = commit;
    }
    await append(1, 'b');
    expect((await headOf()).headers['x-amz-tagging-count']).toBe(1);
  });
});
