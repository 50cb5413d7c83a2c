import type { VolumeRecord } from '../model/blob.ts';
import { firstIndex, type PlacedGroup, type PlacedVolumes } from './placed-volumes.ts';

/** A disk of the list as the planner sees it; in the list's order. */
export interface MovableDisk {
  readonly id: string;
  /** Online and taking new data. */
  readonly acceptsData: boolean;
  readonly isDraining: boolean;
  readonly isOnline: boolean;
  /** Free bytes above the reserve. */
  readonly roomBytes: number;
}

export interface ShardMove {
  readonly volumeId: number;
  /** Slot of the volume: its position in `diskIds`. */
  readonly shardIndex: number;
  readonly fromDiskId: string;
  readonly toDiskId: string;
  readonly sizeBytes: number;
  /** `homeless`: its disk is no longer in the list, the shards are lost. */
  readonly reason: 'homeless' | 'draining' | 'balance';
}

export interface ShardMovePlan {
  /** The next ones, in the order in which they should be done. */
  readonly moves: readonly ShardMove[];
  /** All that ought to move and can, those in `moves` too. */
  readonly left: { readonly count: number; readonly bytes: number };
  /** Shard files that ought to move but for which no disk has room now. */
  readonly stuckCount: number;
}

export interface PlanOptions {
  readonly volumes: PlacedVolumes;
  readonly disks: readonly MovableDisk[];
  /** Placement groups of so many disks, over those that stay: moves keep to them where they can. */
  readonly groupsOf: (width: number) => readonly (readonly string[])[];
  /** Difference in the used fraction of two disks from which shards are moved from one to the other. */
  readonly balanceThreshold: number;
  /** Not to be tried now: it failed a moment ago. */
  readonly isDeferred?: (volumeId: number) => boolean;
}

/** So many moves are planned at most: they change what the next should be, and a plan must not keep the server waiting. */
const NEEDED_LIMIT = 64;
const BALANCE_LIMIT = 16;
/** A move for balance that leaves the placement groups must gain so many times the threshold. */
const OUTSIDE_GROUPS_FACTOR = 4;

/**
 * What is to be moved. Pure. First the shards that are lost because their disk was replaced or removed, the volumes with
 * the fewest disks left first; then what lies on draining disks; and when all of that is done, what evens out use.
 * Volumes that are open or hold nothing live are left alone: they will be sealed, or dropped.
 *
 * The cost grows with the disks, the groups of volumes and the moves that are planned, not with the number of volumes.
 */
export function planShardMoves(options: PlanOptions): ShardMovePlan {
  const planner = new Planner(options);
  planner.planNeeded();
  if (planner.left.count === 0 && planner.stuckCount === 0) planner.planBalance();
  return { moves: planner.moves, left: planner.left, stuckCount: planner.stuckCount };
}

class Planner {
  readonly moves: ShardMove[] = [];
  readonly left = { count: 0, bytes: 0 };
  stuckCount = 0;
  readonly #options: PlanOptions;
  readonly #disks: ReadonlyMap<string, MovableDisk>;
  readonly #roomBytes: Map<string, number>;
  readonly #groups = new Map<number, readonly ReadonlySet<string>[]>();

  constructor(options: PlanOptions) {
    this.#options = options;
    this.#disks = new Map(options.disks.map((disk) => [disk.id, disk]));
    this.#roomBytes = new Map(options.disks.map((disk) => [disk.id, disk.roomBytes]));
  }

  // ——— what must move ———

  planNeeded(): void {
    const needed = [...this.#options.volumes.groups()]
      .map((group) => ({ group, leaving: group.diskIds.filter((id) => this.#disks.get(id)?.isDraining !== false) }))
      .filter(({ leaving }) => leaving.length > 0);
    const isHomeless = ({ diskIds }: PlacedGroup): boolean => diskIds.some((id) => !this.#disks.has(id));
    const marginOf = ({ diskIds, k }: PlacedGroup): number => diskIds.filter((id) => this.#disks.has(id)).length - k;
    needed.sort((a, b) => {
      return Number(isHomeless(b.group)) - Number(isHomeless(a.group)) || marginOf(a.group) - marginOf(b.group);
    });
    for (const { group, leaving } of needed) this.#planGroup(group, leaving);
  }

  #planGroup(group: PlacedGroup, leaving: readonly string[]): void {
    /** For a volume of this length there was no room, so there is none for the longer ones that follow. */
    const stuck = new Set<string>();
    let plannedVolumes = 0;
    for (const volume of group.volumes) {
      if (this.moves.length >= NEEDED_LIMIT || stuck.size === leaving.length) break;
      plannedVolumes++;
      const isDeferred = this.#options.isDeferred?.(volume.volumeId) === true;
      const members = [...volume.diskIds];
      for (const fromDiskId of leaving) {
        const slot = members.indexOf(fromDiskId);
        const target = stuck.has(fromDiskId) ? undefined : this.#targetFor(members, slot, volume.lengthBytes);
        if (target === undefined) {
          stuck.add(fromDiskId);
          this.stuckCount++;
        } else if (isDeferred) this.#count(volume.lengthBytes);
        else this.#plan(volume, members, { slot, toDiskId: target });
      }
    }
    // The rest is only counted.
    const rest = group.volumes.length - plannedVolumes;
    const restBytes = group.volumes.slice(plannedVolumes).reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    this.stuckCount += rest * stuck.size;
    this.left.count += rest * (leaving.length - stuck.size);
    this.left.bytes += restBytes * (leaving.length - stuck.size);
  }

  #plan(volume: VolumeRecord, members: string[], { slot, toDiskId }: { slot: number; toDiskId: string }): void {
    const fromDiskId = members[slot] ?? '';
    const { volumeId, lengthBytes: sizeBytes } = volume;
    this.moves.push({
      volumeId,
      shardIndex: slot,
      fromDiskId,
      toDiskId,
      sizeBytes,
      reason: this.#reasonToLeave(fromDiskId),
    });
    this.#count(sizeBytes);
    members[slot] = toDiskId;
    this.#roomBytes.set(toDiskId, (this.#roomBytes.get(toDiskId) ?? 0) - sizeBytes);
    const room = this.#roomBytes.get(fromDiskId);
    if (room !== undefined) this.#roomBytes.set(fromDiskId, room + sizeBytes);
  }

  #reasonToLeave(diskId: string): ShardMove['reason'] {
    const disk = this.#disks.get(diskId);
    if (disk === undefined) return 'homeless';
    return disk.isDraining ? 'draining' : 'balance';
  }

  #count(sizeBytes: number): void {
    this.left.count++;
    this.left.bytes += sizeBytes;
  }

  /** The disk with the most room among those that keep the volume within a placement group, else among all. */
  #targetFor(members: readonly string[], slot: number, sizeBytes: number): string | undefined {
    const candidates = this.#options.disks.filter(({ id, acceptsData }) => {
      return acceptsData && !members.includes(id) && (this.#roomBytes.get(id) ?? 0) > sizeBytes;
    });
    const inGroup = candidates.filter(({ id }) => this.#isInGroup(members, slot, id));
    const [first, ...others] = inGroup.length > 0 ? inGroup : candidates;
    const roomOf = ({ id }: MovableDisk): number => this.#roomBytes.get(id) ?? 0;
    return others.reduce<MovableDisk | undefined>((best, other) => {
      return best === undefined || roomOf(other) > roomOf(best) ? other : best;
    }, first)?.id;
  }

  /** Would the members that stay, with the new one, lie in one placement group? */
  #isInGroup(members: readonly string[], slot: number, toDiskId: string): boolean {
    const staying = members.filter((id, index) => index !== slot && this.#disks.get(id)?.isDraining === false);
    return this.#groupsOf(members.length).some((group) => group.has(toDiskId) && staying.every((id) => group.has(id)));
  }

  #groupsOf(width: number): readonly ReadonlySet<string>[] {
    let groups = this.#groups.get(width);
    if (groups === undefined) {
      groups = this.#options.groupsOf(width).map((group) => new Set(group));
      this.#groups.set(width, groups);
    }
    return groups;
  }

  // ——— evening out ———

  planBalance(): void {
    const usedBytes = new Map(this.#options.disks.map(({ id }) => [id, 0]));
    const groupsOn = new Map<string, PlacedGroup[]>();
    for (const group of this.#options.volumes.groups()) {
      for (const id of group.diskIds) {
        usedBytes.set(id, (usedBytes.get(id) ?? 0) + group.lengthBytes);
        const groups = groupsOn.get(id);
        if (groups === undefined) groupsOn.set(id, [group]);
        else groups.push(group);
      }
    }
    const use = { usedBytes, groupsOn, keepsGroups: new Map<string, boolean>() };
    while (this.moves.length < BALANCE_LIMIT) {
      const move = this.#bestBalanceMove(use);
      if (move === undefined) return;
      const { volume, fromDiskId, toDiskId } = move;
      this.#plan(volume, [...volume.diskIds], { slot: volume.diskIds.indexOf(fromDiskId), toDiskId });
      usedBytes.set(fromDiskId, (usedBytes.get(fromDiskId) ?? 0) - volume.lengthBytes);
      usedBytes.set(toDiskId, (usedBytes.get(toDiskId) ?? 0) + volume.lengthBytes);
    }
  }

  /** From the fullest to the emptiest, if that gains enough and does not overshoot. */
  #bestBalanceMove(use: DiskUse): { volume: VolumeRecord; fromDiskId: string; toDiskId: string } | undefined {
    const { disks, balanceThreshold } = this.#options;
    const fractions = new Map(disks.map(({ id }) => [id, this.#fractionOf(use, id)]));
    const fractionOf = ({ id }: MovableDisk): number => fractions.get(id) ?? 1;
    const byUse = [...disks].sort((a, b) => fractionOf(b) - fractionOf(a));
    const planned = new Set(this.moves.map(({ volumeId }) => volumeId));
    for (const isInside of [true, false]) {
      const leastGain = isInside ? balanceThreshold : balanceThreshold * OUTSIDE_GROUPS_FACTOR;
      for (const from of byUse) {
        // What cannot be read is not evened out, and nobody knows how full its disk is.
        if (!from.isOnline) continue;
        for (const to of byUse.toReversed()) {
          const gain = fractionOf(from) - fractionOf(to);
          if (gain <= leastGain) break;
          if (!to.acceptsData) continue;
          const limits = this.#limitsOf(use, { fromDiskId: from.id, toDiskId: to.id, gain });
          for (const group of use.groupsOn.get(from.id) ?? []) {
            if (group.diskIds.includes(to.id)) continue;
            if (isInside && !this.#keepsGroups(use, group, { fromDiskId: from.id, toDiskId: to.id })) continue;
            const volume = this.#pick(group, limits, planned);
            if (volume !== undefined) return { volume, fromDiskId: from.id, toDiskId: to.id };
          }
        }
      }
    }
    return undefined;
  }

  #capacityOf({ usedBytes }: DiskUse, id: string): number {
    return (usedBytes.get(id) ?? 0) + (this.#roomBytes.get(id) ?? 0);
  }

  #fractionOf(use: DiskUse, id: string): number {
    const capacity = this.#capacityOf(use, id);
    return capacity <= 0 ? 1 : (use.usedBytes.get(id) ?? 0) / capacity;
  }

  /**
   * How long a shard file may be. `best`: it makes the two disks equally full. `below`: of what is free, because that is
   * known: one that long would turn the difference round, and come back.
   */
  #limitsOf(use: DiskUse, { fromDiskId, toDiskId, gain }: { fromDiskId: string; toDiskId: string; gain: number }) {
    const below = (this.#roomBytes.get(toDiskId) ?? 0) * Math.min(1, gain);
    const best = gain / (1 / this.#capacityOf(use, fromDiskId) + 1 / this.#capacityOf(use, toDiskId));
    return { best, below };
  }

  /** The longest that does not overshoot, else the shortest that still gains something. */
  #pick(
    { volumes }: PlacedGroup,
    { best, below }: { best: number; below: number },
    planned: ReadonlySet<number>,
  ): VolumeRecord | undefined {
    const isFree = ({ volumeId }: VolumeRecord): boolean =>
      !planned.has(volumeId) && this.#options.isDeferred?.(volumeId) !== true;
    const end = firstIndex(volumes, ({ lengthBytes }) => lengthBytes > best || lengthBytes >= below);
    for (let index = end - 1; index >= 0; index--) if (isFree(volumes[index]!)) return volumes[index];
    const shortest = volumes[end];
    return shortest !== undefined && shortest.lengthBytes < below && isFree(shortest) ? shortest : undefined;
  }

  #keepsGroups(
    { keepsGroups }: DiskUse,
    group: PlacedGroup,
    { fromDiskId, toDiskId }: { fromDiskId: string; toDiskId: string },
  ): boolean {
    const key = `${group.diskIds.join(' ')} ${fromDiskId} ${toDiskId}`;
    let known = keepsGroups.get(key);
    if (known === undefined) {
      known = this.#isInGroup(group.diskIds, group.diskIds.indexOf(fromDiskId), toDiskId);
      keepsGroups.set(key, known);
    }
    return known;
  }
}

/** For one plan of balance. */
interface DiskUse {
  readonly usedBytes: Map<string, number>;
  readonly groupsOn: ReadonlyMap<string, readonly PlacedGroup[]>;
  /** Does a move stay within a placement group? By disks of the volume, from and to. */
  readonly keepsGroups: Map<string, boolean>;
}
