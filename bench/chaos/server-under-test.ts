import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TestServer } from '../../test/support/server-process.ts';
import type { StandingFault } from './chaos-disk-fs.ts';

const READY_WITHIN_MS = 60_000;
const FAULTS_FILE = 'faults.json';

/** The real `holdfast serve` process on directories in a temporary folder, started again after each kill at the same address. */
export class ServerUnderTest {
  readonly #server: TestServer;
  /** For the file of standing faults and the gates of calls that hang. */
  readonly #folder: string;
  readonly #faults: Record<string, StandingFault> = {};
  readonly #openGates: number[] = [];
  #gateCount = 0;

  private constructor(server: TestServer, folder: string) {
    this.#server = server;
    this.#folder = folder;
  }

  static async create({ diskCount, code }: { diskCount: number; code: string }): Promise<ServerUnderTest> {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-chaos-'));
    const faultsPath = join(folder, FAULTS_FILE);
    writeFileSync(faultsPath, '{}');
    const launcher = ['--import', 'tsx', fileURLToPath(new URL('faulty-server.ts', import.meta.url))];
    const environment = { CHAOS_FAULTS: faultsPath, UV_THREADPOOL_SIZE: '128' };
    return new ServerUnderTest(await TestServer.create({ diskCount, code, launcher, environment }), folder);
  }

  /** From now on, also in the processes that follow, until `heal`. */
  hurt(diskIndex: number, fault: Exclude<StandingFault, { kind: 'hang' }> | { kind: 'hang' }): void {
    this.#faults[this.#pathOf(diskIndex)] = fault.kind === 'hang' ? { kind: 'hang', gate: this.#makeGate() } : fault;
    this.#writeFaults();
  }

  heal(diskIndex: number): void {
    const path = this.#pathOf(diskIndex);
    const fault = this.#faults[path];
    delete this.#faults[path];
    this.#writeFaults();
    // Open for good: a call that comes late to the gate passes too.
    if (fault?.kind === 'hang') this.#openGates.push(openSync(fault.gate, 'r+'));
  }

  #pathOf(diskIndex: number): string {
    const path = this.diskPaths[diskIndex];
    if (path === undefined) throw new Error(`there is no disk ${diskIndex}`);
    return path;
  }

  #makeGate(): string {
    const gate = join(this.#folder, `gate-${this.#gateCount++}`);
    execFileSync('mkfifo', [gate]);
    return gate;
  }

  #writeFaults(): void {
    const path = join(this.#folder, FAULTS_FILE);
    writeFileSync(`${path}.new`, JSON.stringify(this.#faults));
    renameSync(`${path}.new`, path);
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

  /** Since the start of its process. */
  async healing(): Promise<{ writtenBytes: number; repairedFileCount: number; rebuiltShardCount: number }> {
    const { healing } = await this.#server.statusReport();
    return healing as Awaited<ReturnType<ServerUnderTest['healing']>>;
  }

  async destroy(): Promise<void> {
    await this.#server.destroy();
    for (const gate of this.#openGates) closeSync(gate);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
