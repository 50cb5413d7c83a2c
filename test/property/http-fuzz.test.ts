import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import type { HttpExchange } from '../../src/http/http-exchange.ts';
import { sendBuffer } from '../../src/http/send-buffer.ts';
import { parseRawRequest } from '../../src/s3/sigv4/raw-request.ts';
import { createRequestBody } from '../../src/streams/http-request-body.ts';
import { authenticator } from '../unit/s3/sigv4/fixtures.ts';
import { open } from '../unit/http/fixtures.ts';

/** More in a campaign: HTTP_FUZZ_RUNS=100000. */
const RUNS = Number(process.env['HTTP_FUZZ_RUNS'] ?? 400);

const names = [
  'Host',
  'Authorization',
  'x-amz-date',
  'x-amz-content-sha256',
  'Content-Length',
  'Transfer-Encoding',
].concat([
  'x-amz-copy-source',
  'Expect',
  'Content-MD5',
  'x-amz-trailer',
  'x-amz-decoded-content-length',
  'Connection',
  'Range',
]);
const values = [
  '',
  'h',
  '0',
  '3',
  '-1',
  '1e9',
  'chunked',
  'gzip, chunked',
  '100-continue',
  'close',
  'bytes=0-',
  '\0',
  'é',
].concat(
  ['AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0', 'AWS a:b'],
  ['UNSIGNED-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', '20130524T000000Z'],
);
const header = fc.tuple(fc.constantFrom(...names), fc.oneof(fc.constantFrom(...values), fc.string({ maxLength: 20 })));
const target = fc.oneof(
  fc.constantFrom(
    '/',
    '/b',
    '/b/k',
    '//',
    '/b/../c',
    '/%',
    '/b/%00',
    '*',
    'http://h/b',
    '/b?X-Amz-Signature=x',
    '/b?a&a',
  ),
  fc.string({ unit: 'binary-ascii', maxLength: 30 }).map((text) => `/${text}`),
);
const body = fc.oneof(
  fc.constantFrom('', 'abc', '3\r\nabc\r\n0\r\n\r\n', 'ffffffff\r\n', '0\r\nx-t: v\r\n\r\n'),
  fc.string({ unit: 'binary-ascii', maxLength: 40 }),
);
const request = fc
  .tuple(fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'CONNECT', 'get', ''), target)
  .chain(([method, path]) =>
    fc.tuple(fc.array(header, { maxLength: 6 }), body, fc.boolean()).map(([headers, content, hasHost]) => {
      const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      return `${method} ${path} HTTP/1.1\r\n${hasHost ? 'Host: h\r\n' : ''}${lines}\r\n${content}`;
    }),
  );

/** The pipeline's use of everything below it. */
async function handle(exchange: HttpExchange): Promise<void> {
  const incoming = exchange.request;
  try {
    const raw = parseRawRequest(
      { method: incoming.method!, rawTarget: incoming.url!, rawHeaders: incoming.rawHeaders, isSecure: false },
      ['s3.test'],
    );
    const { headers, payload } = authenticator().authenticate(raw, Date.now());
    const requestBody = createRequestBody({
      readable: incoming,
      headers,
      payload,
      watchdog: exchange.runtime.watchdog,
      sendContinue: () => exchange.response.writeContinue(),
    });
    await requestBody.readAll(1000);
    for (const expectation of requestBody.expectations) expectation.value();
    sendBuffer(exchange, { status: 200, headers: {}, body: 'ok' });
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    sendBuffer(exchange, { status: error.status, headers: {}, body: error.code });
  }
}

describe('whatever bytes a client sends', () => {
  it('sec_fuzz: the server answers in HTTP or closes, reports no bug, and goes on', async () => {
    const { connect, log, listener } = await open(handle, {
      stallTimeoutMs: 300,
      discard: { discardBytes: 10_000, discardMs: 300 },
    });
    await fc.assert(
      fc.asyncProperty(request, async (bytes) => {
        const connection = await connect();
        connection.write(bytes);
        connection.socket.end();
        const answer = await connection.closed();
        connection.close();
        expect(answer === '' || answer.startsWith('HTTP/1.1 ')).toBe(true);
        expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
        log.lines.length = 0;
      }),
      { numRuns: RUNS },
    );
    expect(listener.activeCount).toBe(0);
  }, 600_000);
});
