import { assert } from '../errors/assert.ts';
import type { VolumeRecord } from './blob.ts';

/** What is known of all volumes of one storage class with one code on one set of disks. */
export interface VolumeGroup {
  /** Absent: STANDARD. */
  readonly storageClass?: string;
  readonly k: number;
  /** In no order. */
  readonly diskIds: readonly string[];
  /** Open and sealed ones. */
  readonly volumeCount: number;
  readonly openCount: number;
  readonly sealedCount: number;
  /** Dropped, but some disk has not confirmed. */
  readonly droppingCount: number;
  /** With something in them that lives. */
  readonly aliveCount: number;
  readonly storedBytes: number;
  readonly liveBytes: number;
  /** In each shard file, of sealed volumes: what no live byte needs. */
  readonly reclaimableShardBytes: number;
}

type Sums = { -readonly [Name in keyof VolumeGroup]: VolumeGroup[Name] };

/**
 * Sums over the volumes by code and disks, kept up to date as volumes change: there are few groups, however many volumes.
 */
export class VolumeGroups {
  readonly #groups = new Map<string, Sums>();

  static of(volumes: Iterable<VolumeRecord>): VolumeGroups {
    const groups = new VolumeGroups();
    for (const volume of volumes) groups.add(volume);
    return groups;
  }

  values(): VolumeGroup[] {
    return [...this.#groups.values()];
  }

  add(volume: VolumeRecord): void {
    this.#count(volume, 1);
  }

  /** What was added, as it was then. */
  remove(volume: VolumeRecord): void {
    this.#count(volume, -1);
  }

  #count(volume: VolumeRecord, sign: 1 | -1): void {
    const { k, diskIds, state, liveBytes, storedBytes, lengthBytes, storageClass } = volume;
    const key = `${storageClass ?? ''} ${k} ${diskIds.toSorted().join(' ')}`;
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = emptyGroup(volume)));
    if (state === 'dropped') {
      if (volume.undroppedDiskIds.length > 0) group.droppingCount += sign;
    } else {
      group.volumeCount += sign;
      if (state === 'open') group.openCount += sign;
      else group.sealedCount += sign;
      if (liveBytes > 0) group.aliveCount += sign;
      group.storedBytes += sign * storedBytes;
      group.liveBytes += sign * liveBytes;
      // Whole bytes, so that sums come back to zero.
      const neededShardBytes = Math.ceil(liveBytes / k);
      if (state === 'sealed') group.reclaimableShardBytes += sign * Math.max(0, lengthBytes - neededShardBytes);
    }
    assert(group.volumeCount >= 0 && group.droppingCount >= 0, 'a volume is removed from a group it is not in');
    if (group.volumeCount === 0 && group.droppingCount === 0) this.#groups.delete(key);
  }
}

function emptyGroup({ k, diskIds, storageClass }: VolumeRecord): Sums {
  return {
    ...(storageClass === undefined ? {} : { storageClass }),
    k,
    diskIds,
    volumeCount: 0,
    openCount: 0,
    sealedCount: 0,
    droppingCount: 0,
    aliveCount: 0,
    storedBytes: 0,
    liveBytes: 0,
    reclaimableShardBytes: 0,
  };
}
