import { createHash, createHmac } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { sign, type Request as Aws4Request } from 'aws4';

export interface TestCredential {
  accessKeyId: string;
  secretAccessKey: string;
}

export interface Endpoint {
  host: string;
  port: number;
}

export interface SignedRequestOptions {
  method?: string;
  /** Encoded path and query. */
  path: string;
  headers?: Record<string, string>;
  body?: Buffer | string;
  region?: string;
  /** `YYYYMMDD'T'HHMMSS'Z'`; default: now. */
  timestamp?: string;
  /** Presigned query instead of the Authorization header. */
  signQuery?: boolean;
}

export interface SignedRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

/** Signs with `aws4`, an implementation independent of the server's. */
export function signRequest(
  endpoint: Endpoint,
  credential: TestCredential,
  options: SignedRequestOptions,
): SignedRequest {
  const body = Buffer.from(options.body ?? '');
  const headers: Record<string, string> = { Host: `${endpoint.host}:${endpoint.port}`, ...options.headers };
  const request: Aws4Request = {
    service: 's3',
    region: options.region ?? 'us-east-1',
    method: options.method ?? 'GET',
    path: options.path,
    headers,
  };
  if (body.length > 0) request.body = body;
  if (options.signQuery === true) request.signQuery = true;
  else if (headers['x-amz-content-sha256'] === undefined) {
    headers['x-amz-content-sha256'] = createHash('sha256').update(body).digest('hex');
  }
  if (body.length > 0 && headers['Content-Type'] === undefined) headers['Content-Type'] = 'application/octet-stream';
  if (options.timestamp !== undefined && options.signQuery !== true) headers['X-Amz-Date'] = options.timestamp;
  const signed = sign(request, credential);
  return {
    method: signed.method ?? 'GET',
    path: signed.path ?? '/',
    headers: Object.fromEntries(Object.entries(signed.headers ?? {}).map(([name, value]) => [name, String(value)])),
    body,
  };
}

/** A bare TCP connection that remembers everything it received. */
export class RawConnection {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #isEnded = false;
  #waiters: (() => void)[] = [];
  /** Set when the peer reset the connection. */
  error: Error | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.#isEnded = true;
      this.#wake();
    });
    socket.on('end', () => this.#wake());
  }

  static async open(endpoint: Endpoint): Promise<RawConnection> {
    const socket = connect(endpoint.port, endpoint.host);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.setNoDelay();
    return new RawConnection(socket);
  }

  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  get received(): string {
    return this.#received.toString('latin1');
  }

  get isClosed(): boolean {
    return this.#isEnded;
  }

  /** Waits until what was received matches. Rejects when the connection ends before, or after `boundMs`. */
  async until(pattern: RegExp, boundMs = 30_000): Promise<string> {
    await this.#wait(() => pattern.test(this.received) || this.#isEnded, boundMs);
    if (!pattern.test(this.received)) throw new Error(`connection ended; received: ${this.received.slice(0, 500)}`);
    return this.received;
  }

  /** Waits for the end of the connection and returns all that was received. */
  async closed(boundMs = 30_000): Promise<string> {
    await this.#wait(() => this.#isEnded, boundMs);
    return this.received;
  }

  close(): void {
    this.socket.destroy();
  }

  async #wait(isDone: () => boolean, boundMs: number): Promise<void> {
    const deadline = Date.now() + boundMs;
    while (!isDone()) {
      if (Date.now() > deadline) throw new Error(`nothing in ${boundMs} ms; received: ${this.received.slice(0, 500)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(100, boundMs));
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

export interface ChunkSigner {
  /** The signature of the request, in hex. */
  seed: string;
  timestamp: string;
  region: string;
  credential: TestCredential;
}

/** Chunk signatures computed from AWS's description alone. */
export class ChunkSignatures {
  readonly #signer: ChunkSigner;
  #previous: string;

  constructor(signer: ChunkSigner) {
    this.#signer = signer;
    this.#previous = signer.seed;
  }

  chunk(data: Buffer): string {
    const empty = createHash('sha256').digest('hex');
    const hash = createHash('sha256').update(data).digest('hex');
    return this.#sign(`AWS4-HMAC-SHA256-PAYLOAD\n${this.#context()}\n${this.#previous}\n${empty}\n${hash}`);
  }

  trailer(canonicalTrailers: string): string {
    const hash = createHash('sha256').update(canonicalTrailers).digest('hex');
    return this.#sign(`AWS4-HMAC-SHA256-TRAILER\n${this.#context()}\n${this.#previous}\n${hash}`);
  }

  #context(): string {
    const { timestamp, region } = this.#signer;
    return `${timestamp}\n${timestamp.slice(0, 8)}/${region}/s3/aws4_request`;
  }

  #sign(text: string): string {
    const { credential, timestamp, region } = this.#signer;
    let key: Buffer = Buffer.from(`AWS4${credential.secretAccessKey}`);
    for (const piece of [timestamp.slice(0, 8), region, 's3', 'aws4_request']) {
      key = createHmac('sha256', key).update(piece).digest();
    }
    this.#previous = createHmac('sha256', key).update(text).digest('hex');
    return this.#previous;
  }
}

export interface AwsChunkedBody {
  chunks: readonly Buffer[];
  /** Signs chunks and trailer. */
  signer?: ChunkSigner;
  /** `x-amz-checksum-crc32c` → value. */
  trailers?: Readonly<Record<string, string>>;
}

/** A body in `aws-chunked` framing. */
export function awsChunked({ chunks, signer, trailers }: AwsChunkedBody): Buffer {
  const signatures = signer === undefined ? undefined : new ChunkSignatures(signer);
  const pieces: Buffer[] = [];
  for (const chunk of [...chunks, Buffer.alloc(0)]) {
    const signature = signatures === undefined ? '' : `;chunk-signature=${signatures.chunk(chunk)}`;
    pieces.push(Buffer.from(`${chunk.length.toString(16)}${signature}\r\n`), chunk);
    if (chunk.length > 0) pieces.push(Buffer.from('\r\n'));
  }
  if (trailers !== undefined) {
    const lines = Object.entries(trailers);
    pieces.push(Buffer.from(lines.map(([name, value]) => `${name}:${value}\r\n`).join('')));
    if (signatures !== undefined) {
      const signature = signatures.trailer(lines.map(([name, value]) => `${name}:${value}\n`).join(''));
      pieces.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`));
    }
  }
  pieces.push(Buffer.from('\r\n'));
  return Buffer.concat(pieces);
}
