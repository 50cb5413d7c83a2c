import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CliContext } from '../../../src/cli/command.ts';
import { runCli } from '../../../src/cli/run-cli.ts';
import type {
  Composition,
  FormatFacts,
  FormatOptions,
  Server,
  ServerFacts,
  ServerOptions,
} from '../../../src/cli/server-types.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';
import { DocumentStore } from '../../support/document-store.ts';
import { statusExample } from '../admin/status-example.ts';

/** A composition root without stores: it records what commands ask of it. */
export class FakeComposition implements Composition {
  readonly formats: FormatOptions[] = [];
  readonly servers: ServerOptions[] = [];
  readonly documents = new DocumentStore();
  /** What `formatStorage` does beside recording; tests make it fail. */
  onFormat: (options: FormatOptions) => void = () => {};
  onStart: () => Promise<void> = async () => {};
  onStop: () => Promise<void> = async () => {};
  stopResult = { isClean: true };
  stopCount = 0;
  reloadCount = 0;
  facts: Partial<ServerFacts> = {};

  createServer(options: ServerOptions): Server {
    this.servers.push(options);
    return {
      start: async () => {
        await this.onStart();
        return { ...DEFAULT_FACTS, ...this.facts };
      },
      stop: async () => {
        this.stopCount += 1;
        await this.onStop();
        return this.stopResult;
      },
      status: async () => statusExample(),
      reloadTls: async () => {
        this.reloadCount += 1;
      },
    };
  }

  async formatStorage(options: FormatOptions): Promise<FormatFacts> {
    this.formats.push(options);
    this.onFormat(options);
    return { clusterId: 'cluster-1', isResumed: false };
  }

  async readOfflineStatus() {
    return statusExample({ mode: 'offline' });
  }

  async inspectFile() {
    return undefined;
  }

  async recoverFromShards(): Promise<never> {
    throw new Error('nothing is recovered here');
  }

  async explainOffline() {
    return undefined;
  }

  async openMetadata() {
    return { clusterId: 'cluster-1', store: this.documents.asStore(), close: async () => {} };
  }
}

const DEFAULT_FACTS: ServerFacts = {
  clusterId: 'cluster-1',
  endpoints: ['http://127.0.0.1:9000', 'http://[::1]:9000'],
  adminEndpoints: ['http://127.0.0.1:9001'],
  region: 'us-east-1',
  code: { k: 4, m: 2 },
  diskCount: 6,
  listSequence: undefined,
  diskPlaces: [],
  usableDiskCount: 6,
  isCreated: true,
  bucketCount: 0,
  objectCount: 0,
  root: {
    accessKeyId: 'HFROOTKEY',
    secretAccessKey: 'the-root-secret-never-in-a-log',
    accountId: '123456789012',
    source: 'stored',
  },
  warnings: [],
};

/** A temporary folder and a process that is not one. */
export class FakeCli {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'holdfast-cli-'));
  readonly composition = new FakeComposition();
  readonly clock = new ManualClock();
  readonly stateDirectory = path.join(this.folder, 'state');
  env: Record<string, string | undefined> = { HOME: this.folder };
  isTerminal = false;
  stdout = '';
  stderr = '';
  killCount = 0;
  onKill: () => void = () => {};
  readonly #signals = new Map<string, Set<() => void>>();

  async run(...argv: string[]): Promise<number> {
    return await runCli(argv, this.#context());
  }

  signal(name: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void {
    for (const callback of this.#signals.get(name) ?? []) callback();
  }

  /** Callbacks that commands have left behind. */
  get listenerCount(): number {
    return [...this.#signals.values()].reduce((count, callbacks) => count + callbacks.size, 0);
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  destroy(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #context(): CliContext {
    const isTerminal = this.isTerminal;
    return {
      env: this.env,
      workingDirectory: this.folder,
      packageDirectory: this.folder,
      version: '0.1.0',
      stdout: { write: (text) => void (this.stdout += text), isTerminal },
      stderr: { write: (text) => void (this.stderr += text), isTerminal },
      clock: this.clock,
      randomness: new SeededRandomness(1),
      loadComposition: async () => this.composition,
      onSignal: (name, callback) => {
        const callbacks = this.#signals.get(name) ?? new Set();
        this.#signals.set(name, callbacks.add(callback));
        return () => callbacks.delete(callback);
      },
      killSelf: () => {
        this.killCount += 1;
        this.onKill();
      },
    };
  }
}
