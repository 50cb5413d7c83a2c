import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import { formatHttpDate } from '../../src/s3/headers/http-date.ts';
import { payloadOf } from '../support/payload.ts';
import { codeOf, createMemoryFixture, errorOf, type MemoryFixture } from '../support/service-fixture.ts';
import { NO_KEY } from '../support/encryption-fixture.ts';

const SIZE_BYTES = 50_000;

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
  s3.data.failReads.length = 0;
  expect(s3.data.check()).toEqual({ pins: 0, pieces: 0, reads: 0, writers: 0 });
});
afterAll(async () => {
  await s3.stop();
});

const body = payloadOf('get', SIZE_BYTES);
const operations = ['GetObject', 'HeadObject'] as const;

describe.each(operations)('%s', (operation) => {
  const read = (headers: Record<string, string> = {}, query: Record<string, string> = {}, isSigned = true) =>
    s3.call(operation, { bucket, key: 'key', headers, query, isSigned });
  const shown = (bytes: Buffer) => (operation === 'GetObject' ? bytes : Buffer.alloc(0));

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=0-', 0, SIZE_BYTES],
    ['bytes=8191-8192', 8191, 2],
    ['bytes=100-49999', 100, SIZE_BYTES - 100],
    ['bytes=100-999999', 100, SIZE_BYTES - 100],
    ['bytes=-1', SIZE_BYTES - 1, 1],
    ['bytes=-999999', 0, SIZE_BYTES],
    ['bytes=49999-', SIZE_BYTES - 1, 1],
  ])('answers %s with 206 and exactly these bytes', async (range, start, length) => {
    await s3.put(bucket, 'key', body);
    const got = await read({ range, 'x-amz-checksum-mode': 'ENABLED' });
    expect(got.status).toBe(206);
    expect(got.headers).toMatchObject({
      'content-range': `bytes ${start}-${start + length - 1}/${SIZE_BYTES}`,
      'content-length': length,
      'accept-ranges': 'bytes',
    });
    expect(got.headers).not.toHaveProperty('x-amz-checksum-crc64nvme');
    expect(got.body.equals(shown(body.subarray(start, start + length)))).toBe(true);
  });

  it.each(['bytes=5-2', 'bytes=0-1,3-4', 'items=0-1', 'bytes=a-b', 'bytes=-', 'bytes 0-1'])(
    'ignores the range %s: 200 and the whole object',
    async (range) => {
      await s3.put(bucket, 'key', body);
      const got = await read({ range });
      expect(got.status).toBe(200);
      expect(got.headers).not.toHaveProperty('content-range');
      expect(got.headers['content-length']).toBe(SIZE_BYTES);
      expect(got.body.equals(shown(body))).toBe(true);
    },
  );

  it.each(['bytes=50000-', 'bytes=50000-60000', 'bytes=-0'])('answers %s InvalidRange', async (range) => {
    await s3.put(bucket, 'key', body);
    const error = await errorOf(read({ range }));
    expect(error).toMatchObject({
      code: 'InvalidRange',
      status: 416,
      details: { RangeRequested: range, ActualObjectSize: SIZE_BYTES },
      headers: { 'content-range': `bytes */${SIZE_BYTES}` },
    });
  });

  it('answers any range of an empty object InvalidRange, and the object itself', async () => {
    await s3.put(bucket, 'key', '');
    expect(await codeOf(read({ range: 'bytes=0-5' }))).toBe('InvalidRange');
    expect(await codeOf(read({ range: 'bytes=-5' }))).toBe('InvalidRange');
    expect(await read()).toMatchObject({ status: 200, headers: { 'content-length': 0 } });
  });

  it('uses a range only while If-Range still names the object', async () => {
    const put = await s3.put(bucket, 'key', body);
    const range = 'bytes=0-9';
    expect((await read({ range, 'if-range': String(put.headers.etag) })).status).toBe(206);
    expect((await read({ range, 'if-range': '"other"' })).status).toBe(200);
    expect((await read({ range, 'if-range': formatHttpDate(s3.clock.nowMs()) })).status).toBe(206);
    expect((await read({ range, 'if-range': formatHttpDate(0) })).status).toBe(200);
  });

  it('compares conditions in the order of HTTP', async () => {
    const put = await s3.put(bucket, 'key', body, { 'cache-control': 'no-cache' });
    const etag = String(put.headers.etag);
    const before = formatHttpDate(s3.clock.nowMs() - 60_000);
    const now = formatHttpDate(s3.clock.nowMs());
    const cases: [Record<string, string>, number | string][] = [
      [{ 'if-match': etag }, 200],
      [{ 'if-match': etag.slice(1, -1) }, 200],
      [{ 'if-match': '*' }, 200],
      [{ 'if-match': `"a", ${etag}` }, 200],
      [{ 'if-match': '"other"' }, 'PreconditionFailed'],
      [{ 'if-none-match': etag }, 'NotModified'],
      [{ 'if-none-match': '*' }, 'NotModified'],
      [{ 'if-none-match': '"other"' }, 200],
      [{ 'if-modified-since': before }, 200],
      [{ 'if-modified-since': now }, 'NotModified'],
      [{ 'if-unmodified-since': before }, 'PreconditionFailed'],
      [{ 'if-unmodified-since': now }, 200],
      [{ 'if-match': etag, 'if-unmodified-since': before }, 200],
      [{ 'if-none-match': '"other"', 'if-modified-since': now }, 200],
      [{ 'if-none-match': etag, 'if-modified-since': before }, 'NotModified'],
      [{ 'if-modified-since': 'yesterday' }, 200],
    ];
    for (const [headers, expected] of cases) {
      const outcome = await read(headers).then(
        ({ status }) => status,
        (error) => (error as { code: string }).code,
      );
      expect([headers, outcome]).toEqual([headers, expected]);
    }
    expect((await errorOf(read({ 'if-none-match': '*' }))).headers).toEqual({
      etag,
      'last-modified': now,
      'cache-control': 'no-cache',
    });
  });

  it('checks conditions before the range', async () => {
    await s3.put(bucket, 'key', body);
    expect(await codeOf(read({ 'if-match': '"x"', range: 'bytes=99999-' }))).toBe('PreconditionFailed');
  });

  it('replaces headers by response-* on signed requests only', async () => {
    await s3.put(bucket, 'key', body, { 'content-type': 'text/plain', 'cache-control': 'private' });
    const query = {
      'response-content-type': 'text/html',
      'response-content-language': 'de',
      'response-expires': 'soon',
      'response-cache-control': 'no-store',
      'response-content-disposition': 'attachment; filename="a"',
      'response-content-encoding': 'x',
    };
    const got = await read({}, query);
    expect(got.headers).toMatchObject({
      'content-type': 'text/html',
      'content-language': 'de',
      expires: 'soon',
      'cache-control': 'no-store',
      'content-disposition': 'attachment; filename="a"',
      'content-encoding': 'x',
    });
    expect(await codeOf(read({}, query, false))).toBe('InvalidRequest');
    expect((await read({}, {}, false)).status).toBe(200);
    const breaking = { 'response-content-disposition': 'a\r\nset-cookie: b' };
    expect(await codeOf(read({}, breaking))).toBe('InvalidArgument');
  });

  it('gives the whole object as part 1 of an object without parts', async () => {
    await s3.put(bucket, 'key', body);
    const got = await read({ 'x-amz-checksum-mode': 'ENABLED' }, { partNumber: '1' });
    expect(got).toMatchObject({ status: 206, headers: { 'content-range': `bytes 0-49999/${SIZE_BYTES}` } });
    expect(got.headers).not.toHaveProperty('x-amz-mp-parts-count');
    expect(got.headers['x-amz-checksum-crc64nvme']).toBe(digestOf('CRC64NVME', body).toString('base64'));
    expect(await errorOf(read({}, { partNumber: '2' }))).toMatchObject({ code: 'InvalidPartNumber', status: 416 });
    for (const partNumber of ['0', '10001', '-1', 'x', '']) {
      expect(await codeOf(read({}, { partNumber }))).toBe('InvalidArgument');
    }
    expect(await codeOf(read({ range: 'bytes=0-1' }, { partNumber: '1' }))).toBe('InvalidRequest');
  });

  it('knows the version null and no other', async () => {
    await s3.put(bucket, 'key', body);
    expect((await read({}, { versionId: 'null' })).status).toBe(200);
    expect(await errorOf(read({}, { versionId: 'abc.DEF_123-x' }))).toMatchObject({
      code: 'NoSuchVersion',
      details: { Key: 'key', VersionId: 'abc.DEF_123-x' },
    });
    expect(await codeOf(read({}, { versionId: '' }))).toBe('InvalidArgument');
    expect(await codeOf(read({}, { versionId: 'not a version' }))).toBe('InvalidArgument');
  });

  it('tells a missing key from a missing bucket', async () => {
    expect(await errorOf(read())).toMatchObject({ code: 'NoSuchKey', details: { Key: 'key' } });
    expect(await codeOf(s3.call(operation, { bucket: 'nowhere', key: 'key' }))).toBe('NoSuchBucket');
  });
});

describe('GetObject', () => {
  const open = () => s3.services.buckets.requireBucket(bucket);

  it('looks the object up again when its bytes have moved before the first piece', async () => {
    await s3.put(bucket, 'key', body);
    const { bucketId } = await open();
    const record = await s3.metadata.getObject({ bucketId, key: 'key' });
    const [blob] = record!.blobs;
    const toLayout = s3.data.move(blob!);
    const getObject = s3.metadata.getObject.bind(s3.metadata);
    let lookUps = 0;
    s3.metadata.getObject = async (query) => {
      if (lookUps++ === 0) return record;
      if (lookUps === 2) {
        const move = { blobId: blob!.blobId, fromLayout: blob!.layout, toLayout, toFootprint: blob!.footprint };
        await s3.metadata.commit({ type: 'MoveBlobs', moves: [move] });
      }
      return getObject(query);
    };
    try {
      expect((await s3.get(bucket, 'key')).body.equals(body)).toBe(true);
      expect(lookUps).toBe(2);
    } finally {
      s3.metadata.getObject = getObject;
    }
  });

  it('answers the new object when the old one was replaced between look-up and read', async () => {
    await s3.put(bucket, 'key', body);
    const { bucketId } = await open();
    const record = await s3.metadata.getObject({ bucketId, key: 'key' });
    await s3.put(bucket, 'key', 'new');
    s3.data.move(record!.blobs[0]!);
    const getObject = s3.metadata.getObject.bind(s3.metadata);
    let lookUps = 0;
    s3.metadata.getObject = async (query) => (lookUps++ === 0 ? record : getObject(query));
    try {
      const got = await s3.get(bucket, 'key');
      expect(got.body.toString()).toBe('new');
      expect(got.headers['content-length']).toBe(3);
    } finally {
      s3.metadata.getObject = getObject;
    }
  });

  it('fails before its status when the first piece cannot be read, and in mid-stream later', async () => {
    await s3.put(bucket, 'key', body);
    s3.data.failReads.push(new StoreError('TooFewShards', 'lost'));
    const select = (object: { sizeBytes: number }) => ({ range: { start: 0, length: object.sizeBytes } });
    const address = { bucket: await open(), key: 'key', ...NO_KEY };
    await expect(s3.services.objects.getObject(address, select)).rejects.toThrow('lost');

    const opened = await s3.services.objects.getObject(address, select);
    s3.data.failReads.push(new StoreError('TooFewShards', 'lost later'));
    const received: Buffer[] = [];
    const reading = (async () => {
      for await (const piece of opened.body as Exclude<typeof opened.body, Buffer>) {
        received.push(Buffer.from(piece.bytes));
        piece.release();
      }
    })();
    await expect(reading).rejects.toThrow('lost later');
    expect(Buffer.concat(received).equals(body.subarray(0, 8192))).toBe(true);
  });

  it('gives everything back when the client goes away, at any point', async () => {
    await s3.put(bucket, 'key', body);
    const address = { bucket: await open(), key: 'key', ...NO_KEY };
    for (let pieces = 0; pieces < 3; pieces++) {
      const opened = await s3.services.objects.getObject(address, (object) => ({
        range: { start: 0, length: object.sizeBytes },
      }));
      const iterator = opened.body as Exclude<typeof opened.body, Buffer>;
      for (let piece = 0; piece < pieces; piece++) (await iterator.next()).value!.release();
      await iterator.return!();
      expect(s3.data.check()).toEqual({ pins: 0, pieces: 0, reads: 0, writers: 0 });
    }
  });
});
