import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import { startWorker } from '../observability/start-worker.ts';
import type { CipherReply, CipherRequest } from './cipher-messages.ts';
import type { PackagePlace } from './package-format.ts';

/** Packages of one stream, and where they go. Both buffers lie in the same shared memory. */
export interface CipherJob {
  readonly kind: 'seal' | 'open';
  readonly streamKey: Buffer;
  readonly place: PackagePlace;
  readonly source: Buffer;
  readonly target: Buffer;
}

/**
 * Seals and opens packages on threads. They start with the first job and never keep the process alive; one that dies
 * fails its jobs and is replaced for the next.
 */
export class CipherPool {
  readonly #workers: (CipherThread | undefined)[];

  /** `workerCount`: by default one less than there are cores, 1 to 4. */
  constructor(options: { workerCount?: number } = {}) {
    const workerCount = options.workerCount ?? Math.min(4, Math.max(1, availableParallelism() - 1));
    this.#workers = Array.from({ length: workerCount }, () => undefined);
  }

  /**
   * Resolves with the number of bytes in `target`; neither buffer is touched before that.
   * @throws StoreError ShardCorrupt: a package is not what was sealed there
   */
  run(job: CipherJob): Promise<number> {
    return this.#leastLoaded().run(job);
  }

  async stop(): Promise<void> {
    const workers = this.#workers.splice(0, this.#workers.length, ...this.#workers.map(() => undefined));
    await Promise.all(workers.map((worker) => worker?.stop() ?? Promise.resolve()));
  }

  #leastLoaded(): CipherThread {
    let chosen: CipherThread | undefined;
    for (let index = 0; index < this.#workers.length; index++) {
      let worker = this.#workers[index];
      if (worker === undefined || worker.hasFailed) this.#workers[index] = worker = new CipherThread();
      if (worker.pendingCount === 0) return worker;
      if (chosen === undefined || worker.pendingCount < chosen.pendingCount) chosen = worker;
    }
    return chosen!;
  }
}

interface PendingReply {
  resolve(lengthBytes: number): void;
  reject(error: Error): void;
}

class CipherThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingReply>();
  #nextTicket = 1;
  #failure: Error | undefined;

  constructor() {
    this.#worker = startWorker(import.meta.url, './cipher-worker');
    this.#worker.unref();
    this.#worker.on('message', (reply: CipherReply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the cipher thread has ended')));
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  run({ kind, streamKey, place, source, target }: CipherJob): Promise<number> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const memory = source.buffer;
    assert(memory instanceof SharedArrayBuffer && target.buffer === memory, 'a cipher job lies in shared memory');
    const request: CipherRequest = {
      kind,
      ticket: this.#nextTicket++,
      streamKey: Uint8Array.from(streamKey),
      firstIndex: place.firstIndex,
      isEnd: place.isEnd,
      memory,
      sourceOffset: source.byteOffset,
      sourceLengthBytes: source.length,
      targetOffset: target.byteOffset,
      targetLengthBytes: target.length,
    };
    return new Promise((resolve, reject) => {
      this.#pending.set(request.ticket, { resolve, reject });
      this.#worker.postMessage(request, []);
    });
  }

  #settle({ ticket, lengthBytes, failure }: CipherReply): void {
    const pending = this.#pending.get(ticket);
    this.#pending.delete(ticket);
    if (lengthBytes !== undefined) pending?.resolve(lengthBytes);
    else pending?.reject(new StoreError('ShardCorrupt', failure ?? 'an encrypted body cannot be opened'));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
  }
}
