import type { DiskFile } from '../../disk/disk-fs.ts';
import { BufferPool } from '../../memory/buffer-pool.ts';

const STEP_BYTES = 256 * 1024;
const MINIMUM_AHEAD_BYTES = 512 * 1024;
const MAXIMUM_AHEAD_BYTES = 8 * 1024 * 1024;
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
 * system (measured: 3,310 instead of 1,990 rounds a second). How far ahead grows with the file, an eighth of it within
 * bounds, so that young and many volumes waste little.
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
    if (this.#failure !== undefined) return Promise.reject(this.#failure as Error);
    if (this.#running === undefined) {
      this.#readyBytes = Math.ceil(endBytes / BLOCK_BYTES) * BLOCK_BYTES;
      return undefined;
    }
    return this.#running.then(() => this.claim(endBytes));
  }

  /** Starts writing zeros when too few are left beyond `usedBytes`. */
  advance(usedBytes: number): void {
    if (this.#running !== undefined || this.#isStopped) return;
    const ahead = Math.min(MAXIMUM_AHEAD_BYTES, Math.max(MINIMUM_AHEAD_BYTES, usedBytes / 8));
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
