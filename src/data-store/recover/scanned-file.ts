import { crc32c } from '@node-rs/crc32';
import type { DiskFile } from '../../disk/disk-fs.ts';
import type { Disk } from '../../disk/disk-set.ts';
import { parseStripeHeader, SHARD_ALIGNMENT_BYTES, STRIPE_MAGIC, type StripeHeader } from '../stripe/stripe-header.ts';
import { parseVolumeHeader, VOLUME_HEADER_BYTES, type VolumeFileHeader } from '../volume/volume-file.ts';

const WINDOW_BYTES = 4 * 1024 * 1024;
const LARGE_STEP_BYTES = 4096;
const LONGEST_HEADER_BYTES = 512;

/** One shard file, read from its beginning to its end without a journal. Changes nothing. */
export class ScannedFile {
  readonly disk: Disk;
  readonly path: string;
  readonly header: VolumeFileHeader | undefined;
  /** Of the volume's list; learnt from the first good shard when the first block is bad. */
  slot: number | undefined;
  readonly #volumeId: number;
  readonly #file: DiskFile;
  readonly #window = Buffer.allocUnsafe(WINDOW_BYTES);
  #start = 0;
  #end = 0;

  private constructor(
    disk: Disk,
    path: string,
    volumeId: number,
    file: DiskFile,
    header: VolumeFileHeader | undefined,
  ) {
    this.disk = disk;
    this.path = path;
    this.#volumeId = volumeId;
    this.#file = file;
    this.header = header;
    this.slot = header?.slot;
  }

  /** @throws StoreError when the file cannot be opened or its first block not be read */
  static async open(disk: Disk, path: string, volumeId: number): Promise<ScannedFile> {
    const file = await disk.fs.open(path, 'read');
    try {
      const block = Buffer.alloc(VOLUME_HEADER_BYTES);
      await file.read(block, 0);
      const header = parseVolumeHeader(block);
      return new ScannedFile(disk, path, volumeId, file, header?.volumeId === volumeId ? header : undefined);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /**
   * Every shard that is whole and lies where it says. Its bytes, header included, are valid until the next one.
   * @throws StoreError when the file cannot be read on
   */
  async *shards(): AsyncGenerator<{ header: StripeHeader; bytes: Buffer }> {
    const stepBytes = this.header?.purpose === 'large' ? LARGE_STEP_BYTES : SHARD_ALIGNMENT_BYTES;
    for (let offset = VOLUME_HEADER_BYTES; ;) {
      offset = await this.#nextMagic(offset, stepBytes);
      const start = await this.#view(offset, LONGEST_HEADER_BYTES);
      if (start.length < SHARD_ALIGNMENT_BYTES) return;
      const header = parseStripeHeader(start);
      if (header === undefined || !this.#isHere(header, offset)) {
        offset += stepBytes;
        continue;
      }
      const bytes = await this.#view(offset, header.shardLengthBytes);
      const isWhole = bytes.length === header.shardLengthBytes;
      const payload = bytes.subarray(header.headerLengthBytes);
      if (isWhole && crc32c(payload) === header.payloadCrcs[header.shardIndex]) {
        this.slot ??= header.places[header.shardIndex]?.slot;
        yield { header, bytes };
        offset += header.shardLengthBytes;
      } else {
        offset += stepBytes;
      }
    }
  }

  /** A copy of a shard that `shards` has found good. @throws StoreError; Error: it is not there any more */
  async read(offset: number, lengthBytes: number): Promise<Buffer> {
    const bytes = Buffer.alloc(lengthBytes);
    const count = await this.#file.read(bytes, offset);
    if (count < lengthBytes) throw new Error(`${this.path} changed while it was read`);
    return bytes;
  }

  #isHere(header: StripeHeader, offset: number): boolean {
    const place = header.places[header.shardIndex];
    return (
      header.volumeId === this.#volumeId &&
      place?.offset === offset &&
      (this.slot === undefined || place.slot === this.slot) &&
      header.shardLengthBytes <= WINDOW_BYTES
    );
  }

  /** Where the next shard may begin, or the end of the file. */
  async #nextMagic(from: number, stepBytes: number): Promise<number> {
    for (let offset = from; ;) {
      const bytes = await this.#view(offset, stepBytes);
      if (bytes.length < SHARD_ALIGNMENT_BYTES) return offset;
      const rest = this.#window.subarray(offset - this.#start, this.#end - this.#start);
      let at = 0;
      while (at + SHARD_ALIGNMENT_BYTES <= rest.length && rest.readUInt32LE(at) !== STRIPE_MAGIC) at += stepBytes;
      offset += at;
      if (at + SHARD_ALIGNMENT_BYTES <= rest.length) return offset;
    }
  }

  async #view(offset: number, lengthBytes: number): Promise<Buffer> {
    if (offset < this.#start || offset + lengthBytes > this.#end) {
      this.#start = offset;
      this.#end = offset + (await this.#file.read(this.#window, offset));
    }
    const from = offset - this.#start;
    return this.#window.subarray(from, Math.min(from + lengthBytes, this.#end - this.#start));
  }
}
