import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import { decodeBlobDescriptor } from '../../src/service/blob-descriptor.ts';
import { testKeyArn } from '../support/encryption-fixture.ts';
import {
  type CallOptions,
  type CallResult,
  codeOf,
  createMemoryFixture,
  errorOf,
  type MemoryFixture,
} from '../support/service-fixture.ts';

const SSE = 'x-amz-server-side-encryption';
const S3_KEY = { [SSE]: 'AES256' };
const kms = (keyId: string) => ({ [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: keyId });
const body = randomBytes(200_000);

let s3: MemoryFixture;
let bucket = '';
let bucketCount = 0;

beforeAll(async () => {
  s3 = await createMemoryFixture();
  await s3.ring.create('first');
  await s3.ring.create('second');
});
afterAll(async () => {
  await s3.stop();
});
beforeEach(async () => {
  bucket = `bucket-${++bucketCount}`;
  await s3.createBucket(bucket);
});

function call(operation: string, options: CallOptions = {}): Promise<CallResult> {
  return s3.call(operation, { bucket, key: 'key', isSecure: true, ...options });
}

function wanted(keyArn: string, bucketKey = ''): string {
  return `<ObjectEncryption xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><SSE-KMS><KMSKeyArn>${keyArn}</KMSKeyArn>${bucketKey}</SSE-KMS></ObjectEncryption>`;
}

function update(name: string, options: CallOptions & { bucketKey?: string } = {}): Promise<CallResult> {
  const { bucketKey = '', ...rest } = options;
  return call('UpdateObjectEncryption', { body: wanted(testKeyArn(name), bucketKey), ...rest });
}

async function stored(versionId?: string) {
  const { bucketId } = (await s3.metadata.getBucket(bucket))!;
  return (await s3.metadata.getObject({ bucketId, key: 'key', ...(versionId ? { versionId } : {}) }))!;
}

async function setVersioning(): Promise<void> {
  const record = await s3.services.buckets.requireBucket(bucket);
  await s3.services.buckets.putConfiguration(record, { name: 'versioning', value: { status: 'Enabled' } });
}

describe('UpdateObjectEncryption', () => {
  it.each([
    ['SSE-S3', S3_KEY],
    ['another KMS key', kms('second')],
  ])('puts an object under %s under a KMS key, and nothing else of it changes', async (_what, headers) => {
    await call('PutObject', { headers: { ...headers, 'x-amz-tagging': 'a=1', 'x-amz-meta-b': '2' }, body });
    const before = await call('HeadObject', { headers: { 'x-amz-checksum-mode': 'ENABLED' } });
    const written = s3.data.bytesWritten;
    expect(await update('first')).toMatchObject({ status: 200 });
    expect(s3.data.bytesWritten).toBe(written);
    const after = await call('HeadObject', { headers: { 'x-amz-checksum-mode': 'ENABLED' } });
    expect(after.headers).toEqual({
      ...before.headers,
      ...kms('unused'),
      [`${SSE}-aws-kms-key-id`]: testKeyArn('first'),
    });
    expect((await call('GetObject')).body.equals(body)).toBe(true);
    const range = await call('GetObject', { headers: { range: 'bytes=65530-131080' } });
    expect(range.body.equals(body.subarray(65530, 131_081))).toBe(true);
  });

  it('makes the former key needless, and the new one needed', async () => {
    await call('PutObject', { headers: kms('second'), body });
    await update('first');
    await s3.ring.setEnabled('second', false);
    try {
      expect((await call('GetObject')).body.equals(body)).toBe(true);
    } finally {
      await s3.ring.setEnabled('second', true);
    }
    await s3.ring.setEnabled('first', false);
    try {
      expect(await codeOf(call('GetObject'))).toBe('KMS.DisabledException');
    } finally {
      await s3.ring.setEnabled('first', true);
    }
  });

  it('turns an S3 Bucket Key on and off; without the element it is off', async () => {
    await call('PutObject', { headers: S3_KEY, body });
    await update('first', { bucketKey: '<BucketKeyEnabled>true</BucketKeyEnabled>' });
    expect((await call('HeadObject')).headers[`${SSE}-bucket-key-enabled`]).toBe('true');
    await update('first');
    expect((await call('HeadObject')).headers[`${SSE}-bucket-key-enabled`]).toBeUndefined();
    expect((await call('GetObject')).body.equals(body)).toBe(true);
  });

  it('changes the version that is named, an older one too, and no other', async () => {
    await setVersioning();
    const [old, current] = [
      await call('PutObject', { headers: S3_KEY, body: 'old' }),
      await call('PutObject', { headers: S3_KEY, body: 'new' }),
    ].map(({ headers }) => String(headers['x-amz-version-id']));
    const answer = await update('first', { query: { versionId: old! } });
    expect(answer.headers['x-amz-version-id']).toBe(old);
    const [first, second] = await Promise.all([stored(old), stored(current)]);
    expect((await call('HeadObject', { query: { versionId: old! } })).headers[SSE]).toBe('aws:kms');
    expect((await call('HeadObject')).headers[SSE]).toBe('AES256');
    expect((await call('GetObject', { query: { versionId: old! } })).body.toString()).toBe('old');
    expect((await call('GetObject')).body.toString()).toBe('new');
    expect([first.blobs.length, second.blobs.length]).toEqual([1, 1]);
  });

  it('keeps objects of many parts readable, and every part', async () => {
    const part = randomBytes(5 * 1024 * 1024);
    const created = await call('CreateMultipartUpload', { headers: S3_KEY });
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
    const etags = [];
    for (const partNumber of ['1', '2']) {
      const uploaded = await call('UploadPart', { query: { uploadId, partNumber }, body: part });
      etags.push(`<Part><PartNumber>${partNumber}</PartNumber><ETag>${uploaded.headers['etag']}</ETag></Part>`);
    }
    const document = `<CompleteMultipartUpload>${etags.join('')}</CompleteMultipartUpload>`;
    await call('CompleteMultipartUpload', { query: { uploadId }, body: document });
    await update('first');
    expect((await call('GetObject')).body.equals(Buffer.concat([part, part]))).toBe(true);
    const second = await call('GetObject', { query: { partNumber: '2' } });
    expect(second.headers['x-amz-mp-parts-count']).toBe(2);
    expect(second.body.equals(part)).toBe(true);
  });

  it('leaves a manifest with the new envelope for a recovery from shards, and one only', async () => {
    await call('PutObject', { headers: S3_KEY, body });
    await update('first');
    await update('second');
    const version = await stored();
    expect(version.blobs.map(({ sizeBytes }) => sizeBytes > 0)).toEqual([true, false]);
    const last = decodeBlobDescriptor(s3.data.descriptors.at(-1)!);
    expect(last).toMatchObject({ kind: 'manifest', key: 'key', encryption: version.encryption });
  });

  it('is refused for objects that are not encrypted or under a customer’s key', async () => {
    await call('PutObject', { body });
    const plain = await errorOf(update('first'));
    expect(plain).toMatchObject({ code: 'InvalidRequest', message: expect.stringContaining('unencrypted') });
    const key = Buffer.alloc(32, 1);
    const { createHash } = await import('node:crypto');
    const headers = {
      [`${SSE}-customer-algorithm`]: 'AES256',
      [`${SSE}-customer-key`]: key.toString('base64'),
      [`${SSE}-customer-key-md5`]: createHash('md5').update(key).digest('base64'),
    };
    await call('PutObject', { headers, body });
    expect(await errorOf(update('first'))).toMatchObject({
      code: 'InvalidRequest',
      message: expect.stringContaining('SSE-C'),
    });
  });

  it.each([
    ['no key', '<ObjectEncryption><SSE-KMS/></ObjectEncryption>', 'InvalidRequest'],
    ['a key id', wanted('first'), 'InvalidRequest'],
    ['an alias', wanted(testKeyArn('first').replace('key/', 'alias/')), 'InvalidRequest'],
    ['no encryption', '<ObjectEncryption/>', 'InvalidRequest'],
    ['SSE-S3', '<ObjectEncryption><SSE-S3/></ObjectEncryption>', 'MalformedXML'],
    ['no body', '', 'MissingRequestBodyError'],
    ['a key of another account', wanted('arn:aws:kms:us-east-1:999999999999:key/first'), 'AccessDenied'],
    ['a key that is not there', wanted(testKeyArn('missing')), 'KMS.NotFoundException'],
    [
      'a bucket key that is no boolean',
      wanted(testKeyArn('first'), '<BucketKeyEnabled>1</BucketKeyEnabled>'),
      'InvalidRequest',
    ],
  ])('is refused with %s', async (_what, document, code) => {
    await call('PutObject', { headers: S3_KEY, body: 'x' });
    expect(await codeOf(call('UpdateObjectEncryption', { body: document }))).toBe(code);
    expect((await call('HeadObject')).headers[SSE]).toBe('AES256');
  });

  it('finds no object, version or delete marker to change', async () => {
    expect(await codeOf(update('first'))).toBe('NoSuchKey');
    await setVersioning();
    await call('PutObject', { headers: S3_KEY, body: 'x' });
    expect(await codeOf(update('first', { query: { versionId: 'other' } }))).toBe('NoSuchVersion');
    const marker = await call('DeleteObject');
    expect(await codeOf(update('first'))).toBe('NoSuchKey');
    const versionId = String(marker.headers['x-amz-version-id']);
    expect(await codeOf(update('first', { query: { versionId } }))).toBe('MethodNotAllowed');
  });

  it('asks for every action on both keys before it changes anything', async () => {
    await call('PutObject', { headers: kms('second'), body: 'x' });
    const asked: string[] = [];
    const authorizeKey = async (action: string, keyArn: string): Promise<void> => {
      asked.push(`${action} ${keyArn.slice(keyArn.lastIndexOf('/') + 1)}`);
    };
    await update('first', { authorizeKey });
    expect(asked.toSorted()).toEqual([
      'kms:Decrypt first',
      'kms:Decrypt second',
      'kms:Encrypt first',
      'kms:GenerateDataKey first',
      'kms:ReEncryptFrom second',
      'kms:ReEncryptTo first',
    ]);
    for (const forbidden of asked) {
      await call('PutObject', { headers: kms('second'), body: 'x' });
      const refuse = async (action: string, keyArn: string): Promise<void> => {
        if (`${action} ${keyArn.slice(keyArn.lastIndexOf('/') + 1)}` === forbidden) throw new S3Error('AccessDenied');
      };
      expect(await codeOf(update('first', { authorizeKey: refuse }))).toBe('AccessDenied');
      expect((await call('HeadObject')).headers[`${SSE}-aws-kms-key-id`]).toBe(testKeyArn('second'));
    }
  });

  it('starts over when the object is replaced or sealed anew meanwhile', async () => {
    await call('PutObject', { headers: S3_KEY, body: 'old' });
    const { metadataStore } = s3.stores;
    const commit = metadataStore.commit.bind(metadataStore);
    let isFirst = true;
    metadataStore.commit = async (mutation) => {
      if (mutation.type === 'ReplaceEncryption' && isFirst) {
        isFirst = false;
        await call('PutObject', { headers: S3_KEY, body: 'new' });
      }
      return await commit(mutation);
    };
    try {
      await update('first');
    } finally {
      metadataStore.commit = commit;
    }
    const got = await call('GetObject');
    expect([got.body.toString(), got.headers[SSE]]).toEqual(['new', 'aws:kms']);
  });
});
