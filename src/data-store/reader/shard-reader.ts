import { crc32c } from '@node-rs/crc32';
import { errnoOf } from '../../disk/disk-error.ts';
import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { DamageKind } from '../data-store.ts';
import type { StoreContext } from '../store-context.ts';
import { headerOfShard, type StripeHeader, type StripeLocation } from '../stripe/stripe-header.ts';
import type { KnownVolume } from '../volume/volume-table.ts';
import { CoarseDeadlines } from './coarse-deadlines.ts';
import type { DamageLog } from './damage-log.ts';
import type { ShardFiles } from './shard-files.ts';

/** How much a disk is to be relied on for reading: lower is better. */
export const READ_PREFERENCE = { good: 0, slow: 1, suspect: 2, lastResort: 3, absent: 4 } as const;

/** A disk that kept a reader waiting is avoided for this long, twice as long each time, up to the longest. */
const AVOID_MS = 1_000;
const AVOID_LONGEST_MS = 30_000;
/** A read is slow after so many times the typical one, but not before the shortest time. */
const HEDGE_FACTOR = 8;
const HEDGE_SHORTEST_MS = 30;
/** Of each read in the typical duration. */
const TYPICAL_WEIGHT = 1 / 64;
/** For a shorter payload a message to another thread costs as much as the checksum. */
const FAR_CHECKSUM_BYTES = 128 * 1024;

/** Reads single shards and slices of them, tells the disk set of failing disks and the damage log of damaged shards. */
export class ShardReader {
  readonly #context: StoreContext;
  readonly #files: ShardFiles;
  readonly #damage: DamageLog;
  /** Of single reads; `hedgeAfterMs` is what they get. */
  readonly deadlines: CoarseDeadlines;
  /** By disk id: slow ones, so that not every reader waits for them again and leaves a buffer behind. */
  readonly #slow = new Map<string, { untilMs: number; avoidMs: number }>();
  #typicalMs = 0;

  constructor(context: StoreContext, files: ShardFiles, damage: DamageLog) {
    this.#context = context;
    this.#files = files;
    this.#damage = damage;
    this.deadlines = new CoarseDeadlines(context.clock);
  }

  diskOf(volume: KnownVolume, slot: number): Disk | undefined {
    const diskId = volume.diskIds[slot];
    return diskId === undefined ? undefined : this.#context.disks.byId(diskId);
  }

  /** `online` disks first; those that are behind or failing only when nothing else is left: what they give is verified. */
  preference(volume: KnownVolume, slot: number): number {
    const disk = this.diskOf(volume, slot);
    switch (disk?.state) {
      case 'online':
        return this.#isAvoided(disk) ? READ_PREFERENCE.slow : READ_PREFERENCE.good;
      case 'suspect':
        return READ_PREFERENCE.suspect;
      case 'returning':
      case 'failed':
        return READ_PREFERENCE.lastResort;
      default:
        return READ_PREFERENCE.absent;
    }
  }

  /**
   * How long a read waits for a shard before it goes on without it: a multiple of what reads take these days, so that a
   * disk of 100 ms among fast ones is read around and a loaded machine does not double its own load.
   */
  get hedgeAfterMs(): number {
    return Math.min(this.#context.tunables.hedgeAfterMs, Math.max(HEDGE_SHORTEST_MS, HEDGE_FACTOR * this.#typicalMs));
  }

  /** A reader has waited long enough for this disk and goes on without it. */
  noteSlow(volume: KnownVolume, slot: number): void {
    const disk = this.diskOf(volume, slot);
    if (disk === undefined || this.#isAvoided(disk)) return;
    const avoidMs = Math.min(AVOID_LONGEST_MS, 2 * (this.#slow.get(disk.id)?.avoidMs ?? AVOID_MS / 2));
    this.#slow.set(disk.id, { untilMs: this.#context.clock.monotonicMs() + avoidMs, avoidMs });
  }

  #isAvoided(disk: Disk): boolean {
    const slow = this.#slow.get(disk.id);
    return slow !== undefined && slow.untilMs > this.#context.clock.monotonicMs();
  }

  /** Also: a read in time after the pause, and the next slowness begins with a short one again. */
  #noteDuration(disk: Disk, beganAtMs: number): void {
    const durationMs = this.#context.clock.monotonicMs() - beganAtMs;
    const { hedgeAfterMs } = this;
    // Capped: one hung disk says little about the others, all of them together do.
    this.#typicalMs += (Math.min(durationMs, 2 * hedgeAfterMs) - this.#typicalMs) * TYPICAL_WEIGHT;
    if (durationMs < hedgeAfterMs && this.#slow.has(disk.id) && !this.#isAvoided(disk)) this.#slow.delete(disk.id);
  }

  /**
   * Fills `buffer` from the file of `slot`. `undefined`: done. Else what is wrong; a disk that fails is reported, damage
   * is not recorded yet (`recordDamage`).
   */
  async readSlice(
    volume: KnownVolume,
    { slot, offset }: { slot: number; offset: number },
    buffer: Buffer,
  ): Promise<DamageKind | undefined> {
    const disk = this.diskOf(volume, slot);
    if (disk === undefined) return 'missing';
    try {
      const beganAtMs = this.#context.clock.monotonicMs();
      const count = await this.#files.read(disk, volume.volumeId, buffer, offset);
      this.#noteDuration(disk, beganAtMs);
      return count === buffer.length ? undefined : 'corrupt';
    } catch (error) {
      if (isStoreError(error, 'DiskTimeout')) throw error;
      if (!isStoreError(error)) throw error;
      if (errnoOf(error) === 'ENOENT' && error.code !== 'DiskMissing') return 'missing';
      this.#context.disks.reportFailure(disk.id, { operation: 'read', error });
      return error.code === 'DiskMissing' ? 'missing' : 'unreadable';
    }
  }

  /** Reads and verifies a whole shard into `buffer` of its length. Damage is recorded. @throws DiskTimeout only. */
  async readShard(
    volume: KnownVolume,
    location: StripeLocation,
    shardIndex: number,
    buffer: Buffer,
  ): Promise<StripeHeader | undefined> {
    const place = location.places[shardIndex];
    if (place === undefined) return undefined;
    let kind = await this.readSlice(volume, place, buffer);
    if (kind === undefined) {
      let header = await this.#verify(buffer, location, shardIndex);
      if (header !== undefined) return header;
      // A buffered read may race with the direct write of a neighbour in the same block, or the file was replaced.
      const disk = this.diskOf(volume, place.slot);
      if (disk !== undefined) this.#files.discard(disk, volume.volumeId);
      kind = await this.readSlice(volume, place, buffer);
      if (kind === undefined) {
        header = await this.#verify(buffer, location, shardIndex);
        if (header !== undefined) return header;
        kind = 'corrupt';
      }
    }
    this.recordDamage(volume, location, shardIndex, kind);
    return undefined;
  }

  /** As `verifyShard`; the checksum of a long shard on another thread, so that this one can answer requests. */
  async #verify(buffer: Buffer, location: StripeLocation, shardIndex: number): Promise<StripeHeader | undefined> {
    const header = headerOfShard(buffer, location, shardIndex);
    if (header === undefined) return undefined;
    const payload = buffer.subarray(header.headerLengthBytes);
    const isFar = payload.length >= FAR_CHECKSUM_BYTES && payload.buffer instanceof SharedArrayBuffer;
    const asked = isFar ? this.#context.checksums?.crc32c(payload) : undefined;
    const crc = asked === undefined ? crc32c(payload) : await asked;
    return crc === header.payloadCrcs[shardIndex] ? header : undefined;
  }

  /** Shards of disks that are not online are lost, not damaged: the state of the disk tells that. */
  recordDamage(volume: KnownVolume, location: StripeLocation, shardIndex: number, kind: DamageKind): void {
    const place = location.places[shardIndex];
    if (place === undefined) return;
    const disk = this.diskOf(volume, place.slot);
    if (disk?.state !== 'online') return;
    this.#damage.add({ volumeId: volume.volumeId, diskId: disk.id, shardIndex, offset: place.offset, kind });
  }

  /** Reads of this file open it anew. */
  discardHandle(volume: KnownVolume, slot: number): void {
    const disk = this.diskOf(volume, slot);
    if (disk !== undefined) this.#files.discard(disk, volume.volumeId);
  }
}
