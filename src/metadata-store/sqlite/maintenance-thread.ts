import type { Worker } from 'node:worker_threads';
import { StoreError } from '../../errors/store-error.ts';
import { startWorker } from '../../observability/start-worker.ts';
import { checkIndexFile } from './check-index-file.ts';
import { identify, type AppliedPosition, type FileIdentity } from './index-database.ts';
import type { MaintenanceAnswer, MaintenanceRequest } from './index-maintenance-worker.ts';

interface Pending {
  resolve: (answer: MaintenanceAnswer) => void;
  reject: (error: unknown) => void;
}

/** Files up to this size are checked here: that is quicker than starting a thread. */
const CHECK_HERE_BYTES = 2 * 1024 * 1024;

/**
 * The main thread's end of `index-maintenance-worker.ts`, which starts when it is first needed. `stop` ends the thread
 * and waits for that; SQLite cannot be interrupted, so a snapshot under way is finished first.
 */
export class MaintenanceThread {
  readonly #pending: Pending[] = [];
  #worker: Worker | undefined;
  #isStopped = false;

  /** Moves what it can of SQLite's WAL into the index, beside running commits; returns the pages that are left. */
  async moveWal(index: FileIdentity): Promise<number> {
    const answer = await this.#ask({ type: 'move-wal', index });
    return answer.type === 'moved' ? answer.backlogPages : 0;
  }

  /** Writes a snapshot of the last committed state to a new file; returns the position that it holds. */
  async snapshot(index: FileIdentity, target: string): Promise<AppliedPosition> {
    const answer = await this.#ask({ type: 'snapshot', index, target });
    if (answer.type !== 'snapshot') throw new StoreError('IndexFailed', 'the snapshot has no position');
    const { batchNumber, position } = answer.applied;
    // A Buffer crosses threads as a Uint8Array.
    return { batchNumber, position: position && { ...position, hash: Buffer.from(position.hash) } };
  }

  /** What is wrong with a file that nobody has open, `undefined` when it is whole. */
  async check(path: string): Promise<string | undefined> {
    if (identify(path).sizeBytes <= CHECK_HERE_BYTES) return checkIndexFile(path);
    const answer = await this.#ask({ type: 'check', path });
    // The next work comes much later, if at all: a thread that waits costs ten mebibytes.
    if (this.#pending.length === 0) void this.#detach()?.terminate();
    return answer.type === 'checked' ? answer.problem : 'the file could not be checked';
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#worker?.terminate();
  }

  async #ask(request: MaintenanceRequest): Promise<MaintenanceAnswer> {
    if (this.#isStopped) throw hasEnded();
    const worker = (this.#worker ??= this.#start());
    // A request under way keeps the process alive, an idle thread does not.
    worker.ref();
    try {
      const answer = await new Promise<MaintenanceAnswer>((resolve, reject) => {
        this.#pending.push({ resolve, reject });
        worker.postMessage(request, []);
      });
      if (answer.type === 'failed') throw new StoreError('IndexFailed', `${request.type}: ${answer.message}`);
      return answer;
    } finally {
      if (this.#pending.length === 0) worker.unref();
    }
  }

  #start(): Worker {
    const worker = startWorker(import.meta.url, './index-maintenance-worker');
    worker.on('message', (answer: MaintenanceAnswer) => this.#pending.shift()?.resolve(answer));
    worker.on('error', (error) => this.#ended(worker, error));
    worker.on('exit', () => this.#ended(worker, hasEnded()));
    return worker;
  }

  /** The next request starts another thread. */
  #detach(): Worker | undefined {
    const worker = this.#worker;
    this.#worker = undefined;
    return worker;
  }

  #ended(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#detach();
    for (const { reject } of this.#pending.splice(0)) reject(error);
  }
}

function hasEnded(): StoreError {
  return new StoreError('NotReady', 'the maintenance thread has ended');
}
