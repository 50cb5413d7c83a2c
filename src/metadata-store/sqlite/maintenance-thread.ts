import type { Worker } from 'node:worker_threads';
import { StoreError } from '../../errors/store-error.ts';
import { startWorker } from '../../observability/start-worker.ts';
import type { AppliedPosition } from './index-database.ts';
import type { MaintenanceAnswer, MaintenanceRequest } from './index-maintenance-worker.ts';

interface Pending {
  resolve: (answer: MaintenanceAnswer) => void;
  reject: (error: unknown) => void;
}

/** The main thread's end of `index-maintenance-worker.ts`. `stop` ends the thread and waits for that, whatever it does. */
export class MaintenanceThread {
  readonly #worker: Worker;
  readonly #pending: Pending[] = [];
  #failure: unknown;

  constructor() {
    this.#worker = startWorker(import.meta.url, './index-maintenance-worker');
    this.#worker.on('message', (answer: MaintenanceAnswer) => this.#pending.shift()?.resolve(answer));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new StoreError('NotReady', 'the maintenance thread has ended')));
    this.#worker.unref();
  }

  async open(path: string): Promise<void> {
    await this.#ask({ type: 'open', path });
  }

  /** Moves what it can of SQLite's WAL into the index, beside running commits; returns the pages that are left. */
  async moveWal(): Promise<number> {
    const answer = await this.#ask({ type: 'move-wal' });
    return answer.type === 'moved' ? answer.backlogPages : 0;
  }

  /** Writes a snapshot of the last committed state to a new file; returns the position that it holds. */
  async snapshot(target: string): Promise<AppliedPosition> {
    const answer = await this.#ask({ type: 'snapshot', target });
    if (answer.type !== 'snapshot') throw new StoreError('IndexFailed', 'the snapshot has no position');
    const { batchNumber, position } = answer.applied;
    // A Buffer crosses threads as a Uint8Array.
    return { batchNumber, position: position && { ...position, hash: Buffer.from(position.hash) } };
  }

  /** What is wrong with the file, `undefined` when it is whole. */
  async check(path: string): Promise<string | undefined> {
    const answer = await this.#ask({ type: 'check', path });
    return answer.type === 'checked' ? answer.problem : 'the file could not be checked';
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(request: MaintenanceRequest): Promise<MaintenanceAnswer> {
    if (this.#failure !== undefined) throw this.#failure;
    // A request under way keeps the process alive, an idle thread does not.
    this.#worker.ref();
    try {
      const answer = await new Promise<MaintenanceAnswer>((resolve, reject) => {
        this.#pending.push({ resolve, reject });
        this.#worker.postMessage(request, []);
      });
      if (answer.type === 'failed') {
        throw new StoreError('IndexFailed', `${request.type}: ${answer.message}`, {
          cause: answer.code === undefined ? undefined : { code: answer.code },
        });
      }
      return answer;
    } finally {
      if (this.#pending.length === 0) this.#worker.unref();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.splice(0)) reject(this.#failure);
  }
}
