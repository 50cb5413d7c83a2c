import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ChildServer, statusOf } from './child-server.ts';
import { PROBE_NODE_OPTIONS, ServerProbe } from './server-probe.ts';
import { endWithBench } from './end-with-bench.ts';
import type { OwnedServer, ServerUnderTest } from './server-under-test.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/holdfast.cjs', import.meta.url));
const READY_WITHIN_MS = 120_000;
const LOST_WITHIN_MS = 10_000;
const CREDENTIAL = {
  accessKeyId: 'BENCHACCESSKEY000001',
  secretAccessKey: 'bench-secret-access-key-0000000000000001',
};

/** A new store of six directories, 4+2, in a folder of its own, served by this checkout with its default configuration. */
export class HoldfastServer implements ServerUnderTest, OwnedServer {
  readonly name = 'holdfast';
  readonly folder: string;
  readonly diskPaths: string[];
  readonly own: this;
  address = { host: '127.0.0.1', port: 0 };
  #server: ChildServer | undefined;
  #adminEndpoint = '';
  #startCount = 0;
  readonly #forget: () => void;

  private constructor(parentFolder: string) {
    this.folder = mkdtempSync(join(parentFolder, 'holdfast-bench-'));
    this.diskPaths = Array.from({ length: 6 }, (_, index) => join(this.folder, `disk${index + 1}`));
    this.own = this;
    this.#forget = endWithBench(this);
  }

  static async create(parentFolder: string): Promise<HoldfastServer> {
    const server = new HoldfastServer(parentFolder);
    for (const path of server.diskPaths) mkdirSync(path);
    const args = ['format', '--disks', server.diskPaths.join(' '), '--code', '4+2', '--state', server.stateDirectory];
    await promisify(execFile)(process.execPath, [LAUNCHER, ...args], { env: server.#environment() });
    await server.start();
    return server;
  }

  get stateDirectory(): string {
    return join(this.folder, 'state');
  }

  get processId(): number | undefined {
    return this.#server?.processId;
  }

  get signer(): ServerUnderTest['signer'] {
    return { host: `127.0.0.1:${this.address.port}`, region: 'us-east-1', credential: CREDENTIAL };
  }

  get probe(): ServerProbe | undefined {
    return this.#server === undefined ? undefined : new ServerProbe(this.#server.child);
  }

  /** Returns how long it took until the first S3 request could be answered, in milliseconds. */
  async start(): Promise<number> {
    const began = performance.now();
    this.#startCount += 1;
    const server = new ChildServer({
      name: this.name,
      program: process.execPath,
      args: [
        LAUNCHER,
        'serve',
        '--disks',
        this.diskPaths.join(' '),
        '--state',
        this.stateDirectory,
        '--listen',
        '127.0.0.1:0',
        '--admin-listen',
        '127.0.0.1:0',
      ],
      environment: this.#environment(PROBE_NODE_OPTIONS),
      hasChannel: true,
      outputFile: join(this.folder, `output-${this.#startCount}.log`),
    });
    this.#server = server;
    const port = await server.waitFor(
      async () => /Endpoint\s+http:\/\/127\.0\.0\.1:(\d+)/.exec(server.output)?.[1],
      READY_WITHIN_MS,
    );
    await server.waitFor(
      async () => ((await statusOf(`http://127.0.0.1:${port}/-/ready`)) === 200 ? true : undefined),
      READY_WITHIN_MS,
    );
    this.address = { host: '127.0.0.1', port: Number(port) };
    this.#adminEndpoint = /Admin\s+(http:\/\/127\.0\.0\.1:\d+)/.exec(server.output)?.[1] ?? '';
    return performance.now() - began;
  }

  /** What `/metrics` says, summed over labels: disks, operations. */
  async metrics(): Promise<Map<string, number>> {
    const answer = await fetch(`${this.#adminEndpoint}/metrics`);
    const sums = new Map<string, number>();
    for (const line of (await answer.text()).split('\n')) {
      const match = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line);
      if (match?.[1] !== undefined) sums.set(match[1], (sums.get(match[1]) ?? 0) + Number(match[2]));
    }
    return sums;
  }

  /** Ends the process; the store stays. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#server?.stop(signal);
    this.#server = undefined;
  }

  async stop(): Promise<void> {
    await this.end();
    this.#forget();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async loseDisk(): Promise<() => Promise<void>> {
    const [first] = this.diskPaths;
    if (first === undefined) throw new Error('no disk to lose');
    renameSync(first, `${first}.away`);
    // Files that were open can still be read: without this the cell might measure a whole store.
    await this.#server?.waitFor(
      async () => ((await this.metrics()).get('holdfast_disk_usable') === this.diskPaths.length - 1 ? true : undefined),
      LOST_WITHIN_MS,
    );
    return async () => renameSync(`${first}.away`, first);
  }

  #environment(nodeOptions?: string): NodeJS.ProcessEnv {
    return {
      PATH: process.env['PATH'],
      HOME: this.folder,
      ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions }),
      HOLDFAST_ROOT_ACCESS_KEY_ID: CREDENTIAL.accessKeyId,
      HOLDFAST_ROOT_SECRET_ACCESS_KEY: CREDENTIAL.secretAccessKey,
    };
  }
}
