import type { DiskFile } from '../../disk/disk-fs.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { Slot } from '../../memory/buffer-pool.ts';
import { releaseWhenSettled } from '../volume/buffer-return.ts';
import type { RenewableBuffers } from '../volume/renewable-buffers.ts';

const BLOCK_BYTES = 4096;
/** The first read of a row; each that follows on is twice as long, up to the buffer. */
const FIRST_READ_BYTES = 64 * 1024;

/** A buffer and the last call that uses it. */
interface Reading {
  readonly slot: Slot;
  start: number;
  lengthBytes: number;
  call: Promise<number>;
}

/**
 * Reads one file from its beginning towards its end through aligned buffers, in reads that get longer while they follow
 * one another, so that a full file is read in long ones and a sparse one not whole. Once two have followed one another
 * the next is read ahead into a second buffer, if one is free.
 */
export class FileWindow {
  readonly #file: DiskFile;
  readonly #pool: RenewableBuffers;
  #current: Reading;
  /** What `#current` holds. */
  #start = 0;
  #end = 0;
  #isAtEnd = false;
  #ahead: Reading | undefined;
  /** The second buffer while nothing is read into it. */
  #spare: Reading | undefined;
  #readBytes = FIRST_READ_BYTES;
  #failure: unknown;
  /** For what begins in one buffer and ends in the other. */
  #joint = Buffer.alloc(0);
  /** Read so far, for pace and reports. */
  totalBytes = 0;

  /** @param slot of `pool`, goes back with `close`. */
  constructor(file: DiskFile, { pool, slot }: { pool: RenewableBuffers; slot: Slot }) {
    this.#file = file;
    this.#pool = pool;
    this.#current = { slot, start: 0, lengthBytes: 0, call: Promise.resolve(0) };
  }

  /**
   * Bytes [offset, offset + length), fewer at the end of the file. Valid until the next call. `length` is at most the
   * buffer less a block. @throws StoreError; after a DiskTimeout every later call throws it too, for the buffer is not ours.
   */
  async view(offset: number, lengthBytes: number): Promise<Buffer> {
    if (this.#failure !== undefined) throw this.#failure as Error;
    if (!this.#holds(offset, lengthBytes)) {
      const joint = await this.#goOn(offset, lengthBytes);
      if (joint !== undefined) return joint;
      if (!this.#holds(offset, lengthBytes)) await this.#read(offset, lengthBytes);
    }
    return this.#held(offset, offset + lengthBytes);
  }

  /** The same, if nothing has to be read for it. */
  held(offset: number, lengthBytes: number): Buffer | undefined {
    const isHeld = this.#failure === undefined && offset >= this.#start && offset + lengthBytes <= this.#end;
    return isHeld ? this.#held(offset, offset + lengthBytes) : undefined;
  }

  #holds(offset: number, lengthBytes: number): boolean {
    return offset >= this.#start && (offset + lengthBytes <= this.#end || this.#isAtEnd);
  }

  #held(from: number, to: number): Buffer {
    const first = Math.max(0, Math.min(from, this.#end) - this.#start);
    return this.#current.slot.bytes.subarray(first, Math.max(first, Math.min(to, this.#end) - this.#start));
  }

  /** Takes over what was read ahead, if the place lies there. @returns the bytes, when they begin in the buffer before */
  async #goOn(offset: number, lengthBytes: number): Promise<Buffer | undefined> {
    const ahead = this.#ahead;
    if (ahead === undefined || offset < this.#start || offset + lengthBytes > ahead.start + ahead.lengthBytes) return;
    try {
      await ahead.call;
    } catch (error) {
      this.#ahead = undefined;
      this.#spare = ahead;
      // What is wanted may be good all the same: it is read alone.
      if (isStoreError(error, 'DiskTimeout', 'DiskMissing')) throw this.#fail(error);
      return;
    }
    const head = offset < ahead.start ? this.#held(offset, ahead.start) : undefined;
    const before = this.#current;
    this.#ahead = undefined;
    await this.#hold(ahead);
    let joint: Buffer | undefined;
    if (head !== undefined) {
      if (this.#joint.length < lengthBytes) this.#joint = Buffer.allocUnsafeSlow(lengthBytes);
      const tail = this.#held(this.#start, offset + lengthBytes);
      head.copy(this.#joint);
      tail.copy(this.#joint, head.length);
      joint = this.#joint.subarray(0, head.length + tail.length);
    }
    this.#spare = before;
    this.#readAhead();
    return joint;
  }

  async #hold(reading: Reading): Promise<void> {
    this.#current = reading;
    this.#start = reading.start;
    this.#end = reading.start;
    const count = await reading.call;
    this.#end = reading.start + count;
    this.#isAtEnd = count < reading.lengthBytes;
  }

  async #read(offset: number, lengthBytes: number): Promise<void> {
    await this.#dropAhead();
    const start = Math.floor(offset / BLOCK_BYTES) * BLOCK_BYTES;
    const needed = Math.ceil((offset + lengthBytes - start) / BLOCK_BYTES) * BLOCK_BYTES;
    const limit = this.#current.slot.bytes.length;
    const followsOn = start >= this.#start && start <= this.#end;
    this.#readBytes = followsOn ? Math.min(limit, 2 * this.#readBytes) : FIRST_READ_BYTES;
    const wanted = Math.max(needed, this.#readBytes);
    try {
      await this.#fill(start, wanted);
    } catch (error) {
      // One bad block must not take its neighbours with it.
      if (wanted === needed || isStoreError(error, 'DiskTimeout', 'DiskMissing')) throw error;
      await this.#fill(start, needed);
      return;
    }
    if (followsOn) this.#readAhead();
  }

  async #fill(start: number, lengthBytes: number): Promise<void> {
    this.#isAtEnd = false;
    this.#begin(this.#current, start, lengthBytes);
    try {
      await this.#hold(this.#current);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #begin(reading: Reading, start: number, lengthBytes: number): void {
    reading.start = start;
    reading.lengthBytes = lengthBytes;
    reading.call = this.#file.read(reading.slot.bytes.subarray(0, lengthBytes), start).then((count) => {
      this.totalBytes += count;
      return count;
    });
    // Whoever waits for it next sees the error.
    reading.call.catch(() => undefined);
  }

  /** What follows, as far as a buffer goes. */
  #readAhead(): void {
    if (this.#isAtEnd || this.#ahead !== undefined) return;
    if (this.#spare === undefined) {
      const slot = this.#pool.tryAcquire();
      if (slot === undefined) return;
      this.#spare = { slot, start: 0, lengthBytes: 0, call: Promise.resolve(0) };
    }
    this.#ahead = this.#spare;
    this.#spare = undefined;
    this.#begin(this.#ahead, this.#end, this.#ahead.slot.bytes.length);
  }

  /** The place lies elsewhere. */
  async #dropAhead(): Promise<void> {
    const ahead = this.#ahead;
    if (ahead === undefined) return;
    this.#ahead = undefined;
    this.#spare = ahead;
    await ahead.call.catch((error: unknown) => {
      if (isStoreError(error, 'DiskTimeout')) throw this.#fail(error);
    });
  }

  #fail(error: unknown): unknown {
    if (isStoreError(error, 'DiskTimeout')) this.#failure = error;
    return error;
  }

  /** Gives the buffers back when no call uses them any more. A file that cannot be closed tells nothing about its bytes. */
  async close(): Promise<void> {
    for (const reading of [this.#current, this.#ahead, this.#spare]) {
      if (reading !== undefined) releaseWhenSettled(this.#pool, reading.slot, [reading.call]);
    }
    await this.#ahead?.call.catch(() => undefined);
    await this.#file.close().catch((error: unknown) => {
      if (!isStoreError(error)) throw error;
    });
  }
}
