import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What this server does wrong, on purpose, from the moment it is set. */
export type VersionLie =
  | 'none'
  | 'forgets-a-version'
  | 'brings-back-what-was-removed'
  | 'mixes-up-versions'
  | 'reorders-versions'
  | 'makes-another-the-latest'
  | 'fails-then-hides-what-it-showed';

interface Version {
  id: string;
  body: Buffer | undefined;
}

/** Versions of keys in memory, honest but for its `lie`. Listens on loopback. */
export class LyingVersionServer {
  lie: VersionLie = 'none';
  endpoint = '';
  /** Oldest first; a body that is undefined is a delete marker. */
  readonly #versions = new Map<string, Version[]>();
  readonly #removed = new Map<string, Version[]>();
  readonly #server: Server;
  #count = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        const url = new URL(request.url ?? '/', 'http://localhost');
        const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'));
        const { status, content, id } = this.#answer(request.method ?? '', key, url, Buffer.concat(pieces));
        const versionId = id === undefined ? {} : { 'x-amz-version-id': id };
        response.writeHead(status, { 'content-length': Buffer.byteLength(content), ...versionId }).end(content);
      });
    });
  }

  static async start(): Promise<LyingVersionServer> {
    const lying = new LyingVersionServer();
    await new Promise<void>((resolve) => void lying.#server.listen(0, '127.0.0.1', resolve));
    lying.endpoint = `http://127.0.0.1:${(lying.#server.address() as AddressInfo).port}`;
    return lying;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(
    method: string,
    key: string,
    url: URL,
    body: Buffer,
  ): { status: number; content: Buffer | string; id?: string } {
    if (key === '') return { status: 200, content: this.#listing(url.searchParams.get('prefix') ?? '') };
    const versions = this.#versions.get(key) ?? [];
    this.#versions.set(key, versions);
    const id = url.searchParams.get('versionId');
    if (method === 'GET') {
      const found =
        this.lie === 'mixes-up-versions' ? versions.find((one) => one.body) : versions.find((one) => one.id === id);
      if (found?.body === undefined) return { status: 404, content: '<Error><Code>NoSuchVersion</Code></Error>' };
      return { status: 200, content: found.body };
    }
    if (method === 'DELETE' && id !== null) {
      const at = versions.findIndex((one) => one.id === id);
      if (at >= 0) this.#removed.set(key, versions.splice(at, 1));
      return { status: 204, content: '', id };
    }
    const made = { id: `v${this.#count++}`, body: method === 'PUT' ? body : undefined };
    if (this.lie !== 'forgets-a-version' || this.#count % 5 > 0) versions.push(made);
    if (this.lie === 'fails-then-hides-what-it-showed' && method === 'PUT') {
      return { status: 500, content: '<Error><Code>InternalError</Code></Error>' };
    }
    return { status: method === 'PUT' ? 200 : 204, content: '', id: made.id };
  }

  #listing(key: string): string {
    let versions = [...(this.#versions.get(key) ?? [])];
    if (this.lie === 'brings-back-what-was-removed') versions = [...(this.#removed.get(key) ?? []), ...versions];
    if (this.lie === 'reorders-versions') versions.reverse();
    if (this.lie === 'fails-then-hides-what-it-showed' && this.#count++ % 2 === 0) versions.pop();
    const latest = this.lie === 'makes-another-the-latest' ? versions[0] : versions.at(-1);
    const entries = versions.toReversed().map(({ id, body }) => {
      const name = body === undefined ? 'DeleteMarker' : 'Version';
      return `<${name}><Key>${key}</Key><VersionId>${id}</VersionId><IsLatest>${id === latest?.id}</IsLatest></${name}>`;
    });
    return `<ListVersionsResult>${entries.join('')}</ListVersionsResult>`;
  }
}
