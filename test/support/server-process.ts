import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { S3Client } from '@aws-sdk/client-s3';
import { repositoryRoot } from '../repository/tracked-files.ts';

const LAUNCHER = join(repositoryRoot, 'bin/holdfast.cjs');

export interface ServerOptions {
  diskCount?: number;
  code?: string;
  /** More `serve` flags. */
  flags?: readonly string[];
  /** `undefined` takes a variable away that tests set. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** Each disk is a tmpfs of this size, mounted in a namespace of the server's own; gone when it ends. */
  ownFileSystemMebibytes?: number;
  /** Arguments of `node` in place of the launcher, for the server alone. */
  launcher?: readonly string[];
}

/** A store in a temporary folder and the real `holdfast serve` process on it. */
export class TestServer {
  readonly folder: string;
  readonly diskPaths: string[];
  readonly stateDirectory: string;
  readonly accessKeyId = 'TESTACCESSKEY0000001';
  readonly secretAccessKey = 'test-secret-access-key-0000000000000001';
  endpoint = '';
  adminEndpoint = '';
  output = '';
  readonly #options: ServerOptions;
  #child: ChildProcess | undefined;

  private constructor(options: ServerOptions) {
    this.#options = options;
    this.folder = mkdtempSync(join(tmpdir(), 'holdfast-e2e-'));
    this.diskPaths = Array.from({ length: options.diskCount ?? 6 }, (_, index) =>
      join(this.folder, `disk${index + 1}`),
    );
    this.stateDirectory = join(this.folder, 'state');
  }

  /** Formats new directories and serves them. */
  static async create(options: ServerOptions = {}): Promise<TestServer> {
    const server = new TestServer(options);
    for (const path of server.diskPaths) mkdirSync(path);
    if (options.ownFileSystemMebibytes !== undefined) {
      await server.start({ prefix: server.#mountingPrefix(options.ownFileSystemMebibytes) });
      return server;
    }
    const formatted = await server.command(
      'format',
      '--disks',
      server.diskPaths.join(' '),
      '--code',
      options.code ?? '4+2',
      '--state',
      server.stateDirectory,
    );
    if (formatted.status !== 0) throw new Error(`format failed: ${formatted.output}`);
    await server.start();
    return server;
  }

  /** A server over directories that `fill` puts in place: nothing is formatted, and it does not run yet. */
  static async over(fill: (server: TestServer) => void | Promise<void>, options: ServerOptions): Promise<TestServer> {
    const server = new TestServer(options);
    await fill(server);
    return server;
  }

  /** Mounts, formats, and becomes the program that follows. */
  #mountingPrefix(mebibytes: number): string[] {
    const script = `for disk in ${this.diskPaths.join(' ')}; do mount -t tmpfs -o size=${mebibytes}m none "$disk" || exit 1; done
"$1" "$2" format --disks '${this.diskPaths.join(' ')}' --code ${this.#options.code ?? '4+2'} --state '${this.stateDirectory}' || exit 1
exec "$@"`;
    return ['unshare', '-Urm', 'sh', '-c', script, 'sh'];
  }

  environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env['PATH'],
      HOME: this.folder,
      // Little: dozens of stores are made in a run.
      HOLDFAST_STATE_RESERVE: '1 MiB',
      HOLDFAST_JOURNAL_RESERVE: '16 MiB',
      HOLDFAST_ROOT_ACCESS_KEY_ID: this.accessKeyId,
      HOLDFAST_ROOT_SECRET_ACCESS_KEY: this.secretAccessKey,
      ...this.#options.environment,
    };
  }

  get isAlive(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  get processId(): number {
    return this.#child?.pid ?? -1;
  }

  /** Runs `holdfast …` to its end. */
  async command(...args: string[]): Promise<{ status: number | null; stdout: string; output: string }> {
    const child = spawn(process.execPath, [LAUNCHER, ...args], { env: this.environment() });
    let stdout = '';
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, stdout, output };
  }

  /**
   * Starts `serve` and waits until it is ready; `prefix` is a program to run it under (strace, unshare).
   * @throws with its output when it exits or is not ready in time.
   */
  async start({
    diskPaths = this.diskPaths,
    readyWithinMs = 60_000,
    prefix = [] as readonly string[],
    environment = {},
  } = {}): Promise<void> {
    const [program, ...before] = [...prefix, process.execPath];
    const child = spawn(
      program,
      [
        ...before,
        ...(this.#options.launcher ?? [LAUNCHER]),
        'serve',
        '--disks',
        diskPaths.join(' '),
        '--state',
        this.stateDirectory,
        '--listen',
        '127.0.0.1:0',
        '--admin-listen',
        '127.0.0.1:0',
        ...(this.#options.flags ?? []),
      ],
      // A process group of its own: a program it runs under is killed with it.
      { env: { ...this.environment(), ...environment }, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    this.#child = child;
    this.endpoint = '';
    this.adminEndpoint = '';
    let started = '';
    const collect = (chunk: Buffer): void => {
      started += chunk.toString();
      this.output += chunk.toString();
      this.endpoint ||= /endpoint\W+(https?:\/\/127\.0\.0\.1:\d+)/i.exec(started)?.[1] ?? '';
      this.adminEndpoint ||= /admin\W+(https?:\/\/127\.0\.0\.1:\d+)/i.exec(started)?.[1] ?? '';
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    const deadline = Date.now() + readyWithinMs;
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`server exited: ${started}`);
      if (this.endpoint !== '') {
        if ((await statusOf(`${this.endpoint}/-/ready`)) === 200) return;
      }
      if (Date.now() > deadline) {
        await this.kill();
        throw new Error(`server not ready: ${started}`);
      }
      await delay(20);
    }
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'close');
    if (child.pid !== undefined) process.kill(-child.pid, signal);
    await gone;
  }

  /** SIGTERM; returns the exit status. */
  async stop(): Promise<number | null> {
    await this.kill('SIGTERM');
    return this.#child?.exitCode ?? null;
  }

  async destroy(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  client(overrides: Partial<ConstructorParameters<typeof S3Client>[0]> = {}): S3Client {
    return new S3Client({
      endpoint: this.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: this.accessKeyId, secretAccessKey: this.secretAccessKey },
      ...overrides,
    });
  }

  async statusReport(): Promise<Record<string, unknown>> {
    const { stdout } = await this.command('status', '--json', '--state', this.stateDirectory);
    return JSON.parse(stdout) as Record<string, unknown>;
  }
}

/** Whoever signed the certificate. `undefined`: nobody answered. */
async function statusOf(url: string): Promise<number | undefined> {
  const { get } = url.startsWith('https:') ? https : http;
  return await new Promise((resolve) => {
    get(url, { rejectUnauthorized: false }, (answer) => answer.resume().on('end', () => resolve(answer.statusCode))).on(
      'error',
      () => resolve(undefined),
    );
  });
}

/** Polls until `condition` holds. @throws after `withinMs`. */
export async function eventually(what: string, condition: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await delay(50);
  }
}
