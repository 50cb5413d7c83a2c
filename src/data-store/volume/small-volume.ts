import { assert } from '../../errors/assert.ts';
import type { DiskFile } from '../../disk/disk-fs.ts';
import type { StoreContext } from '../store-context.ts';
import type { ShardPlace } from '../stripe/stripe-header.ts';
import { type CallFailure, deadlinesOf, settleCalls } from './disk-calls.ts';
import { VOLUME_HEADER_BYTES } from './volume-file.ts';
import { goneError, type OpenedVolume, type VolumeOpener } from './volume-opener.ts';
import type { KnownVolume } from './volume-table.ts';
import { ZeroAhead } from './zero-ahead.ts';

const BLOCK_BYTES = 4096;

interface OpenSlot {
  readonly slot: number;
  readonly file: DiskFile;
  readonly zeros: ZeroAhead;
  /** End of what was appended, a multiple of 64. */
  end: number;
  /** The bytes of the last, partly filled block; `end % 4096` of them count. */
  readonly tail: Buffer;
}

/**
 * The open end of a small volume. Its files grow one by one, not in lockstep: a stripe of fewer shards than disks is
 * put where the files are shortest, so that a lone 4 KiB object takes 1 + m shards of space and not n.
 *
 * Stripes begin at multiples of 64, not of 4096: the block in which a stripe ended is written again with the next
 * one's beginning behind it. What was acknowledged in it is written with the same bytes, so whatever mixture of old and
 * new sectors a power cut leaves, it reads the same.
 *
 * Invariants: one append at a time; bytes below `end` never change; after a failure nothing is appended any more.
 */
export class SmallVolume {
  readonly volume: KnownVolume;
  readonly #context: StoreContext;
  readonly #opener: VolumeOpener;
  readonly #slots: OpenSlot[];
  #stripeNumber = 0;
  #hasFailed = false;

  private constructor(context: StoreContext, opener: VolumeOpener, volume: KnownVolume, slots: OpenSlot[]) {
    this.#context = context;
    this.#opener = opener;
    this.volume = volume;
    this.#slots = slots;
  }

  static make(context: StoreContext, opener: VolumeOpener, opened: OpenedVolume): SmallVolume {
    const slots = opened.slots.map(({ slot, disk, file }): OpenSlot => {
      const zeros = new ZeroAhead({
        file,
        startBytes: VOLUME_HEADER_BYTES,
        limitBytes: context.tunables.smallVolumeLimitBytes,
        onFailure: (error) => {
          made.#hasFailed = true;
          opener.reportFailure(disk, 'zero ahead', error);
        },
      });
      return { slot, file, zeros, end: VOLUME_HEADER_BYTES, tail: Buffer.alloc(BLOCK_BYTES) };
    });
    const made = new SmallVolume(context, opener, opened.volume, slots);
    for (const slot of slots) slot.zeros.advance(slot.end, 0);
    return made;
  }

  /** May another stripe be appended? False after a failure, when full, or when its disks should no longer be written to. */
  canTake(shardLengthBytes: number): boolean {
    if (this.#hasFailed || this.volume.isRetired === true) return false;
    const { disks, tunables, accepts } = this.#context;
    for (const diskId of this.volume.diskIds) {
      const disk = disks.byId(diskId);
      if (disk === undefined || !accepts(disk)) return false;
    }
    return this.longestBytes + shardLengthBytes <= tunables.smallVolumeLimitBytes;
  }

  get longestBytes(): number {
    return Math.max(...this.#slots.map((slot) => slot.end));
  }

  get nextStripeNumber(): number {
    return this.#stripeNumber;
  }

  /** Where the next stripe's shards go: the shortest files, beginning at another one each time. */
  placesFor(shardCount: number): ShardPlace[] {
    const width = this.#slots.length;
    const rotated = this.#slots.map((_, i) => this.#slots[(i + this.#stripeNumber) % width]!);
    if (shardCount < width) rotated.sort((a, b) => a.end - b.end);
    return rotated.slice(0, shardCount).map(({ slot, end }) => ({ slot, offset: end }));
  }

  /** Bytes of aligned memory that `append` needs for writing. */
  static imageBytes(shardCount: number, shardLengthBytes: number): number {
    return shardCount * (Math.ceil(shardLengthBytes / BLOCK_BYTES) + 1) * BLOCK_BYTES;
  }

  /**
   * Appends an encoded stripe with its headers and waits until all its disks have synced it and still have the files.
   * @param payloads payload after payload, @param headers likewise, in the order of `places`, which came from
   * `placesFor` just now.
   * @param image aligned memory of `imageBytes`; the returned calls use it until they have settled.
   * @returns the failures; any makes the volume unusable. The stripe is acknowledged only when there is none.
   */
  append(
    {
      payloads,
      headers,
      places,
      shardLengthBytes,
    }: { payloads: Buffer; headers: Buffer; places: readonly ShardPlace[]; shardLengthBytes: number },
    image: Buffer,
  ): { outcome: Promise<readonly CallFailure[]>; calls: Promise<unknown>[] } {
    this.#stripeNumber++;
    let imageOffset = 0;
    const headerLength = headers.length / places.length;
    const payloadLength = shardLengthBytes - headerLength;
    const calls = places.map(({ slot, offset }, index) => {
      const open = this.#slots[slot];
      assert(open !== undefined && open.end === offset, 'places are not the current ends');
      const tailBytes = offset % BLOCK_BYTES;
      const length = Math.ceil((tailBytes + shardLengthBytes) / BLOCK_BYTES) * BLOCK_BYTES;
      const region = image.subarray(imageOffset, imageOffset + length);
      imageOffset += length;
      open.tail.copy(region, 0, 0, tailBytes);
      headers.copy(region, tailBytes, index * headerLength, (index + 1) * headerLength);
      payloads.copy(region, tailBytes + headerLength, index * payloadLength, (index + 1) * payloadLength);
      region.fill(0, tailBytes + shardLengthBytes);
      return { slot, promise: this.#write(open, region, offset - tailBytes), open, region };
    });
    const outcome = this.#settle(calls, shardLengthBytes);
    return { outcome, calls: calls.map((call) => call.promise) };
  }

  async #write(open: OpenSlot, region: Buffer, offset: number): Promise<void> {
    const claimed = open.zeros.claim(offset + region.length);
    if (claimed !== undefined) await claimed;
    await open.file.write(region, offset);
    if (!(await open.file.stillThere())) throw goneError(open.file.path);
  }

  async #settle(
    calls: readonly { slot: number; promise: Promise<void>; open: OpenSlot; region: Buffer }[],
    shardLengthBytes: number,
  ): Promise<readonly CallFailure[]> {
    const { clock, tunables } = this.#context;
    const failures = await settleCalls(calls, { clock, ...deadlinesOf(tunables), operation: 'append' });
    if (failures.length > 0) {
      this.#hasFailed = true;
      return failures;
    }
    for (const { open, region } of calls) {
      open.end += shardLengthBytes;
      region.copy(open.tail, 0, region.length - BLOCK_BYTES);
      open.zeros.advance(open.end, shardLengthBytes);
    }
    return failures;
  }

  /**
   * Ends the volume: cuts off what was written ahead and records the seal. What was acknowledged is never cut. Bounded
   * in time; a disk that does not answer keeps its surplus, and so does a crash here: the next start cuts it.
   */
  async seal(): Promise<void> {
    const { clock, tunables, log } = this.#context;
    this.#hasFailed = true;
    this.#opener.sealLater(this.volume, this.longestBytes);
    const calls = this.#slots.map((open) => ({ slot: open.slot, promise: this.#cut(open) }));
    const failures = await settleCalls(calls, { clock, ...deadlinesOf(tunables), operation: 'sealing' });
    for (const { slot, error } of failures) {
      log.warn({ volumeId: this.volume.volumeId, slot, error }, 'a sealed volume keeps its preallocated space');
    }
  }

  async #cut(open: OpenSlot): Promise<void> {
    try {
      await open.zeros.stop();
      await open.file.truncate(open.end);
    } finally {
      await open.file.close();
    }
  }

  /** Bytes written ahead on one disk. */
  async preallocatedBytes(diskId: string): Promise<number> {
    const slot = this.#slots.find((one) => this.volume.diskIds[one.slot] === diskId);
    if (slot === undefined || this.#context.disks.byId(diskId)?.state !== 'online') return 0;
    return Math.max(0, (await slot.file.sizeBytes()) - slot.end);
  }
}
