import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import type { RequestMetrics } from '../observability/request-metrics.ts';
import { bytesIn, logAccess, statusOf } from './access-log.ts';
import type { AccessEntry, ExchangeRuntime, HttpExchange } from './http-exchange.ts';
import { protocolError } from './protocol-error.ts';
import { sendBuffer } from './send-buffer.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

interface Connection {
  readonly socket: Socket;
  /** Answers not yet finished, the oldest first. */
  readonly responses: ServerResponse[];
  /** Requests that came before the answer to the one before them: run in order, one at a time. */
  readonly waiting: (() => void)[];
  /** When its last answer was over; `undefined` before the first. */
  idleSinceMs: number | undefined;
  /** At the last look at it while it was idle. */
  bytesReadBefore: number;
}

export interface NewExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly runtime: ExchangeRuntime;
}

/** How often idle connections are looked for, at most. */
const IDLE_LOOK_MS = 1_000;
/** No S3 client pipelines; one that sends this many requests ahead only wants our memory. */
const MAXIMUM_PIPELINED = 32;

/**
 * Knows every connection and what is being answered on it: runs exchanges in order, writes their log line when they are
 * over, and ends connections when the listener closes.
 */
export class ExchangeRegistry {
  readonly #onExchange: ((exchange: HttpExchange) => Promise<void> | void) | undefined;
  readonly #maximumHeaderCount: number;
  readonly #maximumPerAddress: number;
  /** Open connections; kept only while they are limited. */
  readonly #countByAddress = new Map<string, number>();
  readonly #keepAliveMs: number;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #metrics: RequestMetrics | undefined;
  readonly #proxies: TrustedProxies;
  readonly #onFinished: ((exchange: HttpExchange, durationMs: number) => void) | undefined;
  readonly #connections = new Map<Duplex, Connection>();
  readonly #tlsTransports = new Set<Socket>();
  #isClosing = false;
  #isLooking = false;
  #activeCount = 0;

  constructor(options: {
    onExchange?: ((exchange: HttpExchange) => Promise<void> | void) | undefined;
    limits: { maximumHeaderCount: number; maximumConnectionsPerAddress: number };
    timeouts: { keepAliveMs: number };
    log: Log;
    clock: Clock;
    metrics?: RequestMetrics | undefined;
    proxies: TrustedProxies;
    onFinished?: ((exchange: HttpExchange, durationMs: number) => void) | undefined;
  }) {
    this.#onExchange = options.onExchange;
    this.#maximumHeaderCount = options.limits.maximumHeaderCount;
    this.#maximumPerAddress = options.limits.maximumConnectionsPerAddress;
    this.#keepAliveMs = options.timeouts.keepAliveMs;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#proxies = options.proxies;
    this.#onFinished = options.onFinished;
  }

  get activeCount(): number {
    return this.#activeCount;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  addConnection(socket: Socket): void {
    if (this.#maximumPerAddress > 0 && !this.#countConnection(socket)) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, {
      socket,
      responses: [],
      waiting: [],
      idleSinceMs: undefined,
      bytesReadBefore: -1,
    });
    this.#scheduleIdleLook();
    if (this.#metrics !== undefined) this.#metrics.openConnections += 1;
    socket.once('close', () => {
      if (this.#metrics !== undefined) this.#metrics.openConnections -= 1;
      const connection = this.#connections.get(socket);
      this.#connections.delete(socket);
      if (connection !== undefined) connection.waiting.length = 0;
    });
    if (this.#isClosing) socket.destroy();
  }

  /** False when its address has too many already. */
  #countConnection(socket: Socket): boolean {
    const { remoteAddress = '' } = socket;
    if (this.#proxies.isTrusted(remoteAddress)) return true;
    const counts = this.#countByAddress;
    const count = counts.get(remoteAddress) ?? 0;
    if (count >= this.#maximumPerAddress) return false;
    counts.set(remoteAddress, count + 1);
    socket.once('close', () => {
      const left = counts.get(remoteAddress)! - 1;
      if (left === 0) counts.delete(remoteAddress);
      else counts.set(remoteAddress, left);
    });
    return true;
  }

  /** The connection below a TLS one: counted through that, but cut with the rest, handshake or not. */
  addTlsTransport(socket: Socket): void {
    this.#tlsTransports.add(socket);
    socket.once('close', () => this.#tlsTransports.delete(socket));
  }

  /** What is being answered on a socket now. */
  currentResponse(socket: Duplex): ServerResponse | undefined {
    return this.#connections.get(socket)?.responses[0];
  }

  /** Counts an answer that someone else gives. */
  track(socket: Socket, response: ServerResponse): void {
    const connection = this.#begin(socket, response);
    if (connection !== undefined) response.on('close', () => this.#end(connection, response));
  }

  #begin(socket: Socket, response: ServerResponse): Connection | undefined {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return undefined;
    connection.responses.push(response);
    this.#activeCount += 1;
    if (this.#isClosing) response.shouldKeepAlive = false;
    return connection;
  }

  #end(connection: Connection, response: ServerResponse): void {
    this.#activeCount -= 1;
    const { responses, waiting, socket } = connection;
    if (responses[0] === response) responses.shift();
    else responses.splice(responses.indexOf(response), 1);
    if (responses.length === 0) {
      connection.idleSinceMs = this.#clock.monotonicMs();
      if (this.#isClosing) socket.destroySoon();
    }
    waiting.shift()?.();
  }

  /** One timer for all connections; it runs while there are any. */
  #scheduleIdleLook(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#clock.schedule(Math.min(IDLE_LOOK_MS, this.#keepAliveMs / 2), () => {
      this.#isLooking = false;
      this.#closeIdle();
      if (this.#connections.size > 0) this.#scheduleIdleLook();
    });
  }

  /** Ends connections that had no request for the time of keep-alive; one whose headers are on their way is node's to time. */
  #closeIdle(): void {
    const latestMs = this.#clock.monotonicMs() - this.#keepAliveMs;
    for (const connection of this.#connections.values()) {
      const { socket, responses, idleSinceMs, bytesReadBefore } = connection;
      if (responses.length > 0 || idleSinceMs === undefined) continue;
      connection.bytesReadBefore = socket.bytesRead;
      if (idleSinceMs < latestMs && bytesReadBefore === socket.bytesRead) socket.destroy();
    }
  }

  run(parts: NewExchange): void {
    const { socket } = parts.request;
    const connection = this.#connections.get(socket);
    if (connection === undefined || connection.responses.length === 0) {
      this.#start(parts);
    } else if (connection.waiting.length < MAXIMUM_PIPELINED) {
      connection.waiting.push(() => this.#start(parts));
    } else {
      socket.destroy();
    }
  }

  /** Idle connections go at once; answers under way are the last of theirs. */
  beginClosing(): void {
    this.#isClosing = true;
    for (const [socket, { responses }] of this.#connections) {
      if (responses.length === 0) socket.destroy();
      for (const response of responses) if (!response.headersSent) response.shouldKeepAlive = false;
    }
  }

  cutAll(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
    for (const socket of this.#tlsTransports) socket.destroy();
  }

  #start(parts: NewExchange): void {
    const { request, response } = parts;
    const startedMs = this.#clock.monotonicMs();
    const exchange = new Exchange(parts, this.#proxies);
    const connection = this.#begin(request.socket, response);
    this.#metrics?.began();
    response.on('close', () => {
      if (connection !== undefined) this.#end(connection, response);
      exchange.closed();
      this.#finished(exchange, this.#clock.monotonicMs() - startedMs);
    });
    if (request.rawHeaders.length >= 2 * this.#maximumHeaderCount) {
      refuse(exchange, 'RequestHeaderSectionTooLarge');
      return;
    }
    const { host, 'transfer-encoding': transferEncoding } = request.headers;
    // Node would refuse it as well, but without a request id and a line in the log.
    if (host === undefined && request.httpVersion !== '1.0') {
      refuse(exchange, 'BadRequest');
      return;
    }
    if (transferEncoding !== undefined && transferEncoding.toLowerCase() !== 'chunked') {
      refuse(exchange, 'BadRequest');
      return;
    }
    try {
      const work = this.#onExchange?.(exchange);
      if (work !== undefined) work.catch((error: unknown) => this.#failed(exchange, error));
    } catch (error) {
      this.#failed(exchange, error);
    }
  }

  #finished(exchange: HttpExchange, durationMs: number): void {
    logAccess(this.#log, exchange, durationMs);
    this.#onFinished?.(exchange, durationMs);
    if (this.#metrics === undefined) return;
    this.#metrics.inFlight -= 1;
    const { operation, bytesOut } = exchange.access;
    const status = statusOf(exchange);
    this.#metrics.observe({ operation, status, durationMs, bytesIn: bytesIn(exchange), bytesOut });
  }

  /** The handler answers every error it expects itself: what arrives here is a bug or a broken stream. */
  #failed(exchange: HttpExchange, error: unknown): void {
    this.#log.error({ err: error, requestId: exchange.requestId }, 'a request failed');
    if (exchange.response.headersSent) exchange.response.destroy();
    else refuse(exchange, 'InternalError');
  }
}

function refuse(exchange: HttpExchange, code: 'BadRequest' | 'RequestHeaderSectionTooLarge' | 'InternalError'): void {
  const error = protocolError(code, exchange.requestId);
  exchange.access.code = code;
  sendBuffer(exchange, {
    status: error.status,
    headers: { 'content-type': 'application/xml' },
    body: error.document,
    closesConnection: code !== 'InternalError',
  });
}

class Exchange implements HttpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly runtime: ExchangeRuntime;
  readonly isSecure: boolean;
  readonly remoteAddress: string;
  readonly access: AccessEntry;
  #abort: AbortController | undefined;

  constructor({ request, response, requestId, runtime }: NewExchange, proxies: TrustedProxies) {
    const socket = request.socket as Socket & { encrypted?: boolean };
    this.request = request;
    this.response = response;
    this.requestId = requestId;
    this.runtime = runtime;
    const origin = proxies.originOf(request, socket.remoteAddress ?? '', socket.encrypted === true);
    this.isSecure = origin.isSecure;
    this.remoteAddress = origin.address;
    this.access = {
      operation: '',
      bucket: '',
      key: '',
      code: '',
      accessKeyId: '',
      hint: '',
      bytesIn: 0,
      body: undefined,
      bytesOut: 0,
    };
  }

  /** Made only when someone asks: an AbortController costs microseconds. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.response.destroyed && !this.response.writableFinished) this.#abort.abort();
    return this.#abort.signal;
  }

  closed(): void {
    if (!this.response.writableFinished) this.#abort?.abort();
  }
}
