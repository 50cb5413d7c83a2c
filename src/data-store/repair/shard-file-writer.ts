import type { Disk } from '../../disk/disk-set.ts';
import type { DiskFile } from '../../disk/disk-fs.ts';
import { assert } from '../../errors/assert.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { Slot } from '../../memory/buffer-pool.ts';
import { releaseWhenSettled } from '../volume/buffer-return.ts';
import type { RenewableBuffers } from '../volume/renewable-buffers.ts';
import { encodeVolumeHeader, VOLUME_DIRECTORY, VOLUME_HEADER_BYTES, type VolumeShape } from '../volume/volume-file.ts';
import { goneError } from '../volume/volume-opener.ts';

const BLOCK_BYTES = 4096;

/**
 * Writes a whole shard file beside the one in place, from its beginning to its end, in long aligned writes through two
 * buffers: one is filled while the other is written. What no live blob needs stays a hole or zeros. Nothing counts
 * before `finish` has synced it; a crash leaves a file of a name that the next start removes.
 */
export class ShardFileWriter {
  readonly disk: Disk;
  readonly slot: number;
  readonly path: string;
  readonly #file: DiskFile;
  readonly #pool: RenewableBuffers;
  #filling: Slot;
  #other: Slot;
  readonly #lengthBytes: number;
  /** Of the buffer that is filled, a multiple of 4096. */
  #start = 0;
  #end = 0;
  #writing: Promise<void> = Promise.resolve();
  writtenBytes = 0;

  private constructor(options: {
    disk: Disk;
    slot: number;
    file: DiskFile;
    pool: RenewableBuffers;
    slots: readonly [Slot, Slot];
  }) {
    this.disk = options.disk;
    this.slot = options.slot;
    this.#file = options.file;
    this.path = options.file.path;
    this.#pool = options.pool;
    [this.#filling, this.#other] = options.slots;
    this.#lengthBytes = Math.floor(options.pool.slotSizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }

  /** Makes the file anew, whatever has its name, with the first block. @throws StoreError */
  static async create(options: {
    disk: Disk;
    path: string;
    shape: VolumeShape;
    slot: number;
    pool: RenewableBuffers;
  }): Promise<ShardFileWriter> {
    const { disk, path, shape, slot, pool } = options;
    // A disk that came back empty has none yet.
    await disk.fs.createDirectoryDurable(VOLUME_DIRECTORY);
    await disk.fs.unlink(path);
    await disk.fs.createDurable(path);
    const file = await disk.fs.open(path, 'direct');
    const slots: [Slot, Slot] = [await pool.acquire(), await pool.acquire()];
    const writer = new ShardFileWriter({ disk, slot, file, pool, slots });
    const header = Buffer.alloc(VOLUME_HEADER_BYTES);
    encodeVolumeHeader(header, shape, slot);
    await writer.write(0, header);
    return writer;
  }

  /** Do bytes up to there fit into the buffer that is filled? Then `writeNow` takes them. */
  hasRoomUpTo(endOffset: number): boolean {
    return endOffset <= this.#start + this.#lengthBytes;
  }

  /** As `write`, without waiting for anything. */
  writeNow(offset: number, bytes: Buffer): void {
    assert(offset >= this.#end, `${this.path} is written from its beginning to its end`);
    assert(this.hasRoomUpTo(offset + bytes.length), `${this.path}: no room in the buffer`);
    const inside = offset - this.#start;
    if (offset > this.#end) this.#filling.bytes.fill(0, this.#end - this.#start, inside);
    bytes.copy(this.#filling.bytes, inside);
    this.#end = offset + bytes.length;
  }

  /** `bytes` are copied. Offsets ascend. @throws StoreError of this or an earlier write */
  async write(offset: number, bytes: Buffer): Promise<void> {
    assert(offset >= this.#end, `${this.path} is written from its beginning to its end`);
    let done = 0;
    while (done < bytes.length) {
      const at = offset + done;
      if (at >= this.#start + this.#lengthBytes) await this.#turnOver(at);
      const inside = at - this.#start;
      this.#filling.bytes.fill(0, this.#end - this.#start, inside);
      const count = bytes.copy(this.#filling.bytes, inside, done, done + this.#lengthBytes - inside);
      done += count;
      this.#end = at + count;
    }
  }

  /** Goes on at the block of `next`. */
  async #turnOver(next: number): Promise<void> {
    await this.#flush();
    this.#start = Math.floor(next / BLOCK_BYTES) * BLOCK_BYTES;
    this.#end = this.#start;
  }

  /** Sends off what was filled, when the buffer before has arrived: that one is free then. */
  async #flush(): Promise<void> {
    const lengthBytes = Math.ceil((this.#end - this.#start) / BLOCK_BYTES) * BLOCK_BYTES;
    await this.#writing;
    if (lengthBytes === 0) return;
    this.#filling.bytes.fill(0, this.#end - this.#start, lengthBytes);
    this.#writing = this.#file.write(this.#filling.bytes.subarray(0, lengthBytes), this.#start);
    // Whoever waits for it next sees the error.
    this.#writing.catch(() => undefined);
    this.writtenBytes += lengthBytes;
    [this.#filling, this.#other] = [this.#other, this.#filling];
  }

  /** Everything is on the medium and the path names it. @throws StoreError */
  async finish(): Promise<void> {
    await this.#flush();
    await this.#writing;
    await this.#file.datasync();
    if (!(await this.#file.stillThere())) throw goneError(this.path);
  }

  get inode(): number {
    return this.#file.inode;
  }

  /** Always, last. */
  async close(): Promise<void> {
    releaseWhenSettled(this.#pool, this.#filling, [this.#writing]);
    releaseWhenSettled(this.#pool, this.#other, [this.#writing]);
    await this.#file.close().catch((error: unknown) => {
      if (!isStoreError(error)) throw error;
    });
  }
}
