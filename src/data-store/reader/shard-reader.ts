import { errnoOf } from '../../disk/disk-error.ts';
import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { StoreContext } from '../store-context.ts';
import { type StripeHeader, type StripeLocation, verifyShard } from '../stripe/stripe-header.ts';
import type { KnownVolume } from '../volume/volume-table.ts';
import type { DamageLog } from './damage-log.ts';
import type { ShardFiles } from './shard-files.ts';

export type DamageKind = 'missing' | 'corrupt' | 'unreadable';

/** How much a disk is to be relied on for reading: lower is better. */
export const READ_PREFERENCE = { good: 0, slow: 1, lastResort: 2, absent: 3 } as const;

/** Reads single shards and slices of them, tells the disk set of failing disks and the damage log of damaged shards. */
export class ShardReader {
  readonly #context: StoreContext;
  readonly #files: ShardFiles;
  readonly #damage: DamageLog;

  constructor(context: StoreContext, files: ShardFiles, damage: DamageLog) {
    this.#context = context;
    this.#files = files;
    this.#damage = damage;
  }

  diskOf(volume: KnownVolume, slot: number): Disk | undefined {
    const diskId = volume.diskIds[slot];
    return diskId === undefined ? undefined : this.#context.disks.byId(diskId);
  }

  /** `online` disks first; those that are behind or failing only when nothing else is left: what they give is verified. */
  preference(volume: KnownVolume, slot: number): number {
    switch (this.diskOf(volume, slot)?.state) {
      case 'online':
        return READ_PREFERENCE.good;
      case 'suspect':
        return READ_PREFERENCE.slow;
      case 'returning':
      case 'failed':
        return READ_PREFERENCE.lastResort;
      default:
        return READ_PREFERENCE.absent;
    }
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
      const count = await this.#files.read(disk, volume.volumeId, buffer, offset);
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
      let header = verifyShard(buffer, location, shardIndex);
      if (header !== undefined) return header;
      // A buffered read may race with the direct write of a neighbour in the same block, or the file was replaced.
      const disk = this.diskOf(volume, place.slot);
      if (disk !== undefined) this.#files.discard(disk, volume.volumeId);
      kind = await this.readSlice(volume, place, buffer);
      if (kind === undefined) {
        header = verifyShard(buffer, location, shardIndex);
        if (header !== undefined) return header;
        kind = 'corrupt';
      }
    }
    this.recordDamage(volume, location, shardIndex, kind);
    return undefined;
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
