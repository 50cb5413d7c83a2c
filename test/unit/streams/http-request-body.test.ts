import { createHash } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { createRequestBody, type RequestBodyOptions } from '../../../src/streams/http-request-body.ts';
import type { Payload } from '../../../src/streams/payload.ts';
import { readAll } from '../../../src/streams/read-all.ts';
import { StallWatchdog } from '../../../src/streams/stall-watchdog.ts';
import { verifyDigests } from '../../../src/streams/verify-digests.ts';
import { digestsOf } from '../../../src/checksums/digest-of.ts';
import { ManualClock, settle } from '../../support/simulated-clock.ts';
import { awsChunked } from '../../support/signed-client.ts';
import { s3Error } from '../s3/sigv4/fixtures.ts';

const UNSIGNED: Payload = { kind: 'unsigned' };
const TRAILER: Payload = { kind: 'aws-chunked', hasTrailer: true, verifier: undefined };

function setUp(headers: Record<string, string>, options: Partial<RequestBodyOptions> = {}) {
  const clock = new ManualClock();
  const watchdog = new StallWatchdog({ clock, minimumBytesPerSecond: 1024, stallTimeoutMs: 30_000 });
  const source = new PassThrough();
  const make = () =>
    createRequestBody({
      readable: source,
      headers: new Map(Object.entries(headers)),
      payload: UNSIGNED,
      watchdog,
      ...options,
    });
  return { clock, watchdog, source, make };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'nothing was thrown';
}

describe('createRequestBody', () => {
  it('iterates the body and says its length', async () => {
    const { source, make, watchdog } = setUp({ 'content-length': '6' });
    const body = make();
    expect(body.lengthBytes).toBe(6);
    source.write('abc');
    source.end('def');
    const pieces: Buffer[] = [];
    for await (const piece of body) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe('abcdef');
    expect([body.isComplete, body.receivedBytes, watchdog.watchedCount]).toEqual([true, 6, 0]);
  });

  it('reads a whole body without copying one that came in one piece', async () => {
    const { source, make } = setUp({ 'content-length': '3' });
    const sent = Buffer.from('abc');
    source.end(sent);
    expect((await readAll(make(), 10)).buffer).toBe(sent.buffer);
  });

  it('reads nothing, and touches nothing, when there is no body', async () => {
    const { source, make } = setUp({});
    expect(await make().readAll()).toEqual(Buffer.alloc(0));
    expect(source.listenerCount('data')).toBe(0);
  });

  it.each([
    ['a client that goes away', { 'content-length': '6' }],
    ['a client that goes away from a chunked body', { 'transfer-encoding': 'chunked' }],
  ])('answers IncompleteBody to %s', async (_name, headers: Record<string, string>) => {
    const { source, make, watchdog } = setUp(headers);
    source.write('abc');
    const work = codeOf(make().readAll());
    await settle();
    source.destroy(new Error('aborted'));
    expect(await work).toBe('IncompleteBody');
    expect(watchdog.watchedCount).toBe(0);
  });

  it('answers IncompleteBody when the body was broken before it was read, and when it is short', async () => {
    const broken = setUp({ 'content-length': '6' });
    broken.source.destroy();
    expect(await codeOf(broken.make().readAll())).toBe('IncompleteBody');
    const short = setUp({ 'content-length': '6' });
    short.source.end('abc');
    expect(await codeOf(short.make().readAll())).toBe('IncompleteBody');
  });

  it('decodes aws-chunked by the payload, and knows the trailer afterwards', async () => {
    const data = Buffer.from('hello');
    const value = digestsOf(['CRC32'], data).get('CRC32')!.toString('base64');
    const { source, make } = setUp(
      { 'transfer-encoding': 'chunked', 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-checksum-crc32' },
      { payload: TRAILER },
    );
    const body = make();
    expect(body.lengthBytes).toBe(5);
    expect(body.expectations.map(({ kind, algorithm }) => [kind, algorithm])).toEqual([['checksum', 'CRC32']]);
    expect(s3Error(() => body.expectations[0]!.value()).code).toBe('MalformedTrailerError');
    source.end(awsChunked({ chunks: [data], trailers: { 'x-amz-checksum-crc32': value } }));
    expect((await body.readAll()).toString()).toBe('hello');
    expect(body.expectations[0]!.value()).toBe(value);
  });

  it('sec_empty_trailer_value: a trailer that is no checksum of its algorithm is refused', async () => {
    const { source, make } = setUp(
      { 'x-amz-decoded-content-length': '0', 'x-amz-trailer': 'x-amz-checksum-crc32' },
      { payload: TRAILER },
    );
    const body = make();
    source.end(awsChunked({ chunks: [], trailers: { 'x-amz-checksum-crc32': '' } }));
    await body.readAll();
    expect(s3Error(() => body.expectations[0]!.value()).code).toBe('InvalidRequest');
  });

  it('never ends well when the framing is wrong at the last byte', async () => {
    const { source, make } = setUp({ 'x-amz-decoded-content-length': '5' }, { payload: TRAILER });
    const body = make();
    source.end('5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n');
    expect(await codeOf(body.readAll())).toBe('MalformedTrailerError');
    expect(body.isComplete).toBe(false);
  });

  it('refuses what exceeds a limit: at once by its length, else as soon as it is seen', async () => {
    expect(s3Error(() => setUp({ 'content-length': '11' }, { limitBytes: 10 }).make()).code).toBe('EntityTooLarge');
    const known = setUp({ 'content-length': '11' });
    expect(await codeOf(known.make().readAll(10))).toBe('EntityTooLarge');
    const unknown = setUp({ 'transfer-encoding': 'chunked' });
    const body = unknown.make();
    expect(body.lengthBytes).toBeUndefined();
    unknown.source.write(Buffer.alloc(11));
    expect(await codeOf(body.readAll(10))).toBe('EntityTooLarge');
    expect(unknown.source.isPaused()).toBe(true);
  });

  it('an upload must say its length; aws-chunked must say the decoded one', () => {
    expect(s3Error(() => setUp({}, { requiresLength: true }).make()).code).toBe('MissingContentLength');
    const chunked = { 'transfer-encoding': 'chunked' };
    expect(s3Error(() => setUp(chunked, { requiresLength: true }).make())).toMatchObject({
      code: 'NotImplemented',
      status: 501,
      details: { Header: 'Transfer-Encoding' },
    });
    const decoded = { ...chunked, 'x-amz-decoded-content-length': '5' };
    expect(setUp(decoded, { requiresLength: true }).make().lengthBytes).toBe(5);
    expect(s3Error(() => setUp({ 'content-length': '5' }, { payload: TRAILER }).make()).code).toBe(
      'MissingContentLength',
    );
    for (const value of ['-1', '1e3', '0x10', '', '٣', '9'.repeat(20)]) {
      const headers = { 'x-amz-decoded-content-length': value };
      expect(s3Error(() => setUp(headers, { payload: TRAILER }).make()).code).toBe('InvalidArgument');
    }
  });

  it('asks a client to continue once, and only when it is read', async () => {
    const sendContinue = vi.fn();
    const { source, make } = setUp({ 'content-length': '3', expect: '100-Continue' }, { sendContinue });
    const body = make();
    expect(sendContinue).not.toHaveBeenCalled();
    source.end('abc');
    await body.readAll();
    expect(sendContinue).toHaveBeenCalledTimes(1);
  });

  it('pauses the socket while the consumer is slow, and does not blame the client for it', async () => {
    const { source, make, clock } = setUp({ 'transfer-encoding': 'chunked' });
    const iterator = make()[Symbol.asyncIterator]();
    for (let index = 0; index < 20; index++) source.write(Buffer.alloc(16 * 1024));
    await vi.waitFor(() => expect(source.isPaused()).toBe(true), { timeout: 60_000 });
    await clock.advance(120_000);
    expect((await iterator.next()).done).toBe(false);
  });

  it('queues less of each body the more of them are under way', async () => {
    const { watchdog } = setUp({});
    const queuedBytes = async (): Promise<number> => {
      const { source, make } = setUp({ 'transfer-encoding': 'chunked' }, { watchdog });
      const body = make();
      void body[Symbol.asyncIterator]();
      for (let index = 0; index < 40; index++) source.write(Buffer.alloc(16 * 1024));
      await vi.waitFor(() => expect(source.isPaused()).toBe(true), { timeout: 60_000 });
      return body.receivedBytes;
    };
    expect(await queuedBytes()).toBe(256 * 1024);
    for (let index = 0; index < 254; index++)
      setUp({ 'content-length': '9' }, { watchdog })
        .make()
        .readAll()
        .catch(() => {});
    expect(watchdog.watchedCount).toBe(255);
    expect(await queuedBytes()).toBe(64 * 1024);
  });

  it('sec_slowloris_body__CVE_2022_31028: a stalled client is RequestTimeout, a slow one above the minimum rate goes on', async () => {
    const stalled = setUp({ 'content-length': '1000000' });
    const work = codeOf(stalled.make().readAll());
    for (let second = 0; second < 40; second++) {
      stalled.source.write('x');
      await stalled.clock.advance(1000);
    }
    expect(await work).toBe('RequestTimeout');

    const slow = setUp({ 'content-length': '204800' });
    const reading = slow.make().readAll();
    for (let second = 0; second < 100; second++) {
      slow.source.write(Buffer.alloc(2048));
      await slow.clock.advance(1000);
    }
    slow.source.end();
    expect((await reading).length).toBe(204_800);
  });

  it('leaves the stream paused for whoever discards the rest when iteration ends early', async () => {
    const { source, make, watchdog } = setUp({ 'content-length': '1000' });
    source.write('abc');
    for await (const piece of make()) {
      expect(piece.length).toBe(3);
      break;
    }
    expect([source.isPaused(), source.listenerCount('data'), watchdog.watchedCount]).toEqual([true, 0, 0]);
  });
});

describe('expectations', () => {
  const expectations = (headers: Record<string, string>, options: Partial<RequestBodyOptions> = {}) =>
    setUp({ 'content-length': '0', ...headers }, options)
      .make()
      .expectations.map((expectation) => [expectation.kind, expectation.algorithm, expectation.value()]);

  it('come from the signed payload hash, Content-MD5 and one checksum header', () => {
    const sha256Hex = 'a'.repeat(64);
    const md5 = createHash('md5').digest('base64');
    const headers = { 'content-md5': md5, 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-sdk-checksum-algorithm': 'crc32' };
    expect(expectations(headers, { payload: { kind: 'signed', sha256Hex } })).toEqual([
      ['payload-sha256', 'SHA256', sha256Hex],
      ['content-md5', 'MD5', md5],
      ['checksum', 'CRC32', 'AAAAAA=='],
    ]);
  });

  it('do not come from headers that speak of another body, or that are no checksums', () => {
    const headers = { 'x-amz-checksum-crc32': 'AAAAAA==-3', 'x-amz-checksum-type': 'COMPOSITE' };
    expect(expectations(headers, { checksumHeadersDescribeBody: false })).toEqual([]);
    expect(expectations({ 'x-amz-checksum-mode': 'ENABLED', 'x-amz-checksum-algorithm': 'CRC32' })).toEqual([]);
  });

  it.each([
    [{ 'content-md5': '' }, 'InvalidDigest'],
    [{ 'content-md5': 'AAAA' }, 'InvalidDigest'],
    [{ 'content-md5': `${'A'.repeat(21)}*==` }, 'InvalidDigest'],
    [{ 'x-amz-checksum-crc32': 'AAAA' }, 'InvalidRequest'],
    [{ 'x-amz-checksum-sha256': '' }, 'InvalidRequest'],
    [{ 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' }, 'InvalidRequest'],
    [{ 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-sdk-checksum-algorithm': 'SHA1' }, 'InvalidRequest'],
    [{ 'x-amz-sdk-checksum-algorithm': 'CRC32' }, 'InvalidRequest'],
    [{ 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-sdk-checksum-algorithm': '__proto__' }, 'InvalidRequest'],
    [{ 'x-amz-trailer': 'x-amz-checksum-crc32' }, 'InvalidRequest'],
  ])('refuses %j as %s', (headers, code) => {
    expect(s3Error(() => expectations(headers as Record<string, string>)).code).toBe(code);
  });

  it.each(['x-amz-meta-a', 'content-length', 'x-amz-checksum-crc32,x-amz-checksum-sha1', ''])(
    'sec_trailer_smuggling: a trailer «%s» cannot be announced',
    (name) => {
      const headers = { 'x-amz-trailer': name, 'x-amz-decoded-content-length': '0' };
      expect(s3Error(() => expectations(headers, { payload: TRAILER })).code).toBe('InvalidRequest');
    },
  );

  it('refuses a checksum in the header and another in the trailer', () => {
    const headers = {
      'x-amz-trailer': 'x-amz-checksum-crc32',
      'x-amz-checksum-crc32': 'AAAAAA==',
      'x-amz-decoded-content-length': '0',
    };
    expect(s3Error(() => expectations(headers, { payload: TRAILER })).code).toBe('InvalidRequest');
  });

  it('verifyDigests names what differs, in S3’s words', () => {
    const digests = digestsOf(['MD5', 'SHA256', 'CRC32'], Buffer.from('x'));
    const check = (kind: 'payload-sha256' | 'content-md5' | 'checksum', algorithm: 'SHA256' | 'MD5' | 'CRC32') =>
      s3Error(() => verifyDigests([{ kind, algorithm, value: () => 'wrong' }], digests));
    expect(check('payload-sha256', 'SHA256').code).toBe('XAmzContentSHA256Mismatch');
    expect(check('content-md5', 'MD5').details).toEqual({
      ExpectedDigest: 'wrong',
      CalculatedDigest: digests.get('MD5')!.toString('base64'),
    });
    expect([check('checksum', 'CRC32').code, check('checksum', 'CRC32').message]).toEqual([
      'BadDigest',
      'The CRC32 you specified did not match the calculated checksum.',
    ]);
    const good = digests.get('CRC32')!.toString('base64');
    verifyDigests([{ kind: 'checksum', algorithm: 'CRC32', value: () => good }], digests);
  });
});
