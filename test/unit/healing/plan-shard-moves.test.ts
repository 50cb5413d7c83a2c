import { describe, expect, test } from 'vitest';
import { placementGroups } from '../../../src/data-store/placement.ts';
import { PlacedVolumes } from '../../../src/healing/placed-volumes.ts';
import { type MovableDisk, planShardMoves, type ShardMove } from '../../../src/healing/plan-shard-moves.ts';
import type { VolumeRecord } from '../../../src/model/blob.ts';

const MIB = 1024 * 1024;

function volume(volumeId: number, diskIds: readonly string[], change: Partial<VolumeRecord> = {}): VolumeRecord {
  return {
    volumeId,
    k: diskIds.length - 2,
    m: 2,
    diskIds,
    purpose: 'small',
    shardSizeBytes: 4096,
    state: 'sealed',
    lengthBytes: 10 * MIB,
    liveBytes: 10 * MIB,
    storedBytes: 10 * MIB,
    undroppedDiskIds: [],
    ...change,
  };
}

const disk = (id: string, change: Partial<MovableDisk> = {}): MovableDisk => ({
  id,
  acceptsData: change.isDraining !== true,
  isDraining: false,
  isOnline: true,
  roomBytes: 1000 * MIB,
  ...change,
});

function plan(volumes: VolumeRecord[], disks: MovableDisk[]) {
  const staying = disks.filter(({ isDraining }) => !isDraining);
  const groupsOf = (width: number): string[][] =>
    staying.length < width
      ? []
      : placementGroups(staying.length, width).map((group) => group.map((position) => staying[position]!.id));
  return planShardMoves({ volumes: PlacedVolumes.of(volumes), disks, groupsOf, balanceThreshold: 0.05 });
}

const brief = (moves: readonly ShardMove[]): string[] =>
  moves.map(({ volumeId, fromDiskId, toDiskId, reason }) => `${volumeId} ${fromDiskId}>${toDiskId} ${reason}`);

/** Where the volumes lie after the plan; every move must be from where the shard is to where none of its volume is. */
function after(volumes: VolumeRecord[], moves: readonly ShardMove[]): Map<number, string[]> {
  const members = new Map(volumes.map(({ volumeId, diskIds }) => [volumeId, [...diskIds]]));
  for (const move of moves) {
    const current = members.get(move.volumeId)!;
    expect(current[move.shardIndex]).toBe(move.fromDiskId);
    expect(current).not.toContain(move.toDiskId);
    current[move.shardIndex] = move.toDiskId;
  }
  return members;
}

describe('shards that have to move', () => {
  test('of a replaced disk go to the one in its place, the volumes with the least margin first', () => {
    const disks = ['a', 'new', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'].map((id) => disk(id));
    const volumes = [
      volume(1, ['a', 'old', 'c', 'd', 'e', 'f']),
      volume(2, ['a', 'old', 'older', 'd', 'e', 'f']),
      volume(3, ['g', 'h', 'i', 'j', 'k', 'l']),
    ];
    const { moves, stuckCount } = plan(volumes, disks);
    expect(stuckCount).toBe(0);
    expect(brief(moves)[0]).toMatch(/^2 old>/);
    expect(after(volumes, moves).get(1)).toEqual(['a', 'new', 'c', 'd', 'e', 'f']);
    expect(new Set(after(volumes, moves).get(2))).toEqual(new Set(['a', 'new', 'c', 'd', 'e', 'f']));
  });

  test('of lost disks come before those of draining ones', () => {
    const disks = [disk('a', { isDraining: true }), ...['b', 'c', 'd', 'e', 'f'].map((id) => disk(id))];
    const volumes = [volume(1, ['a', 'b', 'c', 'd']), volume(2, ['b', 'gone', 'd', 'e'])];
    const { moves } = plan(volumes, disks);
    expect(moves.map(({ reason }) => reason)).toEqual(['homeless', 'draining']);
    for (const members of after(volumes, moves).values()) {
      expect(members).not.toContain('a');
      expect(members).not.toContain('gone');
      expect(new Set(members).size).toBe(4);
    }
  });

  test('never go to a disk of the same volume, to one that takes nothing, or to one without room; then they are stuck', () => {
    const volumes = [volume(1, ['a', 'b', 'c', 'gone'])];
    const others = ['a', 'b', 'c'].map((id) => disk(id));
    expect(plan(volumes, others)).toMatchObject({ moves: [], stuckCount: 1 });
    expect(plan(volumes, [...others, disk('d', { acceptsData: false })])).toMatchObject({ moves: [], stuckCount: 1 });
    expect(plan(volumes, [...others, disk('d', { roomBytes: 9 * MIB })])).toMatchObject({ moves: [], stuckCount: 1 });
    expect(brief(plan(volumes, [...others, disk('d')]).moves)).toEqual(['1 gone>d homeless']);
  });

  test('leave open, dropped and dead volumes alone', () => {
    const disks = ['a', 'b', 'c', 'd'].map((id) => disk(id));
    const members = ['a', 'b', 'c', 'gone'];
    const volumes = [
      volume(1, members, { state: 'open' }),
      volume(2, members, { state: 'dropped' }),
      volume(3, members, { liveBytes: 0 }),
    ];
    expect(plan(volumes, disks)).toMatchObject({ moves: [], stuckCount: 0 });
  });

  test('spread over several disks by the room that is left', () => {
    const disks = ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => disk(id, { roomBytes: 100 * MIB }));
    const volumes = Array.from({ length: 18 }, (_, n) => volume(n, ['a', 'b', 'c', 'gone']));
    const { moves, stuckCount } = plan(volumes, disks);
    expect(stuckCount).toBe(0);
    expect(new Set(moves.map(({ toDiskId }) => toDiskId)).size).toBeGreaterThan(1);
  });
});

describe('evening out use', () => {
  test('goes on in small steps until the disks are about equally full, within the placement groups, and then ends', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    let volumes = Array.from({ length: 60 }, (_, n) => volume(n, ['a', 'b', 'c', 'd']));
    const room = new Map(ids.map((id) => [id, 'abcd'.includes(id) ? 400 * MIB : 1000 * MIB]));
    const groups = placementGroups(7, 4).map((group) => new Set(group.map((position) => ids[position])));
    for (let round = 0; ; round++) {
      expect(round).toBeLessThan(100);
      const { moves } = plan(
        volumes,
        ids.map((id) => disk(id, { roomBytes: room.get(id)! })),
      );
      if (moves.length === 0) break;
      expect(moves.every(({ reason }) => reason === 'balance')).toBe(true);
      const members = after(volumes, moves);
      for (const { fromDiskId, toDiskId, sizeBytes } of moves) {
        room.set(fromDiskId, room.get(fromDiskId)! + sizeBytes);
        room.set(toDiskId, room.get(toDiskId)! - sizeBytes);
      }
      volumes = volumes.map((one) => ({ ...one, diskIds: members.get(one.volumeId)! }));
    }
    const fractions = ids.map((id) => {
      const used = volumes.filter(({ diskIds }) => diskIds.includes(id)).length * 10 * MIB;
      return used / (used + room.get(id)!);
    });
    expect(Math.max(...fractions) - Math.min(...fractions)).toBeLessThan(0.12);
    for (const { diskIds } of volumes) expect(groups.some((group) => diskIds.every((id) => group.has(id)))).toBe(true);
  });

  test('waits while anything has to move', () => {
    const disks = ['a', 'b', 'c', 'd', 'e', 'f'].map((id) =>
      disk(id, { roomBytes: 'ef'.includes(id) ? 1000 * MIB : 0 }),
    );
    const volumes = [
      ...Array.from({ length: 10 }, (_, n) => volume(n, ['a', 'b', 'c', 'd'])),
      volume(99, ['a', 'b', 'c', 'x']),
    ];
    expect(brief(plan(volumes, disks).moves)).toHaveLength(1);
    expect(plan(volumes.slice(0, 10), disks).moves.length).toBeGreaterThan(1);
  });

  test('does nothing while use is even', () => {
    const disks = ['a', 'b', 'c', 'd', 'e'].map((id) => disk(id));
    expect(plan([volume(1, ['a', 'b', 'c', 'd'])], disks).moves).toEqual([]);
  });
});

describe('with tens of thousands of volumes', () => {
  const ids = Array.from({ length: 12 }, (_, index) => `disk${index}`);
  const groups = placementGroups(12, 6).map((group) => group.map((position) => ids[position]!));

  /** Volumes whose lengths count how often they are looked at. */
  function counted(count: number) {
    const looks = { count: 0 };
    const volumes = Array.from({ length: count }, (_, n) => {
      const one = volume(n, groups[n % groups.length]!);
      return Object.defineProperty({ ...one }, 'lengthBytes', {
        enumerable: true,
        get: () => {
          looks.count++;
          return ((n % 7) + 1) * MIB;
        },
      });
    });
    const placed = PlacedVolumes.of(volumes);
    looks.count = 0;
    return { volumes, placed, looks };
  }

  const plan20k = (placed: PlacedVolumes, disks: MovableDisk[]) =>
    planShardMoves({ volumes: placed, disks, groupsOf: () => groups, balanceThreshold: 0.05 });

  test('a plan to even out looks at a few volumes of each group', () => {
    const { placed, looks } = counted(20_000);
    const disks = ids.map((id, index) => disk(id, { roomBytes: index < 6 ? 100 * MIB : 1_000_000 * MIB }));
    expect(plan20k(placed, disks).moves).toHaveLength(16);
    expect(looks.count).toBeLessThan(10_000);
  });

  test('a plan for a disk that is drained names the next moves and counts the others', () => {
    const { placed } = counted(20_000);
    const disks = ids.map((id) => disk(id, { isDraining: id === 'disk3', roomBytes: 1_000_000 * MIB }));
    const on = groups.filter((group) => group.includes('disk3')).length;
    const { moves, left, stuckCount } = plan20k(placed, disks);
    expect([moves.length, left.count, stuckCount]).toEqual([64, (20_000 / groups.length) * on, 0]);
    expect(left.bytes).toBeGreaterThan(left.count * 3 * MIB);
  });

  test('what failed a moment ago is left for later and holds up no other', () => {
    const volumes = Array.from({ length: 200 }, (_, n) => volume(n, ['a', 'b', 'c', 'gone']));
    const disks = ['a', 'b', 'c', 'd'].map((id) => disk(id, { roomBytes: 1_000_000 * MIB }));
    const { moves, left } = planShardMoves({
      volumes: PlacedVolumes.of(volumes),
      disks,
      groupsOf: () => [],
      balanceThreshold: 0.05,
      isDeferred: (volumeId) => volumeId < 100,
    });
    expect(Math.min(...moves.map(({ volumeId }) => volumeId))).toBe(100);
    expect(left.count).toBe(200);
  });
});
