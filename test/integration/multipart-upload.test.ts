import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import type { ChecksumAlgorithm } from '../../src/model/object-record.ts';
import { decodeBlobDescriptor } from '../../src/service/blob-descriptor.ts';
import { payloadOf } from '../support/payload.ts';
import {
  codeOf,
  createMemoryFixture,
  elementOf,
  elementsOf,
  errorOf,
  type CallResult,
  type MemoryFixture,
} from '../support/service-fixture.ts';

const MINIMUM = 5 * 1024 * 1024;

let s3: MemoryFixture;
let bucket: string;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture({ smallBlobLimitBytes: 16 * 1024, pieceSizeBytes: 256 * 1024 });
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

interface Part {
  partNumber: number;
  etag: string;
  checksum?: [algorithm: ChecksumAlgorithm, value: string];
}

async function create(key: string, headers: Record<string, string> = {}): Promise<string> {
  const created = await s3.call('CreateMultipartUpload', { bucket, key, headers });
  return elementOf(created.body, 'UploadId')!;
}

async function upload(
  key: string,
  uploadId: string,
  partNumber: number,
  body: Buffer | string,
  headers: Record<string, string> = {},
): Promise<Part> {
  const query = { uploadId, partNumber: String(partNumber) };
  const answer = await s3.call('UploadPart', { bucket, key, query, headers, body });
  return { partNumber, etag: String(answer.headers.etag) };
}

function complete(
  key: string,
  uploadId: string,
  parts: readonly Part[],
  headers: Record<string, string> = {},
): Promise<CallResult> {
  const listed = parts.map(({ partNumber, etag, checksum }) => {
    const sum = checksum ? `<Checksum${checksum[0]}>${checksum[1]}</Checksum${checksum[0]}>` : '';
    return `<Part><PartNumber>${partNumber}</PartNumber><ETag>${etag}</ETag>${sum}</Part>`;
  });
  const body = `<CompleteMultipartUpload>${listed.join('')}</CompleteMultipartUpload>`;
  return s3.call('CompleteMultipartUpload', { bucket, key, query: { uploadId }, headers, body });
}

function multipartEtag(bodies: readonly Buffer[]): string {
  const hash = createHash('md5');
  for (const body of bodies) hash.update(createHash('md5').update(body).digest());
  return `"${hash.digest('hex')}-${bodies.length}"`;
}

const first = payloadOf('first', MINIMUM);
const second = payloadOf('second', MINIMUM + 12_345);
const last = payloadOf('last', 1000);
const whole = Buffer.concat([first, second, last]);

describe('a multipart upload', () => {
  it('becomes an object of its parts in order, without moving bytes', async () => {
    const uploadId = await create('key', {
      'content-type': 'text/x',
      'x-amz-meta-a': '1',
      'x-amz-tagging': 'Hello=World&foo=bar',
    });
    const parts = [
      await upload('key', uploadId, 3, last),
      await upload('key', uploadId, 1, first),
      await upload('key', uploadId, 2, second),
    ].toSorted((a, b) => a.partNumber - b.partNumber);
    expect(await codeOf(s3.get(bucket, 'key'))).toBe('NoSuchKey');
    const { bytesWritten } = s3.data;
    const completed = await complete('key', uploadId, parts, { 'x-amz-mp-object-size': String(whole.length) });
    expect(s3.data.bytesWritten).toBe(bytesWritten);
    const etag = multipartEtag([first, second, last]);
    expect(elementOf(completed.body, 'ETag')).toBe(etag.replaceAll('"', '&quot;'));
    expect(elementOf(completed.body, 'Location')).toBe(`http://localhost:9000/${bucket}/key`);
    const got = await s3.get(bucket, 'key', { 'x-amz-checksum-mode': 'ENABLED' });
    expect(got.body.equals(whole)).toBe(true);
    expect(got.headers).toMatchObject({
      etag,
      'content-type': 'text/x',
      'x-amz-meta-a': '1',
      'x-amz-tagging-count': 2,
      'x-amz-checksum-crc64nvme': digestOf('CRC64NVME', whole).toString('base64'),
      'x-amz-checksum-type': 'FULL_OBJECT',
    });
    expect(got.headers).not.toHaveProperty('x-amz-mp-parts-count');
  });

  it('answers ranges across the borders of parts, and parts by number', async () => {
    const uploadId = await create('key');
    const bodies = [first, second, last];
    const parts: Part[] = [];
    for (const [index, body] of bodies.entries()) parts.push(await upload('key', uploadId, index * 2 + 1, body));
    await complete('key', uploadId, parts);
    const borders = [0, 1, MINIMUM - 1, MINIMUM, MINIMUM + 1, first.length + second.length, whole.length - 1];
    for (const start of borders) {
      for (const end of borders.filter((border) => border >= start)) {
        const got = await s3.get(bucket, 'key', { range: `bytes=${start}-${end}` });
        expect(got.status).toBe(206);
        expect(got.body.equals(whole.subarray(start, end + 1))).toBe(true);
      }
    }
    let offset = 0;
    for (const [index, body] of bodies.entries()) {
      const query = { partNumber: String(index * 2 + 1) };
      for (const operation of ['GetObject', 'HeadObject']) {
        const got = await s3.call(operation, {
          bucket,
          key: 'key',
          query,
          headers: { 'x-amz-checksum-mode': 'ENABLED' },
        });
        expect(got).toMatchObject({
          status: 206,
          headers: {
            'x-amz-mp-parts-count': 3,
            'content-range': `bytes ${offset}-${offset + body.length - 1}/${whole.length}`,
            'x-amz-checksum-crc64nvme': digestOf('CRC64NVME', body).toString('base64'),
          },
        });
        if (operation === 'GetObject') expect(got.body.equals(body)).toBe(true);
      }
      offset += body.length;
    }
    const missing = s3.call('GetObject', { bucket, key: 'key', query: { partNumber: '2' } });
    expect(await errorOf(missing)).toMatchObject({ code: 'InvalidPartNumber', status: 416 });
  });

  it('uses the last upload of a part, and only parts that are listed', async () => {
    const uploadId = await create('key');
    const lost = await upload('key', uploadId, 1, 'first try');
    const kept = await upload('key', uploadId, 1, 'second try');
    await upload('key', uploadId, 2, 'never listed');
    expect(await errorOf(complete('key', uploadId, [lost]))).toMatchObject({
      code: 'InvalidPart',
      details: { UploadId: uploadId, PartNumber: 1 },
    });
    await complete('key', uploadId, [kept]);
    expect((await s3.get(bucket, 'key')).body.toString()).toBe('second try');
  });

  it('is answered again when its completion is repeated', async () => {
    const uploadId = await create('key');
    const parts = [await upload('key', uploadId, 1, last)];
    const once = await complete('key', uploadId, parts, { 'if-none-match': '*' });
    const again = await complete('key', uploadId, parts, { 'if-none-match': '*' });
    expect(again.body.toString()).toBe(once.body.toString());
    const [left, right] = await (async () => {
      const other = await create('other');
      const part = await upload('other', other, 1, last);
      return Promise.all([complete('other', other, [part]), complete('other', other, [part])]);
    })();
    expect(left.body.toString()).toBe(right.body.toString());
    const different = [{ partNumber: 1, etag: '0'.repeat(32) }];
    expect(await codeOf(complete('key', uploadId, different))).toBe('NoSuchUpload');
  });

  it.each(['listParts', 'writeSmall'] as const)(
    'that is completed twice at once is answered alike, wherever the second one stands (%s)',
    async (step) => {
      const uploadId = await create('key');
      const parts = [await upload('key', uploadId, 1, 'x')];
      const first: Promise<CallResult>[] = [];
      const target = (step === 'listParts' ? s3.metadata : s3.data) as unknown as Record<
        string,
        (...given: unknown[]) => Promise<unknown>
      >;
      const original = target[step]!.bind(target);
      target[step] = async (...given) => {
        target[step] = original;
        first.push(complete('key', uploadId, parts));
        await first[0];
        return await original(...given);
      };
      const second = await complete('key', uploadId, parts);
      expect(second.body.toString()).toBe((await first[0]!).body.toString());
      expect((await s3.get(bucket, 'key')).body.toString()).toBe('x');
    },
  );

  it('that was completed with other parts meanwhile is gone for the second completion', async () => {
    const uploadId = await create('key');
    const parts = [
      await upload('key', uploadId, 1, payloadOf('first', MINIMUM)),
      await upload('key', uploadId, 2, 'last'),
    ];
    const { metadataStore } = s3.stores;
    const commit = metadataStore.commit.bind(metadataStore);
    metadataStore.commit = async (mutation) => {
      metadataStore.commit = commit;
      await complete('key', uploadId, parts.slice(0, 1));
      return await commit(mutation);
    };
    expect(await codeOf(complete('key', uploadId, parts))).toBe('NoSuchUpload');
    expect((await s3.call('HeadObject', { bucket, key: 'key' })).headers['content-length']).toBe(MINIMUM);
  });

  it('with another bucket, key or id is NoSuchUpload, for every operation', async () => {
    await s3.createBucket(`${bucket}-2`);
    await s3.put(bucket, 'source', 'x');
    const uploadId = await create('key');
    const part = await upload('key', uploadId, 1, last);
    const addresses = [
      { bucket, key: 'other', uploadId },
      { bucket: `${bucket}-2`, key: 'key', uploadId },
      { bucket, key: 'key', uploadId: 'x'.repeat(32) },
      { bucket, key: 'key', uploadId: '' },
    ];
    for (const address of addresses) {
      const { bucket: named, key, uploadId: id } = address;
      const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.etag}</ETag></Part></CompleteMultipartUpload>`;
      const at = { bucket: named, key };
      const copySource = { 'x-amz-copy-source': `${bucket}/source` };
      const query = { uploadId: id, partNumber: '1' };
      expect(await codeOf(s3.call('UploadPart', { ...at, query, body: 'x' }))).toBe('NoSuchUpload');
      expect(await codeOf(s3.call('UploadPartCopy', { ...at, query, headers: copySource }))).toBe('NoSuchUpload');
      expect(await codeOf(s3.call('ListParts', { ...at, query: { uploadId: id } }))).toBe('NoSuchUpload');
      expect(await codeOf(s3.call('CompleteMultipartUpload', { ...at, query: { uploadId: id }, body }))).toBe(
        'NoSuchUpload',
      );
      expect(await codeOf(s3.call('AbortMultipartUpload', { ...at, query: { uploadId: id } }))).toBe('NoSuchUpload');
    }
    expect((await complete('key', uploadId, [part])).status).toBe(200);
  });

  it('that is aborted is gone', async () => {
    const uploadId = await create('key');
    const part = await upload('key', uploadId, 1, last);
    const abort = () => s3.call('AbortMultipartUpload', { bucket, key: 'key', query: { uploadId } });
    expect((await abort()).status).toBe(204);
    expect(await codeOf(abort())).toBe('NoSuchUpload');
    expect(await codeOf(upload('key', uploadId, 1, last))).toBe('NoSuchUpload');
    expect(await codeOf(complete('key', uploadId, [part]))).toBe('NoSuchUpload');
  });

  it('refuses what cannot be completed, and can be completed afterwards', async () => {
    const uploadId = await create('key');
    const one = await upload('key', uploadId, 1, 'too small to be first');
    const two = await upload('key', uploadId, 2, last);
    expect(await codeOf(complete('key', uploadId, [two, one]))).toBe('InvalidPartOrder');
    expect(await codeOf(complete('key', uploadId, [one, one]))).toBe('InvalidPartOrder');
    expect(await errorOf(complete('key', uploadId, [one, two]))).toMatchObject({
      code: 'EntityTooSmall',
      details: { ProposedSize: 21, MinSizeAllowed: MINIMUM, PartNumber: 1 },
    });
    expect(await codeOf(complete('key', uploadId, [{ ...one, partNumber: 9999 }]))).toBe('InvalidPart');
    expect(await codeOf(complete('key', uploadId, []))).toBe('MalformedXML');
    const empty = s3.call('CompleteMultipartUpload', { bucket, key: 'key', query: { uploadId } });
    expect(await codeOf(empty)).toBe('MalformedXML');
    expect(await codeOf(complete('key', uploadId, [two], { 'x-amz-mp-object-size': '999' }))).toBe('InvalidRequest');
    expect(await codeOf(complete('key', uploadId, [two], { 'x-amz-mp-object-size': 'x' }))).toBe('InvalidArgument');
    expect((await complete('key', uploadId, [two])).status).toBe(200);
  });

  it('compares conditions when it completes', async () => {
    const upTo = async (headers: Record<string, string>) => {
      const uploadId = await create('key');
      return complete('key', uploadId, [await upload('key', uploadId, 1, 'part')], headers);
    };
    expect(await errorOf(upTo({ 'if-match': '*' }))).toMatchObject({ code: 'NoSuchKey', status: 404 });
    const completed = await upTo({ 'if-none-match': '*' });
    const etag = elementOf(completed.body, 'ETag')!.replaceAll('&quot;', '"');
    expect(await codeOf(upTo({ 'if-none-match': '*' }))).toBe('PreconditionFailed');
    expect(await codeOf(upTo({ 'if-none-match': etag }))).toBe('PreconditionFailed');
    expect(await codeOf(upTo({ 'if-match': '"other"' }))).toBe('PreconditionFailed');
    expect((await upTo({ 'if-match': etag })).status).toBe(200);
  });

  it('takes part numbers 1 to 10,000', async () => {
    const uploadId = await create('key');
    for (const partNumber of ['0', '10001', 'x', '-1', '1.5', '']) {
      const query = { uploadId, partNumber };
      expect(await codeOf(s3.call('UploadPart', { bucket, key: 'key', query, body: 'x' }))).toBe('InvalidArgument');
    }
    const part = await upload('key', uploadId, 10_000, 'x');
    await complete('key', uploadId, [part]);
    const got = await s3.call('GetObject', { bucket, key: 'key', query: { partNumber: '10000' } });
    expect(got.body.toString()).toBe('x');
  });

  it('of one empty part is an empty object', async () => {
    const uploadId = await create('key');
    await complete('key', uploadId, [await upload('key', uploadId, 1, '')]);
    const got = await s3.get(bucket, 'key');
    expect(got).toMatchObject({ status: 200, headers: { 'content-length': 0 } });
    const part = await s3.call('GetObject', { bucket, key: 'key', query: { partNumber: '1' } });
    expect(part.body).toHaveLength(0);
    expect(part.headers).not.toHaveProperty('content-range');
  });

  it('describes its parts and its manifest to a recovery from shards', async () => {
    const uploadId = await create('key', { 'x-amz-meta-a': '1' });
    const part = await upload('key', uploadId, 7, last);
    expect(decodeBlobDescriptor(s3.data.descriptors.at(-1)!)).toMatchObject({
      kind: 'part',
      bucketName: bucket,
      key: 'key',
      uploadId,
      partNumber: 7,
      content: { sizeBytes: 1000 },
    });
    await complete('key', uploadId, [part]);
    const { bucketId } = await s3.services.buckets.requireBucket(bucket);
    const record = await s3.metadata.getObject({ bucketId, key: 'key' });
    expect(decodeBlobDescriptor(s3.data.descriptors.at(-1)!)).toMatchObject({
      kind: 'manifest',
      uploadId,
      attributes: { userMetadata: { a: '1' } },
      parts: [{ partNumber: 7, sizeBytes: 1000 }],
      blobs: [{ blobId: record!.blobs.find(({ sizeBytes }) => sizeBytes > 0)!.blobId, sizeBytes: 1000 }],
    });
  });

  it('of 10,000 parts completes, reads and lists', async () => {
    const uploadId = await create('key');
    const { bucketId } = await s3.services.buckets.requireBucket(bucket);
    const pinned = await s3.data.writeSmall(Buffer.from('0123456789'), Buffer.alloc(0));
    const parts: Part[] = [];
    const pending: Promise<unknown>[] = [];
    for (let partNumber = 1; partNumber <= 10_000; partNumber++) {
      const etag = createHash('md5').update(String(partNumber)).digest('hex');
      parts.push({ partNumber, etag });
      // As if each were 5 MiB: the bytes are never read here.
      const blob = { ...pinned.blob, blobId: s3.metadata.nextIdentifier(), sizeBytes: MINIMUM };
      const part = { partNumber, etag, sizeBytes: MINIMUM, lastModifiedMs: 0 };
      pending.push(
        s3.metadata.commit({ type: 'PutPart', bucketId, key: 'key', uploadId, part, blobs: [{ newBlob: blob }] }),
      );
    }
    await Promise.all(pending);
    pinned.unpin();
    const described = s3.data.descriptors.length;
    expect((await complete('key', uploadId, parts)).status).toBe(200);
    // Behind the parts lie manifests that name all of them: one would be too long.
    const object = (await s3.metadata.getObject({ bucketId, key: 'key' }))!;
    const manifests = s3.data.descriptors.slice(described).map((descriptor) => decodeBlobDescriptor(descriptor));
    expect(object.blobs).toHaveLength(10_000 + manifests.length);
    expect(manifests.flatMap((one) => (one.kind === 'manifest' ? one.blobs : [])).map(({ blobId }) => blobId)).toEqual(
      object.blobs.slice(0, 10_000).map(({ blobId }) => blobId),
    );
    expect(manifests.map(({ previous }) => previous)).toEqual([
      undefined,
      ...object.blobs.slice(10_000, -1).map(({ blobId }) => blobId),
    ]);
    for (const [source, key] of [
      ['key', 'other'],
      ['other', 'key'],
    ] as const) {
      const renamed = await s3.call('RenameObject', { bucket, key, headers: { 'x-amz-rename-source': source } });
      expect(renamed.status).toBe(200);
    }
    const head = await s3.call('HeadObject', { bucket, key: 'key', query: { partNumber: '10000' } });
    expect(head.headers).toMatchObject({ 'x-amz-mp-parts-count': 10_000, 'content-length': MINIMUM });
    const attributes = await s3.call('GetObjectAttributes', {
      bucket,
      key: 'key',
      headers: { 'x-amz-object-attributes': 'ObjectParts,ObjectSize', 'x-amz-part-number-marker': '9990' },
    });
    expect(elementOf(attributes.body, 'PartsCount')).toBe('10000');
    expect(elementsOf(attributes.body, 'PartNumber')).toHaveLength(10);
    expect(elementOf(attributes.body, 'ObjectSize')).toBe(String(MINIMUM * 10_000));
  });
});

describe('checksums of a multipart upload', () => {
  const sum = (algorithm: ChecksumAlgorithm, bytes: Buffer) => digestOf(algorithm, bytes).toString('base64');
  const composite = (algorithm: ChecksumAlgorithm, bodies: readonly Buffer[]) =>
    `${sum(algorithm, Buffer.concat(bodies.map((body) => digestOf(algorithm, body))))}-${bodies.length}`;

  async function uploadAll(headers: Record<string, string>, algorithm: ChecksumAlgorithm, bodies: readonly Buffer[]) {
    const uploadId = await create('key', headers);
    const parts: Part[] = [];
    for (const [index, body] of bodies.entries()) {
      const value = sum(algorithm, body);
      const header = { [`x-amz-checksum-${algorithm.toLowerCase()}`]: value };
      parts.push({ ...(await upload('key', uploadId, index + 1, body, header)), checksum: [algorithm, value] });
    }
    return { uploadId, parts };
  }

  it.each(['SHA256', 'SHA1', 'SHA512', 'MD5', 'CRC32', 'CRC32C', 'XXHASH64', 'XXHASH3', 'XXHASH128'] as const)(
    '%s is composite, with -N',
    async (algorithm) => {
      const bodies = [first, last];
      const header = `x-amz-checksum-${algorithm.toLowerCase()}`;
      const { uploadId, parts } = await uploadAll({ 'x-amz-checksum-algorithm': algorithm }, algorithm, bodies);
      const value = composite(algorithm, bodies);
      expect(await codeOf(complete('key', uploadId, parts, { [header]: `${sum(algorithm, last)}-2` }))).toBe(
        'BadDigest',
      );
      const completed = await complete('key', uploadId, parts, { [header]: value });
      expect(elementOf(completed.body, `Checksum${algorithm}`)).toBe(value);
      expect(elementOf(completed.body, 'ChecksumType')).toBe('COMPOSITE');
      const head = await s3.call('HeadObject', { bucket, key: 'key', headers: { 'x-amz-checksum-mode': 'ENABLED' } });
      expect(head.headers).toMatchObject({ [header]: value, 'x-amz-checksum-type': 'COMPOSITE' });
      const part = await s3.call('GetObject', {
        bucket,
        key: 'key',
        query: { partNumber: '2' },
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
      });
      expect(part.headers).toMatchObject({ [header]: sum(algorithm, last), 'x-amz-checksum-type': 'COMPOSITE' });
    },
  );

  it.each(['CRC32', 'CRC32C', 'CRC64NVME'] as const)('%s can be over the full object', async (algorithm) => {
    const header = `x-amz-checksum-${algorithm.toLowerCase()}`;
    const created = { 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': 'FULL_OBJECT' };
    const { uploadId, parts } = await uploadAll(created, algorithm, [first, second, last]);
    expect(await codeOf(complete('key', uploadId, parts, { [header]: sum(algorithm, first) }))).toBe('BadDigest');
    const completed = await complete('key', uploadId, parts, {
      [header]: sum(algorithm, whole),
      'x-amz-checksum-type': 'FULL_OBJECT',
    });
    expect(elementOf(completed.body, `Checksum${algorithm}`)).toBe(sum(algorithm, whole));
    expect(elementOf(completed.body, 'ChecksumType')).toBe('FULL_OBJECT');
  });

  it.each([
    [{ 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' }],
    [{ 'x-amz-checksum-algorithm': 'CRC64NVME', 'x-amz-checksum-type': 'COMPOSITE' }],
    [{ 'x-amz-checksum-type': 'FULL_OBJECT' }],
    [{ 'x-amz-checksum-algorithm': 'CRC99' }],
    [{ 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'HALF' }],
  ])('cannot be created with %o', async (headers) => {
    expect(await codeOf(create('key', headers))).toBe('InvalidRequest');
  });

  it('are of one algorithm', async () => {
    const uploadId = await create('key', { 'x-amz-checksum-algorithm': 'SHA256' });
    const crc32 = { 'x-amz-checksum-crc32': sum('CRC32', last) };
    expect(await codeOf(upload('key', uploadId, 1, last, crc32))).toBe('InvalidRequest');
    const part = await upload('key', uploadId, 1, last);
    const listed: Part = { ...part, checksum: ['SHA256', sum('SHA256', last)] };
    expect(await codeOf(complete('key', uploadId, [listed], crc32))).toBe('InvalidRequest');
    const asFull = { 'x-amz-checksum-type': 'FULL_OBJECT' };
    expect(await codeOf(complete('key', uploadId, [listed], asFull))).toBe('InvalidRequest');
    const wrong: Part = { ...part, checksum: ['SHA256', sum('SHA256', first)] };
    expect(await codeOf(complete('key', uploadId, [wrong]))).toBe('InvalidPart');
    const completed = await complete('key', uploadId, [part]);
    expect(elementOf(completed.body, 'ChecksumSHA256')).toBe(composite('SHA256', [last]));
  });

  it('of an upload created without one are those of its parts', async () => {
    const { uploadId, parts } = await uploadAll({}, 'CRC32', [first, last]);
    const completed = await complete('key', uploadId, parts);
    expect(elementOf(completed.body, 'ChecksumCRC32')).toBe(sum('CRC32', Buffer.concat([first, last])));
    const mixed = await create('mixed');
    const sha = await upload('mixed', mixed, 1, first, { 'x-amz-checksum-sha256': sum('SHA256', first) });
    const done = await complete('mixed', mixed, [sha, await upload('mixed', mixed, 2, last)]);
    expect(done.body.toString()).not.toContain('Checksum');
  });
});

describe('UploadPartCopy', () => {
  const copyPart = (key: string, uploadId: string, partNumber: number, headers: Record<string, string>) =>
    s3.call('UploadPartCopy', { bucket, key, query: { uploadId, partNumber: String(partNumber) }, headers });

  it('of a whole object names its bytes again and reads nothing', async () => {
    await s3.put(bucket, 'source', first);
    const uploadId = await create('key');
    const { bytesWritten, bytesRead } = s3.data;
    const copied = await copyPart('key', uploadId, 1, { 'x-amz-copy-source': `${bucket}/source` });
    expect([s3.data.bytesWritten, s3.data.bytesRead]).toEqual([bytesWritten, bytesRead]);
    const etag = elementOf(copied.body, 'ETag')!.replaceAll('&quot;', '"');
    expect(etag).toBe(`"${createHash('md5').update(first).digest('hex')}"`);
    const parts = [{ partNumber: 1, etag }, await upload('key', uploadId, 2, last)];
    await s3.call('DeleteObject', { bucket, key: 'source' });
    await complete('key', uploadId, parts);
    const got = await s3.get(bucket, 'key', { 'x-amz-checksum-mode': 'ENABLED' });
    expect(got.body.equals(Buffer.concat([first, last]))).toBe(true);
    expect(got.headers['x-amz-checksum-crc64nvme']).toBe(
      digestOf('CRC64NVME', Buffer.concat([first, last])).toString('base64'),
    );
  });

  it.each([
    ['a range', 10, 99],
    ['the beginning', 0, 99],
    ['the whole', 0, 9999],
  ])('of a small object takes %s', async (_, start, end) => {
    const small = payloadOf('small', 10_000);
    await s3.put(bucket, 'source', small);
    const uploadId = await create('key');
    const copied = await copyPart('key', uploadId, 1, {
      'x-amz-copy-source': `${bucket}/source`,
      'x-amz-copy-source-range': `bytes=${start}-${end}`,
    });
    const etag = elementOf(copied.body, 'ETag')!.replaceAll('&quot;', '"');
    const bytes = small.subarray(start, end + 1);
    expect(etag).toBe(`"${createHash('md5').update(bytes).digest('hex')}"`);
    await complete('key', uploadId, [{ partNumber: 1, etag }]);
    expect((await s3.get(bucket, 'key')).body.equals(bytes)).toBe(true);
  });

  it('of a range copies these bytes, and of whole parts names them again', async () => {
    const sourceId = await create('source');
    const sources = [
      await upload('source', sourceId, 1, first),
      await upload('source', sourceId, 2, second),
      await upload('source', sourceId, 3, last),
    ];
    await complete('source', sourceId, sources);
    const ranges: [start: number, end: number, isRewritten: boolean][] = [
      [0, first.length - 1, false],
      [first.length, whole.length - 1, false],
      [first.length - 1, first.length + second.length - 1, true],
      [10, 19, true],
      [0, 0, true],
    ];
    for (const [start, end, isRewritten] of ranges) {
      const uploadId = await create('key');
      const { bytesWritten } = s3.data;
      const copied = await copyPart('key', uploadId, 1, {
        'x-amz-copy-source': `${bucket}/source`,
        'x-amz-copy-source-range': `bytes=${start}-${end}`,
      });
      expect(s3.data.bytesWritten - bytesWritten).toBe(isRewritten ? end - start + 1 : 0);
      const etag = elementOf(copied.body, 'ETag')!.replaceAll('&quot;', '"');
      expect(etag).toBe(
        `"${createHash('md5')
          .update(whole.subarray(start, end + 1))
          .digest('hex')}"`,
      );
      await complete('key', uploadId, [{ partNumber: 1, etag }]);
      const got = await s3.get(bucket, 'key', { 'x-amz-checksum-mode': 'ENABLED' });
      expect(got.body.equals(whole.subarray(start, end + 1))).toBe(true);
      expect(got.headers['x-amz-checksum-crc64nvme']).toBe(
        digestOf('CRC64NVME', whole.subarray(start, end + 1)).toString('base64'),
      );
    }
  });

  it('computes the checksum that the upload was created with', async () => {
    await s3.put(bucket, 'source', last);
    const uploadId = await create('key', { 'x-amz-checksum-algorithm': 'SHA256' });
    const copied = await copyPart('key', uploadId, 1, { 'x-amz-copy-source': `${bucket}/source` });
    expect(elementOf(copied.body, 'ChecksumSHA256')).toBe(digestOf('SHA256', last).toString('base64'));
  });

  it('of an empty object is an empty part', async () => {
    await s3.put(bucket, 'source', '');
    const uploadId = await create('key');
    const copied = await copyPart('key', uploadId, 1, { 'x-amz-copy-source': `${bucket}/source` });
    const etag = elementOf(copied.body, 'ETag')!.replaceAll('&quot;', '"');
    await complete('key', uploadId, [{ partNumber: 1, etag }]);
    expect((await s3.get(bucket, 'key')).body).toHaveLength(0);
  });

  it('refuses ranges that are malformed or outside the source, and conditions that fail', async () => {
    await s3.put(bucket, 'source', 'hello');
    const uploadId = await create('key');
    const source = { 'x-amz-copy-source': `${bucket}/source` };
    for (const range of ['0-2', 'bytes=0', 'bytes=hello-world', 'bytes=0-bar', 'bytes=hello-', 'bytes=0-2,3-5']) {
      const headers = { ...source, 'x-amz-copy-source-range': range };
      expect(await codeOf(copyPart('key', uploadId, 1, headers))).toBe('InvalidArgument');
    }
    const outside = { ...source, 'x-amz-copy-source-range': 'bytes=0-21' };
    expect(['InvalidArgument', 'InvalidRange']).toContain(await codeOf(copyPart('key', uploadId, 1, outside)));
    const unmatched = { ...source, 'x-amz-copy-source-if-match': '"other"' };
    expect(await codeOf(copyPart('key', uploadId, 1, unmatched))).toBe('PreconditionFailed');
    expect(await codeOf(copyPart('key', uploadId, 1, { 'x-amz-copy-source': `${bucket}/none` }))).toBe('NoSuchKey');
    expect(await codeOf(copyPart('key', uploadId, 1, { 'x-amz-copy-source': 'nowhere/none' }))).toBe('NoSuchBucket');
  });
});

describe('CopyObject of a multipart object', () => {
  it('keeps ETag, parts and composite checksum', async () => {
    const uploadId = await create('source', { 'x-amz-checksum-algorithm': 'SHA256' });
    const parts: Part[] = [];
    for (const [index, body] of [first, last].entries()) {
      const checksum: Part['checksum'] = ['SHA256', digestOf('SHA256', body).toString('base64')];
      parts.push({ ...(await upload('source', uploadId, index + 1, body)), checksum });
    }
    await complete('source', uploadId, parts);
    await s3.call('CopyObject', { bucket, key: 'copy', headers: { 'x-amz-copy-source': `${bucket}/source` } });
    const headers = { 'x-amz-checksum-mode': 'ENABLED' };
    const source = await s3.get(bucket, 'source', headers);
    const copied = await s3.get(bucket, 'copy', headers);
    expect(copied.body.equals(source.body)).toBe(true);
    expect(copied.headers).toEqual(source.headers);
    const part = await s3.call('GetObject', { bucket, key: 'copy', query: { partNumber: '2' } });
    expect(part.body.equals(last)).toBe(true);
  });

  it('asked for a checksum becomes a plain object, as on AWS', async () => {
    const uploadId = await create('source');
    await complete('source', uploadId, [await upload('source', uploadId, 1, last)]);
    const headers = { 'x-amz-copy-source': `${bucket}/source`, 'x-amz-checksum-algorithm': 'CRC32' };
    await s3.call('CopyObject', { bucket, key: 'copy', headers });
    const head = await s3.call('HeadObject', { bucket, key: 'copy', headers: { 'x-amz-checksum-mode': 'ENABLED' } });
    expect(head.headers).toMatchObject({
      etag: `"${createHash('md5').update(last).digest('hex')}"`,
      'x-amz-checksum-crc32': digestOf('CRC32', last).toString('base64'),
    });
  });
});

describe('ListParts', () => {
  it('lists a page at a time, by number', async () => {
    const uploadId = await create('key', { 'x-amz-checksum-algorithm': 'CRC32' });
    for (const partNumber of [7, 2, 10_000, 5]) await upload('key', uploadId, partNumber, `part ${partNumber}`);
    const page = (query: Record<string, string>) =>
      s3.call('ListParts', { bucket, key: 'key', query: { uploadId, ...query } });
    const all = await page({});
    expect(elementsOf(all.body, 'PartNumber')).toEqual(['2', '5', '7', '10000']);
    expect(elementOf(all.body, 'IsTruncated')).toBe('false');
    expect(elementOf(all.body, 'ChecksumAlgorithm')).toBe('CRC32');
    expect(elementOf(all.body, 'ChecksumType')).toBe('COMPOSITE');
    expect(elementOf(all.body, 'ChecksumCRC32')).toBe(digestOf('CRC32', Buffer.from('part 2')).toString('base64'));
    expect(elementOf(all.body, 'MaxParts')).toBe('1000');
    const some = await page({ 'max-parts': '2', 'part-number-marker': '2' });
    expect(elementsOf(some.body, 'PartNumber')).toEqual(['5', '7']);
    expect(elementOf(some.body, 'IsTruncated')).toBe('true');
    expect(elementOf(some.body, 'NextPartNumberMarker')).toBe('7');
    expect(elementOf(some.body, 'PartNumberMarker')).toBe('2');
    const rest = await page({ 'max-parts': '1', 'part-number-marker': '7' });
    expect(elementOf(rest.body, 'IsTruncated')).toBe('false');
    const none = await page({ 'max-parts': '0' });
    expect(elementsOf(none.body, 'PartNumber')).toEqual([]);
    for (const wrong of ['x', '-1', '99999999999']) {
      expect(await codeOf(page({ 'max-parts': wrong }))).toBe('InvalidArgument');
      expect(await codeOf(page({ 'part-number-marker': wrong }))).toBe('InvalidArgument');
    }
  });
});

describe('ListMultipartUploads', () => {
  it('lists uploads by key, with prefixes, markers and encoding', async () => {
    const uploads = new Map<string, string[]>();
    for (const key of ['a', 'a', 'b/1', 'b/2', 'c d']) {
      uploads.set(key, [...(uploads.get(key) ?? []), await create(key)]);
    }
    const list = (query: Record<string, string> = {}) => s3.call('ListMultipartUploads', { bucket, query });
    const all = await list();
    expect(elementsOf(all.body, 'Key')).toEqual(['a', 'a', 'b/1', 'b/2', 'c d']);
    expect(elementsOf(all.body, 'UploadId').toSorted()).toEqual([...uploads.values()].flat().toSorted());
    expect(elementOf(all.body, 'IsTruncated')).toBe('false');
    expect(elementOf(all.body, 'Initiated')).toBe('2026-01-01T00:00:00.000Z');
    const grouped = await list({ delimiter: '/' });
    expect(elementsOf(grouped.body, 'Key')).toEqual(['a', 'a', 'c d']);
    expect(grouped.body.toString()).toContain('<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>');
    expect(elementsOf((await list({ prefix: 'b/' })).body, 'Key')).toEqual(['b/1', 'b/2']);
    expect(elementsOf((await list({ 'encoding-type': 'url' })).body, 'Key').at(-1)).toBe('c%20d');
    expect(await codeOf(list({ 'encoding-type': 'base64' }))).toBe('InvalidArgument');

    const seen: string[] = [];
    let markers: Record<string, string> = {};
    for (let pages = 0; pages < 10; pages++) {
      const page = await list({ 'max-uploads': '1', ...markers });
      seen.push(...elementsOf(page.body, 'Key'));
      if (elementOf(page.body, 'IsTruncated') === 'false') break;
      markers = {
        'key-marker': elementOf(page.body, 'NextKeyMarker')!,
        'upload-id-marker': elementOf(page.body, 'NextUploadIdMarker')!,
      };
    }
    expect(seen).toEqual(['a', 'a', 'b/1', 'b/2', 'c d']);
    expect(elementsOf((await list({ 'key-marker': 'b/1' })).body, 'Key')).toEqual(['b/2', 'c d']);
    expect(await codeOf(s3.call('ListMultipartUploads', { bucket: 'nowhere' }))).toBe('NoSuchBucket');
  });
});

describe('GetObjectAttributes', () => {
  const attributes = (key: string, wanted: string, headers: Record<string, string> = {}) =>
    s3.call('GetObjectAttributes', { bucket, key, headers: { 'x-amz-object-attributes': wanted, ...headers } });
  const everything = 'ETag,Checksum,ObjectParts,StorageClass,ObjectSize';

  it('answers what is asked for, and nothing else', async () => {
    const put = await s3.put(bucket, 'key', 'foo');
    const all = await attributes('key', everything);
    expect(all.headers['last-modified']).toBe('Thu, 01 Jan 2026 00:00:00 GMT');
    expect(elementOf(all.body, 'ETag')).toBe(String(put.headers.etag).slice(1, -1));
    expect(elementOf(all.body, 'ChecksumCRC64NVME')).toBe(put.headers['x-amz-checksum-crc64nvme']);
    expect(elementOf(all.body, 'ChecksumType')).toBe('FULL_OBJECT');
    expect(elementOf(all.body, 'StorageClass')).toBe('STANDARD');
    expect(elementOf(all.body, 'ObjectSize')).toBe('3');
    expect(all.body.toString()).not.toContain('ObjectParts');
    const size = await attributes('key', 'ObjectSize');
    expect(size.body.toString()).toMatch(/<GetObjectAttributesResponse[^>]*><ObjectSize>3<\/ObjectSize><\//);
    expect(await codeOf(attributes('key', 'Everything'))).toBe('InvalidArgument');
    expect(await codeOf(attributes('key', ''))).toBe('InvalidArgument');
    expect(await codeOf(s3.call('GetObjectAttributes', { bucket, key: 'key' }))).toBe('InvalidArgument');
    expect(await codeOf(attributes('missing', 'ETag'))).toBe('NoSuchKey');
  });

  it('lists parts a page at a time', async () => {
    const uploadId = await create('key');
    const parts = [
      await upload('key', uploadId, 1, first),
      await upload('key', uploadId, 2, second),
      await upload('key', uploadId, 4, last),
    ];
    await complete('key', uploadId, parts);
    const all = await attributes('key', everything);
    expect(elementOf(all.body, 'PartsCount')).toBe('3');
    expect(elementsOf(all.body, 'PartNumber')).toEqual(['1', '2', '4']);
    expect(elementsOf(all.body, 'Size')).toEqual([first.length, second.length, last.length].map(String));
    expect(elementOf(all.body, 'IsTruncated')).toBe('false');
    const page = await attributes('key', 'ObjectParts', { 'x-amz-max-parts': '1', 'x-amz-part-number-marker': '1' });
    expect(elementsOf(page.body, 'PartNumber')).toEqual(['2']);
    expect(elementOf(page.body, 'IsTruncated')).toBe('true');
    expect(elementOf(page.body, 'NextPartNumberMarker')).toBe('2');
    expect(elementOf(page.body, 'PartNumberMarker')).toBe('1');
    expect(elementOf(page.body, 'MaxParts')).toBe('1');
  });
});
