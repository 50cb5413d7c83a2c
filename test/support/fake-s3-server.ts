import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** How the fake misbehaves; each fault concerns every `everyNth` request of its kind. */
export type Misbehaviour =
  | 'none'
  | 'wrong-byte'
  | 'other-object'
  | 'short-body'
  | 'cut-body'
  | 'dropped-write'
  | 'kept-old-version'
  | 'error-500'
  | 'hidden-key';

const EVERY_NTH = 5;

/** An S3 server of a few lines for the bench to measure: objects in a map, and one kind of fault. */
export class FakeS3Server {
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #objects = new Map<string, Buffer>();
  readonly #fault: Misbehaviour;
  #count = 0;
  endpoint = '';

  private constructor(fault: Misbehaviour) {
    this.#fault = fault;
  }

  static async start(fault: Misbehaviour): Promise<FakeS3Server> {
    const fake = new FakeS3Server(fault);
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    fake.endpoint = `http://127.0.0.1:${(fake.#server.address() as AddressInfo).port}`;
    return fake;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const body = await buffer(request);
    const isNth = (): boolean => {
      this.#count += 1;
      return this.#count % EVERY_NTH === 0;
    };
    if (this.#fault === 'error-500' && url.pathname.split('/').length > 2 && isNth()) {
      response.writeHead(500).end('<Error><Code>InternalError</Code></Error>');
    } else if (request.method === 'PUT') {
      const isOverwrite = this.#objects.has(url.pathname);
      const isDropped = this.#fault === 'dropped-write' || (this.#fault === 'kept-old-version' && isOverwrite);
      if (!(isDropped && isNth())) this.#objects.set(url.pathname, body);
      response.writeHead(200, { etag: '"0"' }).end();
    } else if (request.method === 'DELETE') {
      this.#objects.delete(url.pathname);
      response.writeHead(204).end();
    } else if (url.searchParams.has('list-type')) this.#list(url, response);
    else this.#read(request, response, isNth);
  }

  #read(request: IncomingMessage, response: ServerResponse, isNth: () => boolean): void {
    let object = this.#objects.get(request.url ?? '');
    if (object === undefined) {
      response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
      return;
    }
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'content-length': object.length }).end();
      return;
    }
    const isFaulty = isNth();
    if (isFaulty && this.#fault === 'wrong-byte') {
      object = Buffer.from(object);
      object[object.length - 1] = (object.at(-1) ?? 0) ^ 1;
    } else if (isFaulty && this.#fault === 'other-object') {
      const own = request.url ?? '';
      object = [...this.#objects].find(([path]) => path !== own)?.[1] ?? object;
    } else if (isFaulty && this.#fault === 'short-body') object = object.subarray(0, object.length - 1);
    if (isFaulty && this.#fault === 'cut-body') {
      response.writeHead(200, { 'content-length': object.length });
      response.write(object.subarray(0, object.length >> 1), () => response.destroy());
      return;
    }
    response.writeHead(200, { 'content-length': object.length }).end(object);
  }

  #list(url: URL, response: ServerResponse): void {
    const bucket = url.pathname;
    const after = url.searchParams.get('start-after') ?? '';
    const maxKeys = Number(url.searchParams.get('max-keys'));
    const keys = [...this.#objects.keys()]
      .filter((path) => path.startsWith(`${bucket}/`))
      .map((path) => path.slice(bucket.length + 1))
      .filter((key) => key > after)
      .sort()
      .filter((_, index) => this.#fault !== 'hidden-key' || index !== 3);
    const page = keys.slice(0, maxKeys).map((key) => `<Contents><Key>${key}</Key></Contents>`);
    const xml = `<ListBucketResult><IsTruncated>${keys.length > maxKeys}</IsTruncated>${page.join('')}</ListBucketResult>`;
    // Chunked, as servers answer listings.
    response.writeHead(200, { 'content-type': 'application/xml' });
    response.write(xml.slice(0, 100));
    response.end(xml.slice(100));
  }
}
