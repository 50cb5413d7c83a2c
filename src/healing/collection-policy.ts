import type { VolumeRecord } from '../model/blob.ts';
import type { ErasureCode } from '../model/erasure-code.ts';

/** A sealed volume with less live data than this is one of those that are merged when there are many of them. */
export const TINY_VOLUME_BYTES = 8 * 1024 * 1024;
/** So many tiny volumes of one purpose are merged: restarts leave one each. */
export const TINY_VOLUME_COUNT = 8;
const DEAD_FRACTION = 0.5;
/** An open volume with more dead bytes than this, and more dead than alive, is sealed before it is full: only then can it be collected. */
const RETIRED_DEAD_BYTES = 256 * 1024 * 1024;
/** Small volumes with lone objects are sparse by nature: a stripe of 1 + m shards for each. */
const SMALL_SPARSE_FRACTION = 0.25;

/** Data bytes that the volume's files have room for. */
function capacityBytes(volume: VolumeRecord): number {
  return volume.lengthBytes * volume.k;
}

/** Mostly dead: what was deleted since, or never committed, takes more space than what lives. */
function isMostlyDead(volume: VolumeRecord): boolean {
  if (volume.liveBytes < volume.storedBytes * DEAD_FRACTION) return true;
  const capacity = capacityBytes(volume);
  if (capacity < TINY_VOLUME_BYTES) return false;
  const fraction = volume.purpose === 'large' ? DEAD_FRACTION : SMALL_SPARSE_FRACTION;
  return volume.liveBytes < capacity * fraction;
}

/** What codes say about a volume. */
export interface CodePolicy {
  /** That of volumes of a class (absent: STANDARD) opened now. */
  now: (storageClass: string | undefined) => ErasureCode | undefined;
  /** It was opened under an earlier code of its class: it is as wide as it was meant to be. */
  isOfEarlierCode: (volume: VolumeRecord) => boolean;
  /** It is to be rewritten, because its class has another code now and that was asked for. */
  isDue: (volume: VolumeRecord) => boolean;
}

/** Opened while disks were lost: as safe as any, but it takes more space than a volume opened now. */
function isNarrow(volume: VolumeRecord, codes: CodePolicy): boolean {
  const { k, m, storageClass } = volume;
  const now = codes.now(storageClass);
  return now !== undefined && m === now.m && k < now.k && !codes.isOfEarlierCode(volume);
}

const UNKNOWN_CODES: CodePolicy = { now: () => undefined, isOfEarlierCode: () => false, isDue: () => false };

function isTiny(volume: VolumeRecord): boolean {
  return capacityBytes(volume) < TINY_VOLUME_BYTES;
}

/** Overwritten and deleted faster than it fills: at its full size it would hold many times what lives. */
function isDyingOpen(volume: VolumeRecord): boolean {
  const deadBytes = volume.storedBytes - volume.liveBytes;
  return volume.state === 'open' && deadBytes >= RETIRED_DEAD_BYTES && deadBytes >= volume.liveBytes;
}

/** May there be something to do about this volume, alone or with others like it? The rest need not be planned for. */
export function isCollectible(volume: VolumeRecord, codes: CodePolicy): boolean {
  if (volume.state === 'dropped') return volume.undroppedDiskIds.length > 0;
  if (volume.state !== 'sealed') return isDyingOpen(volume);
  if (isNarrow(volume, codes) || codes.isDue(volume)) return true;
  return volume.liveBytes === 0 || isTiny(volume) || isMostlyDead(volume);
}

export interface CollectionPlan {
  /** Open, and mostly dead already: to be sealed. */
  readonly toRetire: readonly VolumeRecord[];
  /** Nothing in them lives. */
  readonly toDrop: readonly VolumeRecord[];
  /** Their live blobs are to be written elsewhere, in this order: the most space for the least work first, narrow ones and those of another code last. */
  readonly toRewrite: readonly VolumeRecord[];
  /** Dropped, but some disks have not confirmed. */
  readonly toConfirm: readonly VolumeRecord[];
}

/**
 * What there is to collect. Pure. A rewritten volume's blobs end in a volume where nothing is dead and, several
 * written at once, stripes are full: it is no candidate again until more is deleted, so this comes to an end.
 */
export function planCollection(
  volumes: readonly VolumeRecord[],
  pinned: ReadonlySet<number>,
  codes: CodePolicy = UNKNOWN_CODES,
): CollectionPlan {
  const sealed = volumes.filter((volume) => volume.state === 'sealed' && !pinned.has(volume.volumeId));
  const alive = sealed.filter((volume) => volume.liveBytes > 0);
  const toRewrite = new Set(alive.filter(isMostlyDead));
  const tiny = new Map<string, VolumeRecord[]>();
  for (const volume of alive.filter(isTiny)) {
    const kind = `${volume.purpose} ${volume.storageClass ?? ''}`;
    tiny.set(kind, [...(tiny.get(kind) ?? []), volume]);
  }
  for (const alike of tiny.values()) {
    if (alike.length >= TINY_VOLUME_COUNT) for (const volume of alike) toRewrite.add(volume);
  }
  return {
    toRetire: volumes.filter(isDyingOpen),
    toDrop: sealed.filter((volume) => volume.liveBytes === 0),
    toRewrite: [
      ...[...toRewrite].sort((a, b) => gainOf(b) - gainOf(a)),
      ...alive.filter((volume) => !toRewrite.has(volume) && (isNarrow(volume, codes) || codes.isDue(volume))),
    ],
    toConfirm: volumes.filter((volume) => volume.state === 'dropped' && volume.undroppedDiskIds.length > 0),
  };
}

function gainOf(volume: VolumeRecord): number {
  return (capacityBytes(volume) - volume.liveBytes) / (volume.liveBytes + 1);
}
