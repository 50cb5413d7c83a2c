import { describe, expect, it } from 'vitest';
import { sendBody, type BodyPiece } from '../../../src/http/send-body.ts';
import { sendBuffer } from '../../../src/http/send-buffer.ts';
import { createRequestBody } from '../../../src/streams/http-request-body.ts';
import { eventually, open } from './fixtures.ts';

const GET = 'GET /bucket/key HTTP/1.1\r\nHost: h\r\n\r\n';

/** Counts what is lent and what came back. */
class Pieces {
  lent = 0;
  released = 0;
  ended = false;

  piece(bytes: Buffer): BodyPiece {
    this.lent += 1;
    let isReleased = false;
    return {
      bytes,
      release: () => {
        if (isReleased) throw new Error('released twice');
        isReleased = true;
        this.released += 1;
      },
    };
  }

  async *of(count: number, sizeBytes: number, failAt = -1): AsyncGenerator<BodyPiece> {
    try {
      for (let index = 0; index < count; index++) {
        await Promise.resolve();
        if (index === failAt) throw new Error('too few shards');
        yield this.piece(Buffer.alloc(sizeBytes, 'x'));
      }
    } finally {
      this.ended = true;
    }
  }
}

describe('sendBuffer before the body was read', () => {
  it('sec_early_error_is_seen: a client that is still sending reads the answer, then the connection closes', async () => {
    const { connect } = await open((exchange) =>
      sendBuffer(exchange, { status: 403, headers: {}, body: 'AccessDenied' }),
    );
    const connection = await connect();
    connection.write('PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n');
    const block = Buffer.alloc(50_000);
    for (let index = 0; index < 10; index++) {
      connection.write(block);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const answer = await connection.closed();
    expect(answer).toMatch(/^HTTP\/1.1 403 [\s\S]*Connection: close[\s\S]*AccessDenied$/i);
    expect(connection.error).toBeUndefined();
  });

  it('stops reading at the bound of bytes', async () => {
    const { connect } = await open(
      (exchange) => sendBuffer(exchange, { status: 403, headers: {}, body: 'AccessDenied' }),
      { discard: { discardBytes: 100_000, discardMs: 60_000 } },
    );
    const connection = await connect();
    connection.write('PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
    await connection.until(/AccessDenied$/);
    for (let index = 0; index < 40 && !connection.isClosed; index++) {
      connection.write(`1000\r\n${'x'.repeat(4096)}\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await connection.closed();
  });

  it('stops reading at the bound of time, for large bodies and for small ones', async () => {
    const { connect } = await open(
      (exchange) => sendBuffer(exchange, { status: 403, headers: {}, body: 'AccessDenied' }),
      { discard: { discardBytes: 1_000_000, discardMs: 100 } },
    );
    for (const length of [500_000, 500]) {
      const connection = await connect();
      connection.write(`PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\nabc`);
      expect(await connection.closed()).toMatch(/AccessDenied$/);
    }
  });

  it('keeps the connection when the rest of the body is small', async () => {
    const { connect } = await open((exchange) =>
      sendBuffer(exchange, { status: 403, headers: {}, body: exchange.request.url! }),
    );
    const connection = await connect();
    connection.write('PUT /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n');
    await connection.until(/\/1$/);
    connection.write('helloPUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello');
    await connection.until(/\/2$/);
  });

  it('answers 100-continue only when the body is asked for, and an error instead of it', async () => {
    const { connect } = await open(async (exchange) => {
      if (exchange.request.url === '/refused') {
        sendBuffer(exchange, { status: 403, headers: {}, body: 'AccessDenied' });
        return;
      }
      const body = createRequestBody({
        readable: exchange.request,
        headers: new Map([
          ['content-length', '5'],
          ['expect', '100-continue'],
        ]),
        payload: { kind: 'unsigned' },
        watchdog: exchange.runtime.watchdog,
        sendContinue: () => exchange.response.writeContinue(),
      });
      sendBuffer(exchange, { status: 200, headers: {}, body: `got ${(await body.readAll()).toString()}` });
    });
    const welcome = await connect();
    welcome.write('PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
    await welcome.until(/^HTTP\/1.1 100 Continue\r\n\r\n$/);
    welcome.write('hello');
    await welcome.until(/got hello$/);
    const refused = await connect();
    refused.write('PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
    expect(await refused.closed()).toMatch(/^HTTP\/1.1 403 /);
  });

  it('sends no body for HEAD and 304, but the length of a HEAD', async () => {
    const { connect } = await open((exchange) =>
      sendBuffer(exchange, { status: exchange.request.url === '/304' ? 304 : 404, headers: {}, body: 'document' }),
    );
    const connection = await connect();
    connection.write('HEAD /b/k HTTP/1.1\r\nHost: h\r\n\r\nGET /304 HTTP/1.1\r\nHost: h\r\n\r\n');
    const answers = await connection.until(/304 Not Modified[\s\S]*\r\n\r\n/);
    expect(answers).toMatch(/^HTTP\/1.1 404 [\s\S]*content-length: 8/);
    expect(answers).not.toContain('document');
  });

  it('sec_response_splitting: a header value with a line end cannot be sent', async () => {
    const { connect, log } = await open((exchange) => {
      sendBuffer(exchange, { status: 200, headers: { 'content-disposition': 'a\r\nx: y' }, body: 'x' });
    });
    const connection = await connect();
    connection.write(GET);
    expect(await connection.until(/<\/Error>$/)).toMatch(/^HTTP\/1.1 500 /);
    expect(log.lines.some(({ level }) => level === 'error')).toBe(true);
  });
});

describe('sendBody', () => {
  it('streams pieces and gives each back once', async () => {
    const pieces = new Pieces();
    const { connect, log } = await open((exchange) =>
      sendBody(exchange, { status: 200, headers: { 'content-length': 3_000_000 }, pieces: pieces.of(3, 1_000_000) }),
    );
    const connection = await connect();
    connection.write(GET);
    await eventually(() => connection.received.length >= 3_000_000);
    await eventually(() => pieces.released === 3 && log.lines.length === 1);
    expect([pieces.lent, pieces.ended, log.lines[0]!.fields['bytesOut']]).toEqual([3, true, 3_000_000]);
  });

  it('sends what has no known length in chunks, and never ends it cleanly after an error', async () => {
    const pieces = new Pieces();
    const { connect } = await open((exchange) =>
      sendBody(exchange, {
        status: 200,
        headers: {},
        pieces: pieces.of(3, 5, exchange.request.url === '/bad' ? 2 : -1),
      }),
    );
    const good = await connect();
    good.write(GET);
    await good.until(/chunked[\s\S]*\r\n5\r\nxxxxx\r\n5\r\nxxxxx\r\n5\r\nxxxxx\r\n0\r\n\r\n$/);
    const bad = await connect();
    bad.write('GET /bad HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await bad.closed()).not.toContain('\r\n0\r\n');
    await eventually(() => pieces.released === pieces.lent);
  });

  it('an error before the first piece is thrown with nothing sent', async () => {
    const pieces = new Pieces();
    const { connect } = await open(async (exchange) => {
      const answer = { status: 200, headers: { 'content-length': 10 }, pieces: pieces.of(1, 10, 0) };
      await expect(sendBody(exchange, answer)).rejects.toThrow('too few shards');
      sendBuffer(exchange, { status: 503, headers: {}, body: 'SlowDown' });
    });
    const connection = await connect();
    connection.write(GET);
    expect(await connection.until(/SlowDown$/)).toMatch(/^HTTP\/1.1 503 /);
  });

  it.each([
    ['an error in the middle', (pieces: Pieces) => pieces.of(3, 10_000, 2)],
    ['a body shorter than its length', (pieces: Pieces) => pieces.of(2, 10_000)],
    ['a body longer than its length', (pieces: Pieces) => pieces.of(4, 10_000)],
  ])('sec_no_clean_end_of_a_wrong_body: %s breaks the connection', async (_name, make) => {
    const pieces = new Pieces();
    const { connect } = await open((exchange) =>
      sendBody(exchange, { status: 200, headers: { 'content-length': 30_000 }, pieces: make(pieces) }),
    );
    const connection = await connect();
    connection.write(GET);
    const answer = await connection.closed();
    expect(answer.length - answer.indexOf('\r\n\r\n') - 4).toBeLessThan(30_001);
    await eventually(() => pieces.released === pieces.lent && pieces.ended);
  });

  it('a client that goes away ends the iteration and every piece comes back', async () => {
    const pieces = new Pieces();
    const { connect } = await open((exchange) =>
      sendBody(exchange, { status: 200, headers: { 'content-length': 1e9 }, pieces: pieces.of(1000, 1_000_000) }),
    );
    const connection = await connect();
    connection.write(GET);
    await connection.until(/xxx/);
    connection.close();
    await eventually(() => pieces.ended && pieces.released === pieces.lent);
    expect(pieces.lent).toBeLessThan(1000);
  });

  it('sec_slow_reader: a client that does not read is cut, and its pieces come back', async () => {
    const pieces = new Pieces();
    const { connect } = await open(
      (exchange) =>
        sendBody(exchange, { status: 200, headers: { 'content-length': 1e9 }, pieces: pieces.of(1000, 1_000_000) }),
      { stallTimeoutMs: 200, minimumBytesPerSecond: 10_000_000 },
    );
    const connection = await connect();
    connection.socket.pause();
    connection.write(GET);
    await eventually(() => pieces.ended && pieces.released === pieces.lent && pieces.lent > 0);
    expect(pieces.lent).toBeLessThan(100);
  });

  it('sec_slow_reader_of_a_document: nor may a large document lie unread', async () => {
    const { connect, listener } = await open(
      (exchange) => sendBuffer(exchange, { status: 200, headers: {}, body: Buffer.alloc(20_000_000) }),
      { stallTimeoutMs: 200, minimumBytesPerSecond: 100_000_000 },
    );
    const connection = await connect();
    connection.socket.pause();
    connection.write(GET);
    await eventually(() => listener.activeCount === 1);
    await eventually(() => listener.activeCount === 0 && listener.connectionCount === 0);
  });
});
