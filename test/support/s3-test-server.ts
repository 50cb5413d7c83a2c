import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import aws4 from 'aws4';
import { Callers } from '../../src/access/callers.ts';
import type { AuthorizationRequest, Authorizer } from '../../src/access/principal.ts';
import { PolicyAuthorizer } from '../../src/access/policy-authorizer.ts';
import type { HttpExchange } from '../../src/http/http-exchange.ts';
import { createListener, type Listener } from '../../src/http/listener.ts';
import type { Log } from '../../src/observability/log.ts';
import { SystemClock, SystemRandomness } from '../../src/observability/system-clock.ts';
import { S3RequestHandler, type S3RequestHandlerOptions } from '../../src/s3/handle-request.ts';
import { makeTestGate } from './caller-gate-fixture.ts';
import { TrustedProxies } from '../../src/http/trusted-proxies.ts';
import type { RequestLimits } from '../../src/access/limits/request-limits.ts';
import { RequestAuthenticator } from '../../src/s3/sigv4/request-authenticator.ts';
import { BucketEncryptionService } from '../../src/service/bucket-encryption.ts';
import { BucketService } from '../../src/service/buckets.ts';
import type { LifecycleService } from '../../src/service/lifecycle/lifecycle-service.ts';
import { ListingService } from '../../src/service/listing.ts';
import type { MultipartService } from '../../src/service/multipart-uploads.ts';
import type { ObjectService } from '../../src/service/objects.ts';
import type { S3Services } from '../../src/service/services.ts';
import type { StorageClasses } from '../../src/service/storage-classes.ts';
import { StallWatchdog } from '../../src/streams/stall-watchdog.ts';
import { openTestIdentities } from './identities-fixture.ts';
import { MemoryMetadata } from './memory-metadata.ts';
import { testAccessControl } from './access-control-fixture.ts';
import { ALICE } from './metadata-fixtures.ts';

export const ACCESS_KEY = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };

export interface TestAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface TestRequest {
  headers?: Record<string, string>;
  body?: string | Buffer;
  isSigned?: boolean;
}

export interface LoggedLine {
  level: string;
  fields: Record<string, unknown>;
  message: string;
}

/** A service whose every method throws: what a test says is not reached, is not. */
function unreachable(name: string): object {
  return new Proxy(
    {},
    {
      get: (_target, property) => () => {
        throw new Error(`${name}.${String(property)} was reached`);
      },
    },
  );
}

interface TestServerOptions extends Partial<S3RequestHandlerOptions> {
  readonly limits?: RequestLimits;
  readonly proxies?: TrustedProxies;
}

/** The real listener, authenticator and pipeline over buckets in memory. */
export class S3TestServer {
  readonly metadata = new MemoryMetadata();
  readonly lines: LoggedLine[] = [];
  readonly authorizations: AuthorizationRequest[] = [];
  services: S3Services | undefined;
  #listener: Listener | undefined;

  constructor(options: { region?: string; objects?: ObjectService; multipart?: MultipartService } = {}) {
    const region = options.region ?? 'us-east-1';
    const buckets = new BucketService({
      metadataStore: this.metadata,
      clock: new SystemClock(),
      region,
      blocksCustomerKeys: false,
      blocksPublicAccess: true,
    });
    this.services = {
      region,
      clock: new SystemClock(),
      buckets,
      accessControl: testAccessControl(),
      accountPublicAccess: { of: () => undefined, set: async () => {} },
      bucketEncryption: new BucketEncryptionService({ metadataStore: this.metadata, serverDefault: undefined }),
      listing: new ListingService({ metadataStore: this.metadata, buckets }),
      objects: options.objects ?? (unreachable('objects') as ObjectService),
      multipart: options.multipart ?? (unreachable('multipart') as MultipartService),
      lifecycle: unreachable('lifecycle') as LifecycleService,
      allowsCustomerKeysOverHttp: false,
      storageClasses: unreachable('storageClasses') as StorageClasses,
    };
  }

  async start({ limits, proxies = new TrustedProxies([]), ...overrides }: TestServerOptions = {}): Promise<this> {
    const clock = new SystemClock();
    const randomness = new SystemRandomness();
    const handler = new S3RequestHandler({
      authenticator: new RequestAuthenticator({
        credentials: {
          find: (accessKeyId) =>
            accessKeyId === ACCESS_KEY.accessKeyId
              ? { ...ACCESS_KEY, principal: { type: 'root', accessKeyId, owner: ALICE } }
              : undefined,
        },
        region: this.services!.region,
        allowSignatureV2: true,
        allowUnsignedPayloadOverHttp: true,
      }),
      authorizer: this.#recordingAuthorizer(),
      region: this.services!.region,
      services: () => this.services,
      domains: [],
      gate: makeTestGate({ ...(limits && { limits }), proxies, log: this.#log() }),
      clock,
      randomness,
      log: this.#log(),
      ...overrides,
    });
    this.#listener = await createListener({
      addresses: [{ host: '127.0.0.1', port: 0 }],
      limits: {
        maximumConnections: 100,
        maximumConnectionsPerAddress: 0,
        maximumHeaderBytes: 16 * 1024,
        maximumHeaderCount: 200,
      },
      timeouts: { headersMs: 10_000, keepAliveMs: 1_000 },
      discard: { discardBytes: 1024 * 1024, discardMs: 1_000 },
      watchdog: new StallWatchdog({ clock, minimumBytesPerSecond: 1024, stallTimeoutMs: 10_000 }),
      onExchange: (exchange: HttpExchange) => handler.handle(exchange),
      proxies,
      log: this.#log(),
      clock,
      randomness,
    });
    return this;
  }

  async stop(): Promise<void> {
    await this.#listener?.close({ boundMs: 500 });
  }

  get port(): number {
    return this.#listener!.addresses[0]!.port;
  }

  async createBucket(name: string): Promise<void> {
    await this.services!.buckets.createBucket({ name, owner: ALICE, locationConstraint: undefined });
  }

  /** Sends `path` exactly as it stands. */
  request(
    method: string,
    path: string,
    { headers = {}, body, isSigned = true }: TestRequest = {},
  ): Promise<TestAnswer> {
    const options = {
      host: '127.0.0.1',
      port: this.port,
      method,
      path,
      headers: { ...headers },
      agent: false as const,
    };
    if (isSigned) {
      const { services } = this;
      const unsigned: object = { ...options, service: 's3', region: services?.region ?? 'us-east-1', body: body ?? '' };
      const signed = aws4.sign(unsigned, ACCESS_KEY);
      options.headers = signed.headers as Record<string, string>;
    }
    return new Promise((resolve, reject) => {
      const request = httpRequest(options, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(pieces).toString() });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  /** The path of a presigned URL. */
  presign(method: string, path: string): string {
    const separator = path.includes('?') ? '&' : '?';
    const request: object = {
      host: `127.0.0.1:${this.port}`,
      method,
      path: `${path}${separator}X-Amz-Expires=60`,
      service: 's3',
      region: 'us-east-1',
      signQuery: true,
    };
    return aws4.sign(request, ACCESS_KEY).path!;
  }

  #recordingAuthorizer(): Authorizer {
    const store = {
      getBucket: (name: string) => this.metadata.getBucket(name),
      getObject: async () => undefined,
    };
    const opened = openTestIdentities(ALICE).then(
      (identities) => new PolicyAuthorizer(() => store, new Callers(identities)),
    );
    return {
      authorize: async (request) => {
        this.authorizations.push(request);
        await (await opened).authorize(request);
      },
    };
  }

  #log(): Log {
    const at = (level: string) => (fields: object, message: string) => {
      this.lines.push({ level, fields: fields as Record<string, unknown>, message });
    };
    const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
    return log;
  }
}
