import type { VolumeRecord } from '../model/blob.ts';

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
  /** In the order in which they should be done. */
  readonly moves: readonly ShardMove[];
  /** Shard files that ought to move but for which no disk has room now. */
  readonly stuckCount: number;
}

export interface PlanOptions {
  readonly volumes: readonly VolumeRecord[];
  readonly disks: readonly MovableDisk[];
  /** Placement groups of so many disks, over those that stay: moves keep to them where they can. */
  readonly groupsOf: (width: number) => readonly (readonly string[])[];
  /** Difference in the used fraction of two disks from which shards are moved from one to the other. */
  readonly balanceThreshold: number;
}

/** So many moves are planned at most only to even out use: they change what the next should be. */
const BALANCE_LIMIT = 16;
/** A move for balance that leaves the placement groups must gain so many times the threshold. */
const OUTSIDE_GROUPS_FACTOR = 4;

/**
 * What is to be moved. Pure. First the shards that are lost because their disk was replaced or removed, the volumes with
 * the fewest disks left first; then what lies on draining disks; and when all of that is done, what evens out use.
 * Volumes that are open or hold nothing live are left alone: they will be sealed, or dropped.
 */
export function planShardMoves(options: PlanOptions): ShardMovePlan {
  const planner = new Planner(options);
  planner.planNeeded();
  if (planner.moves.length === 0 && planner.stuckCount === 0) planner.planBalance();
  return { moves: planner.moves, stuckCount: planner.stuckCount };
}

interface SlotToLeave {
  slot: number;
  reason: 'homeless' | 'draining';
}

class Planner {
  readonly moves: ShardMove[] = [];
  stuckCount = 0;
  readonly #options: PlanOptions;
  readonly #volumes: readonly VolumeRecord[];
  readonly #disks: ReadonlyMap<string, MovableDisk>;
  readonly #roomBytes: Map<string, number>;
  readonly #groups = new Map<number, readonly ReadonlySet<string>[]>();

  constructor(options: PlanOptions) {
    this.#options = options;
    this.#volumes = options.volumes.filter(({ state, liveBytes }) => state === 'sealed' && liveBytes > 0);
    this.#disks = new Map(options.disks.map((disk) => [disk.id, disk]));
    this.#roomBytes = new Map(options.disks.map((disk) => [disk.id, disk.roomBytes]));
  }

  planNeeded(): void {
    const needed = this.#volumes
      .map((volume) => ({ volume, slots: this.#slotsToLeave(volume) }))
      .filter(({ slots }) => slots.length > 0);
    const marginOf = ({ diskIds, k }: VolumeRecord): number => diskIds.filter((id) => this.#disks.has(id)).length - k;
    const isHomeless = ({ slots }: { slots: readonly { reason: string }[] }): boolean =>
      slots.some(({ reason }) => reason === 'homeless');
    needed.sort((a, b) => {
      return Number(isHomeless(b)) - Number(isHomeless(a)) || marginOf(a.volume) - marginOf(b.volume);
    });
    for (const { volume, slots } of needed) {
      const members = [...volume.diskIds];
      for (const { slot, reason } of slots) {
        const target = this.#targetFor(members, slot, volume.lengthBytes);
        if (target === undefined) this.stuckCount++;
        else this.#plan(volume, members, slot, target, reason);
      }
    }
  }

  #slotsToLeave({ diskIds }: VolumeRecord): SlotToLeave[] {
    return diskIds.flatMap((diskId, slot): SlotToLeave[] => {
      const disk = this.#disks.get(diskId);
      if (disk === undefined) return [{ slot, reason: 'homeless' }];
      return disk.isDraining ? [{ slot, reason: 'draining' }] : [];
    });
  }

  #plan(volume: VolumeRecord, members: string[], slot: number, toDiskId: string, reason: ShardMove['reason']): void {
    const fromDiskId = members[slot] ?? '';
    const { volumeId, lengthBytes: sizeBytes } = volume;
    this.moves.push({ volumeId, shardIndex: slot, fromDiskId, toDiskId, sizeBytes, reason });
    members[slot] = toDiskId;
    this.#roomBytes.set(toDiskId, (this.#roomBytes.get(toDiskId) ?? 0) - sizeBytes);
    const room = this.#roomBytes.get(fromDiskId);
    if (room !== undefined) this.#roomBytes.set(fromDiskId, room + sizeBytes);
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
    const members = new Map(this.#volumes.map(({ volumeId, diskIds }) => [volumeId, [...diskIds]]));
    const usedBytes = new Map(this.#options.disks.map(({ id }) => [id, 0]));
    for (const { diskIds, lengthBytes } of this.#volumes) {
      for (const id of diskIds) usedBytes.set(id, (usedBytes.get(id) ?? 0) + lengthBytes);
    }
    const fractionOf = (id: string): number => {
      const used = usedBytes.get(id) ?? 0;
      const capacity = used + (this.#roomBytes.get(id) ?? 0);
      return capacity <= 0 ? 1 : used / capacity;
    };
    while (this.moves.length < BALANCE_LIMIT) {
      const move = this.#bestBalanceMove(members, fractionOf);
      if (move === undefined) return;
      const { volume, slot, toDiskId } = move;
      const current = members.get(volume.volumeId) ?? [];
      const fromDiskId = current[slot] ?? '';
      this.#plan(volume, current, slot, toDiskId, 'balance');
      usedBytes.set(fromDiskId, (usedBytes.get(fromDiskId) ?? 0) - volume.lengthBytes);
      usedBytes.set(toDiskId, (usedBytes.get(toDiskId) ?? 0) + volume.lengthBytes);
    }
  }

  /** From the fullest to the emptiest, if that gains enough and does not overshoot. */
  #bestBalanceMove(
    members: ReadonlyMap<number, readonly string[]>,
    fractionOf: (id: string) => number,
  ): { volume: VolumeRecord; slot: number; toDiskId: string } | undefined {
    const { disks, balanceThreshold } = this.#options;
    const byUse = [...disks].sort((a, b) => fractionOf(b.id) - fractionOf(a.id));
    const planned = new Set(this.moves.map(({ volumeId }) => volumeId));
    for (const isInside of [true, false]) {
      const leastGain = isInside ? balanceThreshold : balanceThreshold * OUTSIDE_GROUPS_FACTOR;
      for (const from of byUse) {
        // What cannot be read is not evened out, and nobody knows how full its disk is.
        if (!from.isOnline) continue;
        for (const to of byUse.toReversed()) {
          const gain = fractionOf(from.id) - fractionOf(to.id);
          if (gain <= leastGain) break;
          if (!to.acceptsData) continue;
          const volume = this.#volumes.find((candidate) => {
            const current = members.get(candidate.volumeId) ?? [];
            const slot = current.indexOf(from.id);
            if (slot === -1 || current.includes(to.id) || planned.has(candidate.volumeId)) return false;
            if (isInside && !this.#isInGroup(current, slot, to.id)) return false;
            return this.#improves(candidate.lengthBytes, from.id, to.id, gain);
          });
          if (volume === undefined) continue;
          return { volume, slot: (members.get(volume.volumeId) ?? []).indexOf(from.id), toDiskId: to.id };
        }
      }
    }
    return undefined;
  }

  #improves(sizeBytes: number, fromId: string, toId: string, gain: number): boolean {
    const room = this.#roomBytes.get(toId) ?? 0;
    if (room <= sizeBytes) return false;
    // Of what is free, because that is known: a shard so large that it would turn the difference round is left.
    return sizeBytes / room < gain && fromId !== toId;
  }
}
