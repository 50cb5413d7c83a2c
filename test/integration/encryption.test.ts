import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import { decodeEncryption } from '../../src/service/encryption/encryption-record.ts';
import { testKeyArn } from '../support/encryption-fixture.ts';
import {
  type CallOptions,
  type CallResult,
  createMemoryFixture,
  type MemoryFixture,
} from '../support/service-fixture.ts';

const KIBIBYTE = 1024;
const PART_BYTES = 5 * KIBIBYTE * KIBIBYTE;
const SSE = 'x-amz-server-side-encryption';
const KEY_A = customerHeaders(Buffer.alloc(32, 1));
const KEY_B = customerHeaders(Buffer.alloc(32, 2));

function customerHeaders(key: Buffer, prefix = `${SSE}-customer-`): Record<string, string> {
  return {
    [`${prefix}algorithm`]: 'AES256',
    [`${prefix}key`]: key.toString('base64'),
    [`${prefix}key-md5`]: createHash('md5').update(key).digest('base64'),
  };
}

function asCopySource(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.replace('x-amz-', 'x-amz-copy-source-'), value]),
  );
}

interface Mode {
  name: string;
  /** On uploads. */
  write: Record<string, string>;
  /** On reads. */
  read: Record<string, string>;
  /** Named by answers. */
  shown: Record<string, string>;
}

const PLAIN: Mode = { name: 'plain', write: {}, read: {}, shown: {} };
const SSE_S3: Mode = { name: 'SSE-S3', write: { [SSE]: 'AES256' }, read: {}, shown: { [SSE]: 'AES256' } };
const SSE_KMS: Mode = {
  name: 'SSE-KMS',
  write: { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'first' },
  read: {},
  shown: { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: testKeyArn('first') },
};
const SSE_KMS_BUCKET_KEY: Mode = {
  name: 'SSE-KMS with a bucket key',
  write: { ...SSE_KMS.write, [`${SSE}-bucket-key-enabled`]: 'true' },
  read: {},
  shown: { ...SSE_KMS.shown, [`${SSE}-bucket-key-enabled`]: 'true' },
};
const SSE_C: Mode = {
  name: 'SSE-C',
  write: KEY_A,
  read: KEY_A,
  shown: { [`${SSE}-customer-algorithm`]: 'AES256', [`${SSE}-customer-key-md5`]: KEY_A[`${SSE}-customer-key-md5`]! },
};
const ENCRYPTED = [SSE_S3, SSE_KMS, SSE_KMS_BUCKET_KEY, SSE_C];
const ALL = [PLAIN, ...ENCRYPTED];

let s3: MemoryFixture;

beforeAll(async () => {
  s3 = await createMemoryFixture({ smallBlobLimitBytes: 128 * KIBIBYTE });
  await s3.ring.create('first');
  await s3.ring.create('second');
  await s3.createBucket('bucket');
});

afterAll(() => s3.stop());

function call(operation: string, options: CallOptions): Promise<CallResult> {
  return s3.call(operation, { bucket: 'bucket', key: 'key', isSecure: true, ...options });
}

function shownOf({ headers }: CallResult): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith(SSE)));
}

async function failure(promise: Promise<unknown>): Promise<Partial<S3Error>> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

async function stored(key = 'key') {
  const { bucketId } = (await s3.metadata.getBucket('bucket'))!;
  return (await s3.metadata.getObject({ bucketId, key }))!;
}

function xmlValue(body: Buffer, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(body.toString())?.[1]?.replaceAll('&quot;', '"');
}

async function uploadParts(mode: Mode, bodies: readonly Buffer[], options: { key?: string } = {}): Promise<CallResult> {
  const created = await call('CreateMultipartUpload', { ...options, headers: mode.write });
  expect(shownOf(created)).toEqual(mode.shown);
  const uploadId = xmlValue(created.body, 'UploadId')!;
  let listed = '';
  for (const [index, body] of bodies.entries()) {
    const query = { uploadId, partNumber: String(index + 1) };
    const part = await call('UploadPart', { ...options, query, headers: mode.read, body });
    expect(shownOf(part)).toEqual(mode.shown);
    listed += `<Part><PartNumber>${index + 1}</PartNumber><ETag>${part.headers['etag']}</ETag></Part>`;
  }
  const body = `<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`;
  return await call('CompleteMultipartUpload', { ...options, query: { uploadId }, headers: mode.read, body });
}

describe.each(ENCRYPTED)('$name', (mode) => {
  it.each([0, 1, 100, 64 * KIBIBYTE, 64 * KIBIBYTE + 1, 200 * KIBIBYTE, 1_000_000])(
    'gives back a body of %i bytes with the headers of AWS, and none of it lies in the store',
    async (size) => {
      const body = Buffer.alloc(size, 'a plain text that must not be found ');
      const put = await call('PutObject', { headers: mode.write, body });
      expect(shownOf(put)).toEqual(mode.shown);
      const got = await call('GetObject', { headers: mode.read });
      expect(got.body.equals(body)).toBe(true);
      expect(got.headers['content-length']).toBe(size);
      expect(got.headers['etag']).toBe(put.headers['etag']);
      expect(shownOf(got)).toEqual(mode.shown);
      const head = await call('HeadObject', { headers: mode.read });
      expect(head.headers).toEqual(got.headers);
      const record = await stored();
      expect(record.sizeBytes).toBe(size);
      for (const blob of record.blobs) {
        const bytes = s3.data.bytesOf(blob);
        expect(bytes.length).toBe(size + 16 * Math.ceil(size / (64 * KIBIBYTE)));
        expect(bytes.includes('must not be found')).toBe(false);
      }
    },
  );

  it('reads any range around the borders of packages', async () => {
    const body = randomBytes(200 * KIBIBYTE + 7);
    await call('PutObject', { headers: mode.write, body });
    const edges = [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, body.length - 1];
    for (const start of edges) {
      for (const end of edges.filter((edge) => edge >= start)) {
        const got = await call('GetObject', { headers: { ...mode.read, range: `bytes=${start}-${end}` } });
        expect(got.status).toBe(206);
        expect(got.headers['content-range']).toBe(`bytes ${start}-${end}/${body.length}`);
        expect(got.body.equals(body.subarray(start, end + 1))).toBe(true);
      }
    }
  });

  it('has the MD5 of the bytes as ETag under SSE-S3 and nothing of them otherwise; the checksum is that of the bytes', async () => {
    const body = randomBytes(1000);
    const headers = { ...mode.write, 'x-amz-checksum-crc32': crc32Of(body) };
    const put = await call('PutObject', { headers, body });
    const md5 = `"${createHash('md5').update(body).digest('hex')}"`;
    expect(put.headers['etag'] === md5).toBe(mode === SSE_S3);
    expect(put.headers['etag']).toMatch(/^"[0-9a-f]{32}"$/);
    expect(put.headers['x-amz-checksum-crc32']).toBe(crc32Of(body));
    const record = await stored();
    expect(record.checksum!.value).not.toBe(crc32Of(body));
    const head = await call('HeadObject', { headers: { ...mode.read, 'x-amz-checksum-mode': 'ENABLED' } });
    expect(head.headers['x-amz-checksum-crc32']).toBe(crc32Of(body));
    const attributes = await call('GetObjectAttributes', {
      headers: { ...mode.read, 'x-amz-object-attributes': 'Checksum,ObjectSize' },
    });
    expect(xmlValue(attributes.body, 'ChecksumCRC32')).toBe(crc32Of(body));
    expect(xmlValue(attributes.body, 'ObjectSize')).toBe('1000');
  });

  it('refuses a body whose claimed digest is another', async () => {
    const wrong = createHash('md5').update('other').digest('base64');
    const headers = { ...mode.write, 'content-md5': wrong };
    expect(await failure(call('PutObject', { key: 'none', headers, body: 'x' }))).toMatchObject({ code: 'BadDigest' });
    const get = call('GetObject', { key: 'none', headers: mode.read });
    expect(await failure(get)).toMatchObject({ code: 'NoSuchKey' });
  });

  it('uploads in parts, each sealed with a key of its own, with sizes and checksums of the plain bytes', async () => {
    const bodies = [randomBytes(PART_BYTES), randomBytes(PART_BYTES + 1), randomBytes(70_000)];
    const completed = await uploadParts(mode, bodies);
    expect(shownOf(completed)).toEqual(mode.shown);
    const whole = Buffer.concat(bodies);
    const got = await call('GetObject', { headers: mode.read });
    expect(got.body.equals(whole)).toBe(true);
    const border = PART_BYTES;
    const range = `bytes=${border - 70_000}-${border + PART_BYTES + 5}`;
    const part = await call('GetObject', { headers: { ...mode.read, range } });
    expect(part.body.equals(whole.subarray(border - 70_000, border + PART_BYTES + 6))).toBe(true);
    const second = await call('GetObject', { headers: mode.read, query: { partNumber: '2' } });
    expect(second.body.equals(bodies[1]!)).toBe(true);
    const attributes = await call('GetObjectAttributes', {
      headers: { ...mode.read, 'x-amz-object-attributes': 'ObjectParts,Checksum' },
    });
    expect(attributes.body.toString()).toContain(`<Size>${PART_BYTES + 1}</Size>`);
    const salts = decodeEncryption((await stored()).encryption!).salts.map((salt) => salt.toString('hex'));
    expect(new Set(salts).size).toBe(3);
  });

  it('sec_key_reuse: never uses a data key again: not for another version, another upload, or the same bytes', async () => {
    const sealedKeys = new Set<string>();
    const stored1: string[] = [];
    for (let round = 0; round < 3; round++) {
      await call('PutObject', { headers: mode.write, body: 'the same' });
      const record = await stored();
      sealedKeys.add(decodeEncryption(record.encryption!).sealedDataKey.toString('hex'));
      stored1.push(s3.data.bytesOf(record.blobs[0]!).toString('hex'));
    }
    expect(sealedKeys.size).toBe(3);
    expect(new Set(stored1).size).toBe(3);
  });

  it('breaks off, and shows nothing, where stored bytes were changed', async () => {
    const body = randomBytes(1000);
    await call('PutObject', { headers: mode.write, body });
    const { blobs } = await stored();
    const bytes = s3.data.bytesOf(blobs[0]!);
    bytes[500]! ^= 1;
    await expect(call('GetObject', { headers: mode.read })).rejects.toMatchObject({ code: 'ShardCorrupt' });
  });
});

function crc32Of(body: Buffer): string {
  const table = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
  });
  let crc = 0xffffffff;
  for (const byte of body) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  const result = Buffer.alloc(4);
  result.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
  return result.toString('base64');
}

describe('copies', () => {
  const pairs = ALL.flatMap((from) =>
    [...ALL, { ...SSE_C, name: 'SSE-C, other key', write: KEY_B, read: KEY_B }].map((to) => ({ from, to })),
  );

  it.each(pairs)('from $from.name to $to.name keep the bytes', async ({ from, to }) => {
    for (const size of [0, 10, 200_000]) {
      const body = randomBytes(size);
      await call('PutObject', { key: 'source', headers: from.write, body });
      const copied = await call('CopyObject', {
        key: 'copy',
        headers: { 'x-amz-copy-source': '/bucket/source', ...asCopySource(from.read), ...to.write },
      });
      expect(shownOf(copied)[SSE]).toBe(to.shown[SSE]);
      const got = await call('GetObject', { key: 'copy', headers: { ...to.read, 'x-amz-checksum-mode': 'ENABLED' } });
      expect(got.body.equals(body)).toBe(true);
      const source = await call('GetObject', {
        key: 'source',
        headers: { ...from.read, 'x-amz-checksum-mode': 'ENABLED' },
      });
      expect(source.body.equals(body)).toBe(true);
      expect(got.headers['x-amz-checksum-crc64nvme']).toBe(source.headers['x-amz-checksum-crc64nvme']);
    }
  });

  it('between places with the same wrapping key move no bytes, and no envelope opens under another name', async () => {
    for (const mode of [SSE_S3, SSE_KMS]) {
      await call('PutObject', { key: 'source', headers: mode.write, body: randomBytes(300_000) });
      const headers = { 'x-amz-copy-source': '/bucket/source', ...mode.write };
      await call('CopyObject', { key: 'copy', headers });
      const [source, copy] = [await stored('source'), await stored('copy')];
      expect(copy.blobs[0]!.blobId).toBe(source.blobs[0]!.blobId);
      expect(copy.encryption!.equals(source.encryption!)).toBe(false);
    }
  });

  it('write the bytes anew wherever the key changes or is a customer’s', async () => {
    const second = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'second' };
    for (const [from, to] of [
      [SSE_S3, SSE_KMS.write],
      [SSE_KMS, second],
      [SSE_C, KEY_A],
      [SSE_C, SSE_S3.write],
    ] as const) {
      await call('PutObject', { key: 'source', headers: from.write, body: randomBytes(300_000) });
      const headers = { 'x-amz-copy-source': '/bucket/source', ...asCopySource(from.read), ...to };
      await call('CopyObject', { key: 'copy', headers });
      expect((await stored('copy')).blobs[0]!.blobId).not.toBe((await stored('source')).blobs[0]!.blobId);
    }
  });

  it('of multipart objects keep their parts where the envelope alone is new', async () => {
    const bodies = [randomBytes(PART_BYTES), randomBytes(70_000)];
    await uploadParts(SSE_KMS, bodies, { key: 'source' });
    const headers = { 'x-amz-copy-source': '/bucket/source', ...SSE_KMS.write };
    await call('CopyObject', { key: 'copy', headers });
    const part = await call('GetObject', { key: 'copy', query: { partNumber: '2' } });
    expect(part.body.equals(bodies[1]!)).toBe(true);
  });

  it('into parts of an upload work from and to every mode', async () => {
    for (const from of ALL) {
      for (const to of ALL) {
        const body = randomBytes(200_000);
        await call('PutObject', { key: 'source', headers: from.write, body });
        const created = await call('CreateMultipartUpload', { key: 'copy', headers: to.write });
        const uploadId = xmlValue(created.body, 'UploadId')!;
        const part = await call('UploadPartCopy', {
          key: 'copy',
          query: { uploadId, partNumber: '1' },
          headers: {
            'x-amz-copy-source': '/bucket/source',
            'x-amz-copy-source-range': 'bytes=1000-150999',
            ...asCopySource(from.read),
            ...to.read,
          },
        });
        expect(shownOf(part)).toEqual(to.shown);
        const list = `<Part><PartNumber>1</PartNumber><ETag>${xmlValue(part.body, 'ETag')}</ETag></Part>`;
        await call('CompleteMultipartUpload', {
          key: 'copy',
          query: { uploadId },
          headers: to.read,
          body: `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`,
        });
        const got = await call('GetObject', { key: 'copy', headers: to.read });
        expect(got.body.equals(body.subarray(1000, 151_000))).toBe(true);
      }
    }
  });
});

describe('a part that is sent again while the upload is completed', () => {
  it.each(ENCRYPTED)('leaves an object that opens: $name', async (mode) => {
    const body = randomBytes(200 * KIBIBYTE);
    const created = await call('CreateMultipartUpload', { key: 'again', headers: mode.write });
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
    const upload = async (): Promise<unknown> => {
      const part = { query: { uploadId, partNumber: '1' }, headers: mode.read, body };
      return (await call('UploadPart', { key: 'again', ...part })).headers['etag'];
    };
    const etag = String(await upload());
    // The manifest is written when the parts have been read, before the commit.
    const { data } = s3;
    const original = data.writeSmall.bind(data);
    const spy = vi.spyOn(data, 'writeSmall').mockImplementationOnce(async (...manifest) => {
      await upload();
      return await original(...manifest);
    });
    const list = `<Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part>`;
    const completed = call('CompleteMultipartUpload', {
      key: 'again',
      query: { uploadId },
      headers: mode.read,
      body: `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`,
    });
    if (mode === SSE_S3) {
      await completed;
      const read = await call('GetObject', { key: 'again', headers: mode.read });
      expect(read.body.equals(body)).toBe(true);
    } else {
      // The ETag says nothing of the bytes: the part that was listed is not there any more.
      await expect(completed).rejects.toMatchObject({ code: 'InvalidPart' });
    }
    spy.mockRestore();
  });
});

describe('a KMS key that is disabled', () => {
  it.each([SSE_KMS, SSE_KMS_BUCKET_KEY])(
    'serves nobody from then on, and again when it is enabled: $name',
    async ({ write }) => {
      await call('PutObject', { headers: write, body: 'secret' });
      expect((await call('GetObject', {})).body.toString()).toBe('secret');
      await s3.ring.setEnabled('first', false);
      try {
        for (const [operation, headers] of [
          ['GetObject', {}],
          ['PutObject', write],
        ] as const) {
          await expect(call(operation, { headers, body: 'x' })).rejects.toMatchObject({
            code: 'KMS.DisabledException',
          });
        }
      } finally {
        await s3.ring.setEnabled('first', true);
      }
      expect((await call('GetObject', {})).body.toString()).toBe('secret');
    },
  );
});
