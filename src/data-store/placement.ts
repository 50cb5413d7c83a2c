import { assert } from '../errors/assert.ts';
import type { ErasureCode } from '../model/erasure-code.ts';

/** A disk of the cluster's list as placement sees it. */
export interface PlacementDisk {
  readonly id: string;
  /** Online, level and above the reserve line. */
  readonly isUsable: boolean;
  readonly freeBytes: number;
}

export interface Placement {
  readonly code: ErasureCode;
  /** `k + m` different disks. */
  readonly diskIds: readonly string[];
}

/** With at least this many times n disks, groups come from a few groupings instead of every window of the list. */
const WINDOW_LIMIT_FACTOR = 2;
const GROUPING_COUNT = 2;

/** The code of a volume over `usableCount` disks: full width, else narrower with the same m; `undefined` below m + 1. */
export function codeFor(configured: ErasureCode, usableCount: number): ErasureCode | undefined {
  const k = Math.min(configured.k, usableCount - configured.m);
  return k < 1 ? undefined : { k, m: configured.m };
}

/**
 * The disks of a new volume. `disks` is the whole list in its order, usable or not, because the groups must not change
 * when a disk is away for a while. `fraction` in [0, 1) picks the group, weighted by free space.
 * `undefined`: fewer than m + 1 are usable, writes are refused.
 */
export function placeVolume({
  configured,
  disks,
  fraction,
}: {
  configured: ErasureCode;
  disks: readonly PlacementDisk[];
  fraction: number;
}): Placement | undefined {
  const usable = disks.filter((disk) => disk.isUsable);
  const code = codeFor(configured, usable.length);
  if (code === undefined) return undefined;
  const width = code.k + code.m;
  if (usable.length === width) return { code, diskIds: usable.map((disk) => disk.id) };

  const candidates = placementGroups(disks.length, width).map((group) => fillGroup(group, disks, width));
  const weights = candidates.map((members) => Math.min(...members.map((disk) => disk.freeBytes)) + 1);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let rest = fraction * total;
  for (const [index, members] of candidates.entries()) {
    rest -= weights[index] ?? 0;
    if (rest < 0 || index === candidates.length - 1) return { code, diskIds: members.map((disk) => disk.id) };
  }
  return undefined;
}

/**
 * Groups of `width` positions in a list of `diskCount`. Few, so that few combinations of disks hold all shards of
 * something: windows of the list, side by side, in the list's order and in one that takes every g-th disk. A list
 * shorter than two groups uses each window instead, so that disks added one at a time fill evenly.
 */
export function placementGroups(diskCount: number, width: number): number[][] {
  assert(width >= 1 && width <= diskCount, `cannot place ${width} shards on ${diskCount} disks`);
  if (diskCount === width) return [Array.from({ length: width }, (_, i) => i)];
  const groups: number[][] = [];
  if (diskCount < WINDOW_LIMIT_FACTOR * width) {
    for (let start = 0; start < diskCount; start++) groups.push(windowOf(start, width, diskCount));
    return groups;
  }
  for (let grouping = 0; grouping < GROUPING_COUNT; grouping++) {
    const stride = grouping === 0 ? 1 : Math.ceil(diskCount / width);
    const order: number[] = [];
    for (let column = 0; column < stride; column++) {
      for (let position = column; position < diskCount; position += stride) order.push(position);
    }
    for (let start = 0; start < diskCount; start += width) {
      groups.push(windowOf(start, width, diskCount).map((position) => order[position] ?? 0));
    }
  }
  return groups;
}

function windowOf(start: number, width: number, diskCount: number): number[] {
  return Array.from({ length: width }, (_, i) => (start + i) % diskCount);
}

/** The usable members of a group, and in place of the others the usable disks that follow its last one in the list. */
function fillGroup(group: readonly number[], disks: readonly PlacementDisk[], width: number): PlacementDisk[] {
  const members: PlacementDisk[] = [];
  for (const position of group) {
    const disk = disks[position];
    if (disk?.isUsable === true) members.push(disk);
  }
  const last = group.at(-1) ?? 0;
  for (let step = 1; members.length < width && step <= disks.length; step++) {
    const disk = disks[(last + step) % disks.length];
    if (disk?.isUsable === true && !members.includes(disk)) members.push(disk);
  }
  return members;
}
