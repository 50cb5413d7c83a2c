import { TrustedProxies } from '../../src/http/trusted-proxies.ts';
import { makeTestGate } from './caller-gate-fixture.ts';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import aws4 from 'aws4';
import type { CredentialSource } from '../../src/access/principal.ts';
import type { HttpExchange } from '../../src/http/http-exchange.ts';
import { createListener, type Listener } from '../../src/http/listener.ts';
import { QueryRequestHandler } from '../../src/iam/handle-query-request.ts';
import type { IamServices } from '../../src/iam/iam-services.ts';
import { SystemClock, SystemRandomness } from '../../src/observability/system-clock.ts';
import { RequestAuthenticator } from '../../src/s3/sigv4/request-authenticator.ts';
import { formatBasicTimestamp } from '../../src/s3/sigv4/timestamp.ts';
import { StallWatchdog } from '../../src/streams/stall-watchdog.ts';
import { RecordingLog } from './recording-log.ts';

export interface QueryAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface QueryTestRequest {
  method?: string;
  path?: string;
  body?: string;
  headers?: Record<string, string>;
  /** `undefined`: not signed. */
  signer?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined;
  service?: string;
  region?: string;
}

/** The real listener, authenticator and pipeline of IAM and STS. */
export class QueryTestServer {
  readonly log = new RecordingLog();
  #listener: Listener | undefined;
  #nowMs: () => number = Date.now;

  /** @param nowMs what the server's clock shows; requests are signed at that time */
  async start(
    credentials: CredentialSource,
    services: () => IamServices | undefined,
    nowMs: () => number = Date.now,
  ): Promise<this> {
    const clock = new SystemClock();
    this.#nowMs = nowMs;
    const handler = new QueryRequestHandler({
      authenticator: new RequestAuthenticator({
        credentials,
        region: 'us-east-1',
        allowSignatureV2: true,
        allowUnsignedPayloadOverHttp: true,
      }),
      gate: makeTestGate(),
      region: 'us-east-1',
      services,
      clock: { nowMs },
      log: this.log,
    });
    this.#listener = await createListener({
      addresses: [{ host: '127.0.0.1', port: 0 }],
      limits: {
        maximumConnectionsPerAddress: 0,
        maximumConnections: 100,
        maximumHeaderBytes: 16 * 1024,
        maximumHeaderCount: 200,
      },
      timeouts: { headersMs: 10_000, keepAliveMs: 1_000 },
      discard: { discardBytes: 1024 * 1024, discardMs: 1_000 },
      watchdog: new StallWatchdog({ clock, minimumBytesPerSecond: 1024, stallTimeoutMs: 10_000 }),
      onExchange: (exchange: HttpExchange) => handler.handle(exchange),
      proxies: new TrustedProxies([]),
      log: this.log,
      clock,
      randomness: new SystemRandomness(),
    });
    return this;
  }

  async stop(): Promise<void> {
    await this.#listener?.close({ boundMs: 500 });
  }

  get port(): number {
    return this.#listener!.addresses[0]!.port;
  }

  request(request: QueryTestRequest): Promise<QueryAnswer> {
    const {
      method = 'POST',
      path = '/',
      body = '',
      headers = {},
      signer,
      service = 'sts',
      region = 'us-east-1',
    } = request;
    const time = { 'X-Amz-Date': formatBasicTimestamp(this.#nowMs()) };
    const type = body === '' ? {} : { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' };
    let options = { host: '127.0.0.1', port: this.port, method, path, headers: { ...type, ...headers }, agent: false };
    if (signer !== undefined) {
      const timed = { ...options, headers: { ...options.headers, ...time } };
      const signed = aws4.sign({ ...timed, service, region, body }, signer);
      options = { ...options, headers: signed.headers as Record<string, string> };
    }
    return new Promise((resolve, reject) => {
      const sent = httpRequest({ ...options, agent: false }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(pieces).toString() });
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

/** `Action=…&Version=…` and the rest, as clients encode it. */
export function form(
  service: 'iam' | 'sts',
  action: string,
  parameters: Readonly<Record<string, string>> = {},
): string {
  const version = service === 'iam' ? '2010-05-08' : '2011-06-15';
  return new URLSearchParams({ Action: action, Version: version, ...parameters }).toString();
}
