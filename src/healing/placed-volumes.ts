import type { VolumeChanges } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';

/** Sealed volumes with something alive in them that lie on the same disks and belong to one storage class. */
export interface PlacedGroup {
  /** Absent: STANDARD. */
  readonly storageClass?: string;
  readonly k: number;
  /** In no order: the slots of each volume are its own. */
  readonly diskIds: readonly string[];
  /** Ascending by length, then by id. */
  readonly volumes: readonly VolumeRecord[];
  /** Bytes of one shard file of each of them, summed. */
  readonly lengthBytes: number;
}

type MutableGroup = { -readonly [Name in keyof PlacedGroup]: PlacedGroup[Name] } & { volumes: VolumeRecord[] };

/**
 * Where volumes lie, followed by what changes: there are few groups, however many volumes, and one change costs a search
 * in one of them.
 */
export class PlacedVolumes {
  readonly #records = new Map<number, VolumeRecord>();
  readonly #groups = new Map<string, MutableGroup>();
  /** How many volumes that are not dropped name a disk. */
  readonly #held = new Map<string, number>();
  /** How many volumes wait for a disk to remove its file. */
  readonly #leftovers = new Map<string, number>();
  #version: number | undefined;

  static of(volumes: readonly VolumeRecord[]): PlacedVolumes {
    const placed = new PlacedVolumes();
    placed.apply({ version: 0, isWhole: true, volumes, forgottenVolumeIds: [] });
    return placed;
  }

  /** Of the last changes that were applied. */
  get version(): number | undefined {
    return this.#version;
  }

  groups(): Iterable<PlacedGroup> {
    return this.#groups.values();
  }

  /** Does a volume that is not dropped name this disk? */
  isHeldBy(diskId: string): boolean {
    return this.#held.has(diskId);
  }

  /** Is a file still to be removed there? */
  hasLeftovers(diskId: string): boolean {
    return this.#leftovers.has(diskId);
  }

  apply({ version, isWhole, volumes, forgottenVolumeIds }: VolumeChanges): void {
    if (isWhole) for (const index of [this.#records, this.#groups, this.#held, this.#leftovers]) index.clear();
    for (const volumeId of forgottenVolumeIds) this.#remove(volumeId);
    for (const volume of volumes) {
      if (!isWhole) this.#remove(volume.volumeId);
      this.#add(volume, isWhole);
    }
    // One by one they would be put into order by as many searches.
    if (isWhole) for (const { volumes: unordered } of this.#groups.values()) unordered.sort(byLength);
    this.#version = version;
  }

  #add(volume: VolumeRecord, isSortedLater: boolean): void {
    this.#records.set(volume.volumeId, volume);
    this.#count(volume, 1);
    if (!isPlaced(volume)) return;
    const key = keyOf(volume);
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = emptyGroup(volume)));
    group.lengthBytes += volume.lengthBytes;
    if (isSortedLater) group.volumes.push(volume);
    else group.volumes.splice(firstNotBelow(group.volumes, volume), 0, volume);
  }

  #remove(volumeId: number): void {
    const before = this.#records.get(volumeId);
    if (before === undefined) return;
    this.#records.delete(volumeId);
    this.#count(before, -1);
    const key = keyOf(before);
    const group = isPlaced(before) ? this.#groups.get(key) : undefined;
    if (group === undefined) return;
    group.lengthBytes -= before.lengthBytes;
    group.volumes.splice(firstNotBelow(group.volumes, before), 1);
    if (group.volumes.length === 0) this.#groups.delete(key);
  }

  #count({ state, diskIds, undroppedDiskIds }: VolumeRecord, sign: 1 | -1): void {
    if (state !== 'dropped') for (const diskId of diskIds) count(this.#held, diskId, sign);
    for (const diskId of undroppedDiskIds) count(this.#leftovers, diskId, sign);
  }
}

/** Open volumes will be sealed, those with nothing alive dropped: they are left where they are. */
function isPlaced({ state, liveBytes }: VolumeRecord): boolean {
  return state === 'sealed' && liveBytes > 0;
}

function keyOf({ k, diskIds, storageClass }: VolumeRecord): string {
  return `${storageClass ?? ''} ${k} ${diskIds.toSorted().join(' ')}`;
}

function emptyGroup({ k, diskIds, storageClass }: VolumeRecord): MutableGroup {
  return { ...(storageClass === undefined ? {} : { storageClass }), k, diskIds, volumes: [], lengthBytes: 0 };
}

function byLength(a: VolumeRecord, b: VolumeRecord): number {
  return a.lengthBytes - b.lengthBytes || a.volumeId - b.volumeId;
}

/** Of volumes in the order of `byLength`: where this one is, or belongs. */
function firstNotBelow(volumes: readonly VolumeRecord[], volume: VolumeRecord): number {
  return firstIndex(volumes, (other) => byLength(other, volume) >= 0);
}

/** Of a row in which all that satisfy the claim come after all that do not: the first that does, or the length. */
export function firstIndex<Item>(row: readonly Item[], claim: (item: Item) => boolean): number {
  let low = 0;
  let high = row.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (claim(row[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function count(counts: Map<string, number>, diskId: string, sign: 1 | -1): void {
  const next = (counts.get(diskId) ?? 0) + sign;
  if (next === 0) counts.delete(diskId);
  else counts.set(diskId, next);
}
