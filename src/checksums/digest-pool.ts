import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { crc32c } from '@node-rs/crc32';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import { startWorker } from '../observability/start-worker.ts';
import { DigestSet, type DigestLane } from './digest-set.ts';
import type { CrcPiece, HashReply, HashRequest } from './hash-messages.ts';

/** Slower than the disks: each gets a lane, and so perhaps a core, of its own. */
const SLOW: ReadonlySet<ChecksumAlgorithm> = new Set(['MD5', 'SHA1', 'SHA256', 'SHA512']);

/** Checksums that a thread may owe at once; with more it has enough to do. */
const CRC_LIMIT = 12;

/** CRC32C of long pieces of shared memory, on another thread while that has time. */
export interface ShardChecksums {
  /** The bytes must not change before it resolves. `undefined`: compute it here, nobody else has time. */
  crc32c(bytes: Buffer): Promise<number> | undefined;
}

/**
 * Hashes bodies, large ones on worker threads. Threads start with the first large body and never keep the process alive.
 * A thread that dies fails the bodies it was hashing and is replaced for the next.
 */
export class DigestPool implements ShardChecksums {
  readonly #workers: (HashWorker | undefined)[];
  #nextLane = 1;

  /** `workerCount`: by default one less than there are cores, 1 to 8. */
  constructor(options: { workerCount?: number } = {}) {
    const workerCount = options.workerCount ?? Math.min(8, Math.max(1, availableParallelism() - 1));
    this.#workers = Array.from({ length: workerCount }, () => undefined);
  }

  /** For one body. `prepareChecksums` must have been awaited. Close it when it is given up. */
  open(algorithms: Iterable<ChecksumAlgorithm>): DigestSet {
    return new DigestSet([...new Set(algorithms)], (all) => this.#lanes(all));
  }

  crc32c(bytes: Buffer): Promise<number> | undefined {
    const worker = this.#leastLoaded();
    // Behind the MD5 of an upload a checksum would wait for milliseconds, and its disk would be taken for a slow one.
    return worker.laneCount === 0 && worker.crcCount < CRC_LIMIT ? worker.crc32c(bytes) : undefined;
  }

  /** Ends the threads; bodies still being hashed fail. */
  async stop(): Promise<void> {
    const workers = this.#workers.splice(0, this.#workers.length, ...this.#workers.map(() => undefined));
    await Promise.all(workers.map((worker) => worker?.stop() ?? Promise.resolve()));
  }

  #lanes(algorithms: readonly ChecksumAlgorithm[]): DigestLane[] {
    // With one thread they would only be more messages.
    if (this.#workers.length === 1) return [this.#leastLoaded().openLane(this.#nextLane++, algorithms)];
    const groups: ChecksumAlgorithm[][] = [];
    const fast: ChecksumAlgorithm[] = [];
    for (const algorithm of algorithms) {
      if (SLOW.has(algorithm)) groups.push([algorithm]);
      else fast.push(algorithm);
    }
    if (fast.length > 0) groups.push(fast);
    return groups.map((group) => this.#leastLoaded().openLane(this.#nextLane++, group));
  }

  #leastLoaded(): HashWorker {
    let chosen: HashWorker | undefined;
    for (let index = 0; index < this.#workers.length; index++) {
      let worker = this.#workers[index];
      if (worker === undefined || worker.hasFailed) this.#workers[index] = worker = new HashWorker();
      if (worker.laneCount === 0) return worker;
      if (chosen === undefined || worker.laneCount < chosen.laneCount) chosen = worker;
    }
    return chosen!;
  }
}

interface PendingReply {
  resolve(reply: HashReply): void;
  reject(error: Error): void;
}

/** One thread and what it still owes. */
class HashWorker {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingReply>();
  #nextTicket = 1;
  #failure: Error | undefined;
  #pieces: CrcPiece[] = [];
  laneCount = 0;
  /** Checksums asked for and not answered. */
  crcCount = 0;

  constructor() {
    this.#worker = startWorker(import.meta.url, './hash-worker');
    this.#worker.unref();
    this.#worker.on('message', (replies: readonly HashReply[]) => {
      for (const reply of replies) {
        const pending = this.#pending.get(reply.ticket);
        this.#pending.delete(reply.ticket);
        pending?.resolve(reply);
      }
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the hash worker has ended')));
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  /** Those of one turn of the event loop go as one message. When the thread has died the checksum is computed here. */
  async crc32c(bytes: Buffer): Promise<number> {
    this.crcCount++;
    try {
      const reply = await this.#wait((ticket) => {
        if (this.#pieces.length === 0) setImmediate(() => this.#postPieces());
        this.#pieces.push({ ticket, memory: bytes.buffer, offset: bytes.byteOffset, lengthBytes: bytes.byteLength });
      });
      return reply.crc32c!;
    } catch (error) {
      if (error !== this.#failure) throw error;
      return crc32c(bytes);
    } finally {
      this.crcCount--;
    }
  }

  #postPieces(): void {
    const pieces = this.#pieces;
    this.#pieces = [];
    if (this.#failure === undefined) this.#post({ kind: 'crc32c', pieces });
  }

  openLane(lane: number, algorithms: readonly ChecksumAlgorithm[]): DigestLane {
    this.laneCount += 1;
    let isOpen = true;
    const leave = (): void => {
      if (isOpen) this.laneCount -= 1;
      isOpen = false;
    };
    return {
      update: async (view) => {
        // a small view of private memory would carry its whole pool along
        const isShared = view.buffer instanceof SharedArrayBuffer;
        const bytes = isShared ? view : Uint8Array.from(view);
        await this.#ask((ticket) => ({
          kind: 'update',
          lane,
          ticket,
          algorithms,
          memory: bytes.buffer,
          offset: bytes.byteOffset,
          lengthBytes: bytes.byteLength,
        }));
      },
      digests: async () => {
        try {
          const reply = await this.#ask((ticket) => ({ kind: 'digest', lane, ticket, algorithms }));
          return reply.digests!.map(([algorithm, digest]) => [algorithm, Buffer.from(digest)] as const);
        } finally {
          leave();
        }
      },
      close: () => {
        if (isOpen && this.#failure === undefined) this.#post({ kind: 'close', lane });
        leave();
      },
    };
  }

  #ask(makeRequest: (ticket: number) => HashRequest): Promise<HashReply> {
    return this.#wait((ticket) => this.#post(makeRequest(ticket)));
  }

  #wait(send: (ticket: number) => void): Promise<HashReply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const ticket = this.#nextTicket++;
    return new Promise((resolve, reject) => {
      this.#pending.set(ticket, { resolve, reject });
      send(ticket);
    });
  }

  #post(request: HashRequest): void {
    this.#worker.postMessage(request, []);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
  }
}
