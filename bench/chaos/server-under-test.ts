import { existsSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TestServer } from '../../test/support/server-process.ts';

const READY_WITHIN_MS = 60_000;

/** The real `holdfast serve` process on directories in a temporary folder, started again after each kill at the same address. */
export class ServerUnderTest {
  readonly #server: TestServer;

  private constructor(server: TestServer) {
    this.#server = server;
  }

  static async create(options: { diskCount: number; code: string }): Promise<ServerUnderTest> {
    return new ServerUnderTest(await TestServer.create(options));
  }

  get diskPaths(): readonly string[] {
    return this.#server.diskPaths;
  }

  get stateDirectory(): string {
    return this.#server.stateDirectory;
  }

  get output(): string {
    return this.#server.output;
  }

  client(): ReturnType<TestServer['client']> {
    return this.#server.client({ requestHandler: { requestTimeout: 30_000, connectionTimeout: 2000 } });
  }

  async kill(): Promise<void> {
    await this.#server.kill();
  }

  /** @returns milliseconds until it was ready. */
  async start(): Promise<number> {
    const beganMs = performance.now();
    await this.#server.start({ readyWithinMs: READY_WITHIN_MS });
    return performance.now() - beganMs;
  }

  async freeze(forMs: number): Promise<void> {
    process.kill(this.#server.processId, 'SIGSTOP');
    await delay(forMs);
    process.kill(this.#server.processId, 'SIGCONT');
  }

  /** Only while it does not run. */
  damageIndex(how: 'delete' | 'truncate'): void {
    const index = join(this.stateDirectory, 'index.sqlite');
    if (!existsSync(index)) return;
    if (how === 'truncate') return truncateSync(index, 5000);
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${index}${suffix}`, { force: true });
  }

  /** Runs a `holdfast` command against it. */
  async command(...args: string[]): ReturnType<TestServer['command']> {
    return await this.#server.command(...args, '--state', this.stateDirectory);
  }

  async destroy(): Promise<void> {
    await this.#server.destroy();
  }
}
