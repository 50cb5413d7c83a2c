import type { DiskFile } from '../../disk/disk-fs.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { Slot } from '../../memory/buffer-pool.ts';
import { releaseWhenSettled } from '../volume/buffer-return.ts';
import type { RenewableBuffers } from '../volume/renewable-buffers.ts';

const BLOCK_BYTES = 4096;
/** The first read of a row; each that follows on is twice as long, up to the buffer. */
const FIRST_READ_BYTES = 64 * 1024;

/**
 * Reads one file from its beginning towards its end through one aligned buffer, in reads that get longer while they
 * follow one another, so that a full file is read in long ones and a sparse one not whole.
 */
export class FileWindow {
  readonly #file: DiskFile;
  readonly #pool: RenewableBuffers;
  readonly #slot: Slot;
  #start = 0;
  #end = 0;
  #readBytes = FIRST_READ_BYTES;
  #isAtEnd = false;
  #call: Promise<number> = Promise.resolve(0);
  #failure: unknown;
  /** Read so far, for pace and reports. */
  totalBytes = 0;

  /** @param slot of `pool`, goes back with `close`. */
  constructor(file: DiskFile, { pool, slot }: { pool: RenewableBuffers; slot: Slot }) {
    this.#file = file;
    this.#pool = pool;
    this.#slot = slot;
  }

  /**
   * Bytes [offset, offset + length), fewer at the end of the file. Valid until the next call. `length` is at most the
   * buffer less a block. @throws StoreError; after a DiskTimeout every later call throws it too, for the buffer is not ours.
   */
  async view(offset: number, lengthBytes: number): Promise<Buffer> {
    if (this.#failure !== undefined) throw this.#failure as Error;
    const isInside = offset >= this.#start && (offset + lengthBytes <= this.#end || this.#isAtEnd);
    if (!isInside) await this.#read(offset, lengthBytes);
    const from = Math.max(0, Math.min(offset, this.#end) - this.#start);
    return this.#slot.bytes.subarray(from, Math.max(from, Math.min(offset + lengthBytes, this.#end) - this.#start));
  }

  async #read(offset: number, lengthBytes: number): Promise<void> {
    const start = Math.floor(offset / BLOCK_BYTES) * BLOCK_BYTES;
    const needed = Math.ceil((offset + lengthBytes - start) / BLOCK_BYTES) * BLOCK_BYTES;
    const limit = this.#slot.bytes.length;
    const followsOn = start >= this.#start && start <= this.#end;
    this.#readBytes = followsOn ? Math.min(limit, 2 * this.#readBytes) : FIRST_READ_BYTES;
    const wanted = Math.max(needed, this.#readBytes);
    try {
      await this.#fill(start, wanted);
    } catch (error) {
      // One bad block must not take its neighbours with it.
      if (wanted === needed || isStoreError(error, 'DiskTimeout', 'DiskMissing')) throw error;
      await this.#fill(start, needed);
    }
  }

  async #fill(start: number, lengthBytes: number): Promise<void> {
    this.#start = start;
    this.#end = start;
    this.#isAtEnd = false;
    this.#call = this.#file.read(this.#slot.bytes.subarray(0, lengthBytes), start);
    try {
      const count = await this.#call;
      this.#end = start + count;
      this.#isAtEnd = count < lengthBytes;
      this.totalBytes += count;
    } catch (error) {
      if (isStoreError(error, 'DiskTimeout')) this.#failure = error;
      throw error;
    }
  }

  /** Gives the buffer back when no call uses it any more. A file that cannot be closed tells nothing about its bytes. */
  async close(): Promise<void> {
    releaseWhenSettled(this.#pool, this.#slot, [this.#call]);
    await this.#file.close().catch((error: unknown) => {
      if (!isStoreError(error)) throw error;
    });
  }
}
