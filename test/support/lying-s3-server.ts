import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What this server does wrong, on purpose, from the moment it is set. */
export type Lie =
  | 'none'
  | 'forgets-deletes'
  | 'forgets-overwrites'
  | 'flips-a-byte'
  | 'shortens-bodies'
  | 'mixes-up-keys'
  | 'hides-from-listings'
  | 'lists-the-deleted'
  | 'fails-then-flips-back';

/** A small S3 in memory, honest but for its `lie`: what checkers of histories must notice. Listens on loopback. */
export class LyingS3Server {
  lie: Lie = 'none';
  endpoint = '';
  readonly #objects = new Map<string, Buffer>();
  readonly #deleted = new Set<string>();
  readonly #parts = new Map<string, Buffer[]>();
  readonly #server: Server;
  #requestCount = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request, response);
    });
  }

  static async start(): Promise<LyingS3Server> {
    const lying = new LyingS3Server();
    await new Promise<void>((resolve) => {
      lying.#server.listen(0, '127.0.0.1', resolve);
    });
    lying.endpoint = `http://127.0.0.1:${(lying.#server.address() as AddressInfo).port}`;
    return lying;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const url = new URL(request.url ?? '/', 'http://localhost');
    const [, , ...rest] = url.pathname.split('/');
    const key = decodeURIComponent(rest.join('/'));
    this.#requestCount++;
    const send = (status: number, content: Buffer | string = '', headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'content-length': Buffer.byteLength(content), ...headers });
      response.end(request.method === 'HEAD' ? undefined : content);
    };
    if (key === '') return send(200, this.#listing(), { 'content-type': 'application/xml' });
    const uploadId = url.searchParams.get('uploadId');
    if (request.method === 'POST' && uploadId === null) {
      return send(
        200,
        `<InitiateMultipartUploadResult><UploadId>u${this.#requestCount}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    if (request.method === 'PUT' && uploadId !== null) {
      const parts = this.#parts.get(uploadId) ?? [];
      parts[Number(url.searchParams.get('partNumber')) - 1] = body;
      this.#parts.set(uploadId, parts);
      return send(200, '', { etag: '"part"' });
    }
    if (request.method === 'POST') {
      this.#store(key, Buffer.concat(this.#parts.get(uploadId ?? '') ?? []));
      return send(200, '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>');
    }
    const source = request.headers['x-amz-copy-source'];
    if (request.method === 'PUT' && typeof source === 'string') {
      const from = this.#objects.get(decodeURIComponent(source).split('/').slice(1).join('/'));
      if (from === undefined) return send(404, '<Error><Code>NoSuchKey</Code></Error>');
      this.#store(key, from);
      return send(200, '<CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>');
    }
    if (request.method === 'PUT') {
      this.#store(key, body);
      if (this.lie === 'fails-then-flips-back') return send(500, '<Error><Code>InternalError</Code></Error>');
      return send(200, '', { etag: '"x"' });
    }
    if (request.method === 'DELETE') {
      if (this.lie !== 'forgets-deletes') this.#objects.delete(key);
      this.#deleted.add(key);
      return send(204);
    }
    this.#read(key, request, send);
  }

  #store(key: string, body: Buffer): void {
    if (this.lie === 'forgets-overwrites' && this.#objects.has(key)) return;
    this.#objects.set(key, body);
    this.#deleted.delete(key);
  }

  #read(
    key: string,
    request: IncomingMessage,
    send: (status: number, content?: Buffer | string, headers?: Record<string, string>) => void,
  ): void {
    let body = this.#objects.get(key);
    if (this.lie === 'mixes-up-keys') body = [...this.#objects.values()].at(-1);
    // Seen, not seen, seen …: an outcome that was observed does not stay.
    if (this.lie === 'fails-then-flips-back' && this.#requestCount % 2 === 0) body = undefined;
    if (body === undefined) return send(404, '<Error><Code>NoSuchKey</Code></Error>');
    if (this.lie === 'flips-a-byte' && body.length > 100) {
      body = Buffer.from(body);
      body[body.length - 50] = (body[body.length - 50] ?? 0) ^ 1;
    }
    if (this.lie === 'shortens-bodies' && body.length > 0) body = body.subarray(0, -1);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (range === null) return send(200, body);
    if (Number(range[1]) >= body.length) return send(416);
    send(206, body.subarray(Number(range[1]), Number(range[2]) + 1));
  }

  #listing(): string {
    const keys = [...this.#objects.keys()];
    if (this.lie === 'hides-from-listings') keys.shift();
    if (this.lie === 'lists-the-deleted') keys.push(...this.#deleted);
    const contents = keys.toSorted().map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`);
    return `<ListBucketResult>${contents.join('')}<IsTruncated>false</IsTruncated></ListBucketResult>`;
  }
}
