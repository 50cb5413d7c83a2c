import fastify, { type FastifyInstance } from 'fastify';
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Randomness } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import type { RequestMetrics } from '../observability/request-metrics.ts';
import type { StallWatchdog } from '../streams/stall-watchdog.ts';
import { answerClientError, refuseTunnel } from './answer-client-error.ts';
import { bindAddresses, type ListenAddress } from './bind-addresses.ts';
import { ExchangeRegistry } from './exchange-registry.ts';
import type { DiscardBounds, ExchangeRuntime, HttpExchange } from './http-exchange.ts';
import { LeanRequest, useAllHeaders } from './lean-request.ts';
import { RequestIdSource } from './request-id.ts';
import type { TlsCertificates } from './tls-certificates.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

export interface ListenerOptions {
  readonly addresses: readonly ListenAddress[];
  readonly tls?: TlsCertificates | undefined;
  readonly limits: ListenerLimits;
  readonly timeouts: ListenerTimeouts;
  readonly discard: DiscardBounds;
  readonly watchdog: StallWatchdog;
  /** S3 traffic, straight from node: the untouched target, the body unread. A rejection becomes a 500. */
  readonly onExchange?: ((exchange: HttpExchange) => Promise<void> | void) | undefined;
  /** Adds the server's own routes (health, metrics, admin) to fastify. */
  readonly registerRoutes?: ((app: FastifyInstance) => Promise<void> | void) | undefined;
  /** Which requests go to those routes. Default: targets that begin with `/-/`; all when there is no `onExchange`. */
  readonly isServerRoute?: ((request: IncomingMessage) => boolean) | undefined;
  /** Counts what passes `onExchange`. */
  readonly metrics?: RequestMetrics | undefined;
  /** Who may say whom a request comes from. */
  readonly proxies: TrustedProxies;
  /** Called when an exchange of `onExchange` is over, its connection cut or not. */
  readonly onFinished?: ((exchange: HttpExchange, durationMs: number) => void) | undefined;
  readonly log: Log;
  readonly clock: Clock;
  readonly randomness: Randomness;
}

interface ListenerLimits {
  /** Per address; connections beyond it are closed at once. */
  readonly maximumConnections: number;
  /** From one client that is no trusted proxy; 0: no limit. */
  readonly maximumConnectionsPerAddress: number;
  /** Request line and headers together. */
  readonly maximumHeaderBytes: number;
  /** A request with this many header lines or more is refused. */
  readonly maximumHeaderCount: number;
}

interface ListenerTimeouts {
  /** For the headers to arrive, from the connection or the request's first byte. */
  readonly headersMs: number;
  readonly keepAliveMs: number;
}

/** Buffer of a socket's reads. */
const SOCKET_BUFFER_BYTES = 64 * 1024;
/** How often node looks for connections whose headers are late. */
const LATE_HEADERS_CHECK_MS = 1_000;
const TLS_HANDSHAKE_MS = 10_000;

/** An open listener. Construct it with `createListener`. */
export class Listener {
  readonly #servers: readonly (Server | TlsServer)[];
  readonly #app: FastifyInstance | undefined;
  readonly #registry: ExchangeRegistry;
  readonly #clock: Clock;
  #closing: Promise<void> | undefined;

  constructor(parts: {
    servers: readonly (Server | TlsServer)[];
    app: FastifyInstance | undefined;
    registry: ExchangeRegistry;
    clock: Clock;
  }) {
    this.#servers = parts.servers;
    this.#app = parts.app;
    this.#registry = parts.registry;
    this.#clock = parts.clock;
  }

  /** Where it really listens: with the port the system chose, without an IPv6 address the machine does not have. */
  get addresses(): AddressInfo[] {
    return this.#servers.map((server) => server.address() as AddressInfo);
  }

  /** Requests being answered now. */
  get activeCount(): number {
    return this.#registry.activeCount;
  }

  get connectionCount(): number {
    return this.#registry.connectionCount;
  }

  /**
   * Stops accepting, closes idle connections at once, lets requests finish for `boundMs` and then cuts them. Resolves
   * when no connection is left. A second call returns the first one's promise.
   */
  close(options: { boundMs: number }): Promise<void> {
    this.#closing ??= this.#close(options.boundMs);
    return this.#closing;
  }

  async #close(boundMs: number): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => void server.close(() => resolve())));
    this.#registry.beginClosing();
    const cancelCut = this.#clock.schedule(boundMs, () => this.#registry.cutAll());
    await Promise.all(closed);
    cancelCut();
    await this.#app?.close();
  }
}

/**
 * Opens a listener; requests are answered from the moment it resolves. S3 requests do not pass through fastify, whose
 * routing would cost each about seven microseconds; the server's own routes do.
 * @throws Error of node's network layer, with `code`
 */
export async function createListener(options: ListenerOptions): Promise<Listener> {
  const registry = new ExchangeRegistry(options);
  const app = await createApp(options);
  const requestIds = new RequestIdSource(options.randomness);
  const runtime: ExchangeRuntime = {
    discardBytes: options.discard.discardBytes,
    discardMs: options.discard.discardMs,
    watchdog: options.watchdog,
    schedule: (delayMs, callback) => options.clock.schedule(delayMs, callback),
  };
  const isServerRoute =
    options.isServerRoute ??
    (options.onExchange === undefined ? () => true : (request: IncomingMessage) => request.url!.startsWith('/-/'));

  const dispatch = (request: IncomingMessage, response: ServerResponse): void => {
    if (app !== undefined && isServerRoute(request)) {
      registry.track(request.socket, response);
      useAllHeaders(request);
      if (request.headers.expect !== undefined) response.writeContinue();
      app.routing(request, response);
    } else {
      registry.run({ request, response, requestId: requestIds.next(), runtime });
    }
  };
  const refuse = (error: Error, socket: Duplex): void => {
    answerClientError(error, socket, {
      requestId: requestIds.next(),
      current: registry.currentResponse(socket),
      log: options.log,
    });
  };
  const servers: (Server | TlsServer)[] = [];
  const makeServer = (): Server | TlsServer => {
    const server = createNodeServer(options);
    server.on('request', dispatch);
    server.on('checkContinue', dispatch);
    // AWS ignores what it does not know.
    server.on('checkExpectation', dispatch);
    server.on('clientError', refuse);
    server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
      refuseTunnel(socket, { requestId: requestIds.next(), log: options.log });
    });
    server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
    if (options.tls === undefined) {
      server.on('connection', (socket: Socket) => registry.addConnection(socket));
    } else {
      server.on('connection', (socket: Socket) => registry.addTlsTransport(socket));
      server.on('secureConnection', (socket: Socket) => registry.addConnection(socket));
    }
    return server;
  };
  servers.push(...((await bindAddresses(options.addresses, makeServer)) as (Server | TlsServer)[]));
  options.tls?.onChange((first) => {
    for (const server of servers) if ('setSecureContext' in server) server.setSecureContext(first);
  });
  return new Listener({ servers, app, registry, clock: options.clock });
}

function createNodeServer({ limits, timeouts, tls }: ListenerOptions): Server | TlsServer {
  const nodeOptions: ServerOptions = {
    maxHeaderSize: limits.maximumHeaderBytes,
    headersTimeout: timeouts.headersMs,
    // a request without Host gets S3's answer, with a request id
    requireHostHeader: false,
    // a legal upload may take hours: bodies are watched by their rate
    requestTimeout: 0,
    // idle connections are swept by the registry: node would set and clear a timer for each request
    keepAliveTimeout: 0,
    connectionsCheckingInterval: Math.min(LATE_HEADERS_CHECK_MS, timeouts.headersMs),
    noDelay: true,
    keepAlive: true,
    highWaterMark: SOCKET_BUFFER_BYTES,
    IncomingMessage: LeanRequest,
  };
  const server =
    tls === undefined
      ? createServer(nodeOptions)
      : createTlsServer({
          ...nodeOptions,
          ...tls.first,
          minVersion: 'TLSv1.2',
          handshakeTimeout: TLS_HANDSHAKE_MS,
          SNICallback: (serverName, done) => done(null, tls.contextFor(serverName)),
        });
  server.maxHeadersCount = limits.maximumHeaderCount;
  server.maxConnections = limits.maximumConnections;
  return server;
}

async function createApp(options: ListenerOptions): Promise<FastifyInstance | undefined> {
  if (options.registerRoutes === undefined) return undefined;
  const app = fastify({ logger: false, forceCloseConnections: false });
  await options.registerRoutes(app);
  await app.ready();
  return app;
}
