import { describe, expect, it } from 'vitest';
import { sendBuffer } from '../../../src/http/send-buffer.ts';
import type { HttpExchange } from '../../../src/http/http-exchange.ts';
import { RequestMetrics } from '../../../src/observability/request-metrics.ts';
import { createRequestBody } from '../../../src/streams/http-request-body.ts';
import { parseRawRequest } from '../../../src/s3/sigv4/raw-request.ts';
import { S3Error } from '../../../src/errors/s3-error.ts';
import { eventually, open } from './fixtures.ts';

/** Answers with what it saw; S3 errors as their code. */
function echo(exchange: HttpExchange): void {
  const { request } = exchange;
  let body: string;
  let status = 200;
  try {
    const raw = parseRawRequest(
      { method: request.method!, rawTarget: request.url!, rawHeaders: request.rawHeaders, isSecure: false },
      [],
    );
    body = JSON.stringify([raw.bucket, raw.key]);
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    status = error.status;
    body = error.code;
  }
  sendBuffer(exchange, { status, headers: {}, body });
}

const GET = 'GET /bucket/key HTTP/1.1\r\nHost: h\r\n\r\n';

describe('createListener', () => {
  it('hands over the untouched target and puts the request id on every answer', async () => {
    const { connect } = await open(echo);
    const connection = await connect();
    connection.write('GET /bucket/../a%2Fb//c HTTP/1.1\r\nHost: h\r\n\r\n');
    const answer = await connection.until(/\]$/);
    expect(answer).toContain('["bucket","../a/b//c"]');
    expect(answer).toMatch(/^x-amz-request-id: [0-9A-F]{16}\r$/im);
  });

  it('writes one line per request with the fixed fields', async () => {
    const { connect, log } = await open((exchange) => {
      Object.assign(exchange.access, {
        operation: 'GetObject',
        bucket: 'b',
        key: 'k',
        code: 'NoSuchKey',
        accessKeyId: 'AK',
      });
      sendBuffer(exchange, { status: 404, headers: {}, body: 'none' });
    });
    const connection = await connect();
    connection.write(GET);
    await connection.until(/none$/);
    await eventually(() => log.lines.length === 1);
    const { fields, message } = log.lines[0]!;
    expect(message).toBe('request');
    expect(Object.keys(fields)).toEqual([
      'requestId',
      'operation',
      'bucket',
      'key',
      'status',
      'code',
      'bytesIn',
      'bytesOut',
      'durationMs',
      'accessKeyId',
      'remoteAddress',
    ]);
    expect(fields).toMatchObject({ status: 404, code: 'NoSuchKey', bytesOut: 4, remoteAddress: '127.0.0.1' });
  });

  it('counts requests and connections', async () => {
    const metrics = new RequestMetrics();
    const { connect } = await open(
      (exchange) => {
        exchange.access.operation = 'GetObject';
        expect([metrics.inFlight, metrics.openConnections]).toEqual([1, 1]);
        sendBuffer(exchange, { status: 200, headers: {}, body: 'x' });
      },
      { metrics },
    );
    const connection = await connect();
    connection.write(GET);
    await connection.until(/x$/);
    connection.close();
    await eventually(() => metrics.openConnections === 0);
    expect(metrics.inFlight).toBe(0);
    expect(metrics.operations().map(({ operation, statusClasses }) => [operation, statusClasses[2]])).toEqual([
      ['GetObject', 1],
    ]);
  });

  it('ends a connection that had no request for the time of keep-alive, and not one that is asked on', async () => {
    const { connect, listener } = await open(echo, { timeouts: { headersMs: 60_000, keepAliveMs: 100 } });
    const [idle, busy] = [await connect(), await connect()];
    idle.write(GET);
    let asked = 0;
    for (; !idle.isClosed; asked++) {
      busy.write(GET);
      await busy.until(new RegExp(`(x-amz-request-id[^]*){${asked + 1}}\\]$`));
    }
    expect(asked).toBeGreaterThan(0);
    expect(listener.connectionCount).toBe(1);
  });

  it('serves its own routes under /-/ through fastify and everything else raw', async () => {
    const { connect } = await open(echo, {
      registerRoutes: (app) => {
        app.get('/-/live', () => 'alive');
      },
    });
    const connection = await connect();
    connection.write('GET /-/live HTTP/1.1\r\nHost: h\r\n\r\n');
    await connection.until(/alive$/);
    connection.write('GET /-x/live HTTP/1.1\r\nHost: h\r\n\r\n');
    await connection.until(/\["-x","live"\]$/);
  });

  it('answers a handler that fails with InternalError, and one that fails in mid-answer by breaking off', async () => {
    const { connect, log } = await open(async (exchange) => {
      await Promise.resolve();
      if (exchange.request.url === '/late') {
        exchange.response.writeHead(200, { 'content-length': 100 });
        exchange.response.write('begun');
      }
      throw new Error('a bug');
    });
    const early = await connect();
    early.write(GET);
    expect(await early.until(/<\/Error>$/)).toMatch(/^HTTP\/1.1 500 [\s\S]*<Code>InternalError<\/Code>/);
    const late = await connect();
    late.write('GET /late HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await late.closed()).not.toContain('InternalError');
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(2);
  });

  it('runs pipelined requests one at a time and in order', async () => {
    let running = 0;
    const { connect } = await open(async (exchange) => {
      running += 1;
      expect(running).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      sendBuffer(exchange, { status: 200, headers: {}, body: `<${exchange.request.url}>` });
    });
    const connection = await connect();
    connection.write(['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`).join(''));
    const answers = await connection.until(/<\/3>/);
    expect(answers.match(/<\/\d>/g)).toEqual(['</1>', '</2>', '</3>']);
  });

  it('sec_pipeline_flood: hundreds of requests sent ahead end the connection', async () => {
    const { connect } = await open(() => new Promise(() => {}));
    const connection = await connect();
    connection.write(GET.repeat(500));
    await connection.closed();
  });

  it('listens on several addresses with one port and does without IPv6', async () => {
    const { listener } = await open(echo, {
      addresses: [
        { host: '127.0.0.1', port: 0 },
        { host: '::1', port: 0 },
      ],
    });
    const ports = new Set(listener.addresses.map(({ port }) => port));
    expect(ports.size).toBe(1);
    expect(listener.addresses.map(({ address }) => address)).toContain('127.0.0.1');
  });

  it('listens on all IPv4 and all IPv6 addresses with one port', async () => {
    const { listener, connect } = await open(echo, {
      addresses: [
        { host: '0.0.0.0', port: 0 },
        { host: '::', port: 0 },
      ],
    });
    expect(new Set(listener.addresses.map(({ port }) => port)).size).toBe(1);
    const connection = await connect();
    connection.write(GET);
    await connection.until(/\]$/);
  });

  it('fails with the system’s code when the port is taken', async () => {
    const { endpoint } = await open(echo);
    await expect(open(echo, { addresses: [endpoint] })).rejects.toMatchObject({
      code: 'EADDRINUSE',
      port: endpoint.port,
    });
  });
});

describe('hostile HTTP', () => {
  const malformed: [name: string, head: string][] = [
    [
      'Content-Length and Transfer-Encoding',
      'PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
    ],
    ['two different Content-Lengths', 'PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n'],
    ['Transfer-Encoding: xchunked', 'PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n'],
    ['a space before the colon', 'GET /b/k HTTP/1.1\r\nHost : h\r\n\r\n'],
    ['bare line feeds', 'GET /b/k HTTP/1.1\nHost: h\n\n'],
    ['a folded header', 'GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: a\r\n b\r\n\r\n'],
    ['a NUL in a header', 'GET /b/k HTTP/1.1\r\nHost: h\r\nX-A: a\0b\r\n\r\n'],
    ['a header without a name', 'GET /b/k HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n'],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
    ['a space in the target', 'GET /b/a b HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['a negative Content-Length', 'PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n'],
  ];
  it.each(malformed)(
    'sec_request_smuggling__CVE_2022_32213: %s is 400 and the connection closes',
    async (_name, head) => {
      const { connect } = await open(echo);
      const connection = await connect();
      connection.write(head);
      const answer = await connection.closed();
      expect(answer).toMatch(/^HTTP\/1.1 400 /);
      expect(answer).not.toContain('["b"');
      expect(answer).toMatch(/<Error><Code>BadRequest<\/Code>[\s\S]*<RequestId>[0-9A-F]{16}<\/RequestId>/);
    },
  );

  it.each([
    ['Content-Length: 10', 'half'],
    ['Transfer-Encoding: chunked', '5\r\nha'],
  ])('a body whose sender ends the connection within it (%s) is IncompleteBody', async (header, part) => {
    const { connect } = await open(async (exchange) => {
      for await (const chunk of exchange.request) exchange.access.bytesIn += (chunk as Buffer).length;
      exchange.response.writeHead(200).end('never: the body was not whole');
    });
    const connection = await connect();
    connection.write(`PUT /b/k HTTP/1.1\r\nHost: h\r\n${header}\r\n\r\n${part}`);
    connection.socket.end();
    expect(await connection.closed()).toMatch(/^HTTP\/1.1 400 [\s\S]*<Code>IncompleteBody<\/Code>/);
  });

  it('a head that is cut is BadRequest', async () => {
    const { connect } = await open(echo);
    const connection = await connect();
    connection.write('PUT /b/k HTTP/1.1\r\nHost: h\r\n');
    connection.socket.end();
    expect(await connection.closed()).toMatch(/^HTTP\/1.1 400 [\s\S]*<Code>BadRequest<\/Code>/);
  });

  it('CONNECT is answered 405 and closed', async () => {
    const { connect, listener } = await open(echo);
    const connection = await connect();
    connection.write('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n');
    const answer = await connection.closed();
    expect(answer).toMatch(/^HTTP\/1.1 405 [\s\S]*<Code>MethodNotAllowed<\/Code>[\s\S]*<RequestId>[0-9A-F]{16}/);
    expect(answer).toContain('Connection: close');
    await eventually(() => listener.connectionCount === 0);
  });

  it('sec_missing_host: HTTP/1.1 without Host is 400', async () => {
    const { connect } = await open(echo);
    const connection = await connect();
    connection.write('GET /b/k HTTP/1.1\r\n\r\n');
    expect(await connection.closed()).toMatch(/^HTTP\/1.1 400 [\s\S]*x-amz-request-id[\s\S]*<Code>BadRequest/);
  });

  it.each(['Host', 'Authorization', 'x-amz-date'])(
    'sec_duplicate_header_on_the_wire: two %s headers are refused',
    async (name) => {
      const { connect } = await open(echo);
      const connection = await connect();
      connection.write(`GET /b/k HTTP/1.1\r\nHost: h\r\n${name}: a\r\n${name}: a\r\n\r\n`);
      expect(await connection.until(/InvalidRequest$/)).toMatch(/^HTTP\/1.1 400 /);
    },
  );

  it('sec_absolute_form_target: a foreign authority is InvalidURI, the own one is its path', async () => {
    const { connect } = await open(echo);
    const connection = await connect();
    connection.write('GET http://evil/b/k HTTP/1.1\r\nHost: h\r\n\r\n');
    await connection.until(/InvalidURI$/);
    connection.write('GET http://h/b/../k HTTP/1.1\r\nHost: h\r\n\r\n');
    await connection.until(/\["b","..\/k"\]$/);
  });

  it('sec_too_many_headers: at the limit node drops some, so the request is refused and the connection closed', async () => {
    const { connect } = await open(echo);
    const connection = await connect();
    const headers = Array.from({ length: 300 }, (_, index) => `x-h${index}: v\r\n`).join('');
    connection.write(`GET /b/k HTTP/1.1\r\nHost: h\r\n${headers}Connection: keep-alive\r\n\r\n`);
    const answer = await connection.closed();
    expect(answer).toMatch(/^HTTP\/1.1 400 [\s\S]*RequestHeaderSectionTooLarge/);
  });

  it('sec_header_bytes: headers above the limit are RequestHeaderSectionTooLarge', async () => {
    const { connect } = await open(echo);
    const connection = await connect();
    connection.write(`GET /b/k HTTP/1.1\r\nHost: h\r\nx-a: ${'a'.repeat(20_000)}\r\n\r\n`);
    expect(await connection.closed()).toMatch(/^HTTP\/1.1 400 [\s\S]*RequestHeaderSectionTooLarge/);
  });

  it('sec_slowloris_headers: headers that do not come in time are RequestTimeout', async () => {
    const { connect } = await open(echo, { timeouts: { headersMs: 200, keepAliveMs: 60_000 } });
    const connection = await connect();
    connection.write('GET /b/k HTTP/1.1\r\nHost: h\r\n');
    expect(await connection.closed()).toMatch(/^HTTP\/1.1 400 [\s\S]*RequestTimeout/);
  });

  it('sec_idle_connection: one that never sends anything is closed', async () => {
    const { connect } = await open(echo, { timeouts: { headersMs: 200, keepAliveMs: 60_000 } });
    await (await connect()).closed();
  });

  it('sec_connection_flood: connections beyond the limit are closed at once', async () => {
    const { connect, listener } = await open(echo, {
      limits: {
        maximumConnectionsPerAddress: 0,
        maximumConnections: 2,
        maximumHeaderBytes: 16_384,
        maximumHeaderCount: 100,
      },
    });
    const first = await connect();
    const second = await connect();
    await eventually(() => listener.connectionCount === 2);
    await (await connect()).closed();
    for (const connection of [first, second]) {
      connection.write(GET);
      await connection.until(/\]$/);
    }
  });

  it('sec_connection_flood: one address has so many connections and no more, until one of them ends', async () => {
    const { connect, listener } = await open(echo, {
      limits: {
        maximumConnectionsPerAddress: 2,
        maximumConnections: 100,
        maximumHeaderBytes: 16_384,
        maximumHeaderCount: 100,
      },
    });
    const first = await connect();
    const second = await connect();
    for (const connection of [first, second]) {
      connection.write(GET);
      await connection.until(/\]$/);
    }
    await (await connect()).closed();
    first.close();
    await eventually(() => listener.connectionCount === 1);
    const next = await connect();
    next.write(GET);
    await next.until(/\]$/);
  });

  it.each([
    ['a broken chunk size', '3\r\nabc\r\nxyz\r\n'],
    ['a flood of chunk extensions', `3;${'x'.repeat(20_000)}\r\nabc\r\n`],
    ['a flood of trailers', `3\r\nabc\r\n0\r\n${'x-t: v\r\n'.repeat(5_000)}\r\n`],
  ])(
    'sec_chunked_framing__CVE_2024_22019: %s in the middle of a body fails the body, not the server',
    async (_name, body) => {
      let failure: unknown;
      const { connect } = await open(async (exchange) => {
        const requestBody = createRequestBody({
          readable: exchange.request,
          headers: new Map([['transfer-encoding', 'chunked']]),
          payload: { kind: 'unsigned' },
          watchdog: exchange.runtime.watchdog,
        });
        try {
          await requestBody.readAll();
        } catch (error) {
          failure = error;
          sendBuffer(exchange, { status: 400, headers: {}, body: 'too late' });
        }
      });
      const connection = await connect();
      connection.write(`PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
      expect(await connection.closed()).toMatch(/^HTTP\/1.1 400 [\s\S]*<Code>/);
      await eventually(() => failure !== undefined);
      expect((failure as S3Error).code).toBe('IncompleteBody');
    },
  );

  it('an unknown expectation is ignored, as AWS does', async () => {
    const { connect } = await open(echo);
    const connection = await connect();
    connection.write(
      'PUT /b/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 200-ok\r\n\r\nabc',
    );
    expect(await connection.closed()).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('close', () => {
  it('closes idle connections at once, lets a request finish, refuses new ones', async () => {
    let finish: (() => void) | undefined;
    const { connect, listener, endpoint } = await open(async (exchange) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      sendBuffer(exchange, { status: 200, headers: {}, body: 'finished' });
    });
    const idle = await connect();
    const busy = await connect();
    busy.write(GET);
    await eventually(() => finish !== undefined && listener.connectionCount === 2);
    const closing = listener.close({ boundMs: 60_000 });
    await idle.closed();
    await expect(open(undefined).then(() => connect())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(listener.activeCount).toBe(1);
    finish!();
    const answer = await busy.closed();
    expect(answer).toContain('Connection: close');
    expect(answer).toMatch(/finished$/);
    await closing;
    expect(endpoint.port).toBeGreaterThan(0);
  });

  it('cuts what has not finished within the bound', async () => {
    let signal: AbortSignal | undefined;
    const { connect, listener, log } = await open(async (exchange) => {
      signal = exchange.signal;
      await new Promise(() => {});
    });
    const connection = await connect();
    connection.write(GET);
    await eventually(() => signal !== undefined);
    await listener.close({ boundMs: 50 });
    await connection.closed();
    await eventually(() => signal!.aborted);
    await eventually(() => log.lines.some(({ fields }) => fields['status'] === 499 && fields['isCut'] === true));
  });
});
