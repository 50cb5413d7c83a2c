import type { DiskFile } from '../../disk/disk-fs.ts';
import { BufferPool } from '../../memory/buffer-pool.ts';

const STEP_BYTES = 256 * 1024;
const MINIMUM_AHEAD_BYTES = 128 * 1024;
const MAXIMUM_AHEAD_BYTES = 4 * 1024 * 1024;
/** Appends of this size and more gain less from zeros than writing them costs. */
const LONGEST_WORTHWHILE_BYTES = 64 * 1024;
const BLOCK_BYTES = 4096;

let zeros: Buffer | undefined;

/** Aligned, shared by all, never written to. */
function zeroBuffer(): Buffer {
  if (zeros === undefined) {
    const pool = new BufferPool({ slotSizeBytes: STEP_BYTES, budgetBytes: STEP_BYTES, growthSlots: 1 });
    zeros = pool.tryAcquire()?.bytes.subarray(0, STEP_BYTES) ?? Buffer.alloc(STEP_BYTES);
  }
  return zeros;
}

/**
 * Writes zeros ahead of the end of one shard file, so that a synced append into them changes no metadata of the file
 * system (measured: 3,310 instead of 1,990 rounds a second). How far ahead grows with the file, a sixteenth of it, and
 * with the pace of appends, so that young and quiet volumes waste little.
 *
 * `file` is open in `direct-sync` mode: zeros are synced when a write returns.
 *
 * Invariant: zeros are written only at or beyond `#readyBytes`, appends only below it or after `claim` has moved it:
 * the two never touch the same block. Zeros that failed may still land (a call that missed its deadline), so nothing is
 * claimed after that.
 */
export class ZeroAhead {
  readonly #file: DiskFile;
  readonly #limitBytes: number;
  readonly #onFailure: (error: unknown) => void;
  /** Everything below has been written, by zeros or claimed for appends. */
  #readyBytes: number;
  #running: Promise<void> | undefined;
  #failure: unknown;
  #isStopped = false;
  /** Doubled when appends came to the end of the zeros. */
  #paceBytes = MINIMUM_AHEAD_BYTES;

  constructor({
    file,
    startBytes,
    limitBytes,
    onFailure,
  }: {
    file: DiskFile;
    startBytes: number;
    limitBytes: number;
    onFailure: (error: unknown) => void;
  }) {
    this.#file = file;
    this.#readyBytes = startBytes;
    this.#limitBytes = limitBytes;
    this.#onFailure = onFailure;
  }

  /** An append up to `endBytes` is about to begin: `undefined` when there is nothing to wait for. Rejects after a failure. */
  claim(endBytes: number): Promise<void> | undefined {
    if (endBytes <= this.#readyBytes) return undefined;
    this.#paceBytes = Math.min(MAXIMUM_AHEAD_BYTES, 2 * this.#paceBytes);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#running === undefined) {
      this.#readyBytes = Math.ceil(endBytes / BLOCK_BYTES) * BLOCK_BYTES;
      return undefined;
    }
    return this.#running.then(() => this.claim(endBytes));
  }

  /** Starts writing zeros when too few are left beyond `usedBytes`, after an append of `lastBytes`. */
  advance(usedBytes: number, lastBytes: number): void {
    if (this.#running !== undefined || this.#isStopped || lastBytes >= LONGEST_WORTHWHILE_BYTES) return;
    const ahead = Math.min(MAXIMUM_AHEAD_BYTES, Math.max(this.#paceBytes, usedBytes / 16));
    if (this.#readyBytes - usedBytes > ahead / 2 || this.#readyBytes >= this.#limitBytes) return;
    this.#running = this.#write(Math.min(this.#limitBytes, usedBytes + ahead)).finally(() => {
      this.#running = undefined;
    });
  }

  /** No further zeros; resolves when none are being written. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #write(untilBytes: number): Promise<void> {
    const buffer = zeroBuffer();
    let end = this.#readyBytes;
    try {
      while (end < untilBytes && !this.#isStopped) {
        const length = Math.min(STEP_BYTES, Math.ceil((untilBytes - end) / BLOCK_BYTES) * BLOCK_BYTES);
        await this.#file.write(buffer.subarray(0, length), end);
        end += length;
      }
      this.#readyBytes = end;
    } catch (error) {
      this.#readyBytes = end;
      this.#isStopped = true;
      this.#failure = error;
      this.#onFailure(error);
    }
  }
}
