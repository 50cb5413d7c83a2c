import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
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
const SOURCE = 'x-amz-rename-source';
const TOKEN = 'x-amz-client-token';
const body = randomBytes(200_000);

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
  return s3.call(operation, { bucket, key: 'source', isSecure: true, ...options });
}

function rename(headers: Record<string, string> = {}, key = 'target'): Promise<CallResult> {
  return call('RenameObject', { key, headers: { [SOURCE]: 'source', ...headers } });
}

const put = (key: string, content: string | Buffer, headers: Record<string, string> = {}) =>
  call('PutObject', { key, body: content, headers });
const textOf = async (key: string) => (await call('GetObject', { key })).body.toString();
const allOf = (key: string) => call('HeadObject', { key, headers: { 'x-amz-checksum-mode': 'ENABLED' } });

describe('RenameObject', () => {
  it('moves an object with all that belongs to it, and writes none of its bytes', async () => {
    const headers = {
      'x-amz-tagging': 'a=1',
      'x-amz-meta-b': '2',
      'content-type': 'text/x',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    };
    await put('source', body, headers);
    const before = await allOf('source');
    const written = s3.data.bytesWritten;
    await s3.clock.advance(60_000);
    expect(await rename()).toMatchObject({ status: 200, headers: {} });
    expect(s3.data.bytesWritten).toBe(written);
    expect((await allOf('target')).headers).toEqual(before.headers);
    expect((await call('GetObject', { key: 'target' })).body.equals(body)).toBe(true);
    expect(await codeOf(call('GetObject'))).toBe('NoSuchKey');
    const tags = await call('GetObjectTagging', { key: 'target' });
    expect(tags.body.toString()).toContain('<Key>a</Key><Value>1</Value>');
    expect((await call('ListObjectsV2', { key: '', query: {} })).body.toString()).toContain('<KeyCount>1</KeyCount>');
  });

  it('takes the place of an object that is there', async () => {
    await put('source', 'new');
    await put('target', 'old');
    await rename();
    expect(await textOf('target')).toBe('new');
    expect(await codeOf(call('GetObject'))).toBe('NoSuchKey');
  });

  it('keeps the parts of a multipart object', async () => {
    const part = randomBytes(5 * 1024 * 1024);
    const created = await call('CreateMultipartUpload');
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
    const parts = [];
    for (const partNumber of ['1', '2']) {
      const uploaded = await call('UploadPart', { query: { uploadId, partNumber }, body: part });
      parts.push(`<Part><PartNumber>${partNumber}</PartNumber><ETag>${uploaded.headers['etag']}</ETag></Part>`);
    }
    const document = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
    await call('CompleteMultipartUpload', { query: { uploadId }, body: document });
    const before = await allOf('source');
    await rename();
    expect((await allOf('target')).headers).toEqual(before.headers);
    const second = await call('GetObject', { key: 'target', query: { partNumber: '2' } });
    expect(second.body.equals(part)).toBe(true);
  });

  it.each([
    ['SSE-S3', { [SSE]: 'AES256' }],
    [
      'SSE-KMS with a context',
      {
        [SSE]: 'aws:kms',
        [`${SSE}-aws-kms-key-id`]: 'first',
        [`${SSE}-context`]: Buffer.from('{"team":"a"}').toString('base64'),
      },
    ],
    [
      'an S3 Bucket Key',
      { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'first', [`${SSE}-bucket-key-enabled`]: 'true' },
    ],
  ])('seals the key of an object under %s anew, for the new key', async (_what, headers) => {
    const sha256 = createHash('sha256').update(body).digest('base64');
    await put('source', body, { ...headers, 'x-amz-checksum-sha256': sha256 });
    const before = await allOf('source');
    expect(before.headers['x-amz-checksum-sha256']).toBe(sha256);
    await rename();
    expect((await allOf('target')).headers).toEqual(before.headers);
    expect((await call('GetObject', { key: 'target' })).body.equals(body)).toBe(true);
    const { bucketId } = (await s3.metadata.getBucket(bucket))!;
    const renamed = (await s3.metadata.getObject({ bucketId, key: 'target' }))!;
    const last = decodeBlobDescriptor(s3.data.descriptors.at(-1)!);
    expect(last).toMatchObject({ kind: 'manifest', key: 'target', encryption: renamed.encryption });
  });

  it('is refused under a customer’s key, which it cannot bring along', async () => {
    const key = Buffer.alloc(32, 1);
    await put('source', 'x', {
      [`${SSE}-customer-algorithm`]: 'AES256',
      [`${SSE}-customer-key`]: key.toString('base64'),
      [`${SSE}-customer-key-md5`]: createHash('md5').update(key).digest('base64'),
    });
    expect(await codeOf(rename())).toBe('InvalidRequest');
    expect(await codeOf(call('HeadObject', { key: 'target' }))).toBe('NoSuchKey');
  });

  it('is 501 in a bucket with versions, suspended ones too', async () => {
    await put('source', 'x');
    for (const status of ['Enabled', 'Suspended'] as const) {
      const record = await s3.services.buckets.requireBucket(bucket);
      await s3.services.buckets.putConfiguration(record, { name: 'versioning', value: { status } });
      expect(await codeOf(rename())).toBe('NotImplemented');
      expect(await textOf('source')).toBe('x');
    }
  });

  it('names the source percent-encoded', async () => {
    await put('a folder/ключ+1', 'x');
    await rename({ [SOURCE]: encodeURIComponent('a folder/ключ+1') });
    expect(await textOf('target')).toBe('x');
  });

  it.each([
    ['a source that is not there', {}, 'target', 'NoSuchKey'],
    ['no source', { [SOURCE]: '' }, 'target', 'InvalidArgument'],
    ['a source that is not encoded', { [SOURCE]: '%zz' }, 'target', 'InvalidArgument'],
    ['a source that ends in a slash', { [SOURCE]: 'a/' }, 'target', 'InvalidRequest'],
    ['a destination that ends in a slash', {}, 'target/', 'InvalidRequest'],
    ['itself', {}, 'source', 'InvalidRequest'],
    ['a condition without an ETag', { 'if-match': '' }, 'target', 'InvalidArgument'],
    ['a date that cannot be read', { 'if-modified-since': 'yesterday' }, 'target', 'InvalidArgument'],
    ['a token with a space', { [TOKEN]: 'a b' }, 'target', 'InvalidArgument'],
    ['a token of 65 characters', { [TOKEN]: 'a'.repeat(65) }, 'target', 'InvalidArgument'],
  ])('is refused for %s', async (_what, headers, key, code) => {
    expect(await codeOf(rename(headers, key))).toBe(code);
  });

  it('looks at conditions on both sides, and changes nothing where one fails', async () => {
    const source = (await put('source', 'new')).headers['etag'] as string;
    const target = (await put('target', 'old')).headers['etag'] as string;
    const past = new Date(s3.clock.nowMs() - 3_600_000).toUTCString();
    const future = new Date(s3.clock.nowMs() + 3_600_000).toUTCString();
    const failing: [headers: Record<string, string>, condition: string][] = [
      [{ 'if-none-match': '*' }, 'If-None-Match'],
      [{ 'if-match': source }, 'If-Match'],
      [{ 'if-none-match': target }, 'If-None-Match'],
      [{ 'if-modified-since': future }, 'If-Modified-Since'],
      [{ 'if-unmodified-since': past }, 'If-Unmodified-Since'],
      [{ [`${SOURCE}-if-match`]: target }, `${SOURCE}-if-match`],
      [{ [`${SOURCE}-if-none-match`]: '*' }, `${SOURCE}-if-none-match`],
      [{ [`${SOURCE}-if-modified-since`]: future }, `${SOURCE}-if-modified-since`],
      [{ [`${SOURCE}-if-unmodified-since`]: past }, `${SOURCE}-if-unmodified-since`],
    ];
    for (const [headers, Condition] of failing) {
      expect(await errorOf(rename(headers))).toMatchObject({ code: 'PreconditionFailed', details: { Condition } });
      expect([await textOf('source'), await textOf('target')]).toEqual(['new', 'old']);
    }
    await rename({
      'if-match': target,
      'if-unmodified-since': future,
      [`${SOURCE}-if-match`]: source,
      [`${SOURCE}-if-modified-since`]: past,
    });
    expect(await textOf('target')).toBe('new');
  });

  it('onto nothing fails where the destination must be there, and holds where it must not', async () => {
    const etag = (await put('source', 'x')).headers['etag'] as string;
    const past = new Date(s3.clock.nowMs() - 3_600_000).toUTCString();
    expect(await codeOf(rename({ 'if-match': etag }))).toBe('PreconditionFailed');
    expect(await codeOf(rename({ 'if-modified-since': past }))).toBe('PreconditionFailed');
    await rename({ 'if-none-match': '*', 'if-unmodified-since': past });
    expect(await textOf('target')).toBe('x');
  });

  it('of two at once with If-None-Match one wins, and the other’s source stays', async () => {
    await put('source', 'one');
    await put('second', 'two');
    const settled = await Promise.allSettled([
      rename({ 'if-none-match': '*' }),
      rename({ 'if-none-match': '*', [SOURCE]: 'second' }),
    ]);
    expect(settled.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const won = settled[0].status === 'fulfilled' ? 'one' : 'two';
    expect(await textOf('target')).toBe(won);
    expect(await textOf(won === 'one' ? 'second' : 'source')).toBe(won === 'one' ? 'two' : 'one');
  });

  it('with a client token is done once: a retry succeeds and does nothing', async () => {
    await put('source', 'first');
    const headers = { [TOKEN]: 'token-1', 'if-none-match': '*' };
    await rename(headers);
    expect((await rename(headers)).status).toBe(200);
    await put('source', 'second');
    expect((await rename(headers)).status).toBe(200);
    expect([await textOf('source'), await textOf('target')]).toEqual(['second', 'first']);
    expect(await codeOf(rename({ [TOKEN]: 'token-2', 'if-none-match': '*' }))).toBe('PreconditionFailed');
  });

  it('refuses a client token that stood for another rename', async () => {
    await put('source', 'first');
    await put('other', 'x');
    await rename({ [TOKEN]: 'token' });
    expect(await codeOf(rename({ [TOKEN]: 'token' }, 'elsewhere'))).toBe('IdempotencyParameterMismatch');
    expect(await codeOf(rename({ [TOKEN]: 'token', [SOURCE]: 'other' }))).toBe('IdempotencyParameterMismatch');
    expect(await codeOf(rename({ [TOKEN]: 'token', 'if-match': '*' }))).toBe('IdempotencyParameterMismatch');
    expect(await textOf('target')).toBe('first');
  });

  it('forgets a client token after an hour, and knows none of another bucket', async () => {
    await put('source', 'first');
    const headers = { [TOKEN]: 'token' };
    await rename(headers);
    await s3.clock.advance(3_600_000);
    expect(await codeOf(rename(headers))).toBe('NoSuchKey');
    const former = bucket;
    bucket = `bucket-${++bucketCount}`;
    await s3.createBucket(bucket);
    await put('source', 'second');
    await rename(headers, 'elsewhere');
    expect(await textOf('elsewhere')).toBe('second');
    bucket = former;
  });

  it('starts over when the source is overwritten meanwhile, and takes what is there then', async () => {
    await put('source', 'old');
    const { metadataStore } = s3.stores;
    const commit = metadataStore.commit.bind(metadataStore);
    let isFirst = true;
    metadataStore.commit = async (mutation) => {
      if (mutation.type === 'RenameObject' && isFirst) {
        isFirst = false;
        await put('source', 'new');
      }
      return await commit(mutation);
    };
    try {
      await rename();
    } finally {
      metadataStore.commit = commit;
    }
    expect(await textOf('target')).toBe('new');
  });
});
