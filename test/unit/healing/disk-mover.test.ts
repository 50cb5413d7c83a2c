import { expect, test } from 'vitest';
import { StoreError } from '../../../src/errors/store-error.ts';
import { DiskMover, type DiskMoverOptions } from '../../../src/healing/disk-mover.ts';
import type { VolumeRecord } from '../../../src/model/blob.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const SIZE = 1024 * 1024;

/** Five disks with two volumes on the first four; moving takes a second. */
function world(options: Partial<DiskMoverOptions> = {}) {
  const clock = new ManualClock();
  const draining = new Set<string>();
  let listed = ['a', 'b', 'c', 'd', 'e'];
  const volumes = new Map<number, VolumeRecord>();
  for (const volumeId of [1, 2]) {
    const diskIds = ['a', 'b', 'c', 'd'];
    const sizes = { shardSizeBytes: 4096, lengthBytes: SIZE, liveBytes: 1, storedBytes: 1 };
    volumes.set(volumeId, {
      volumeId,
      k: 2,
      m: 2,
      diskIds,
      purpose: 'large',
      state: 'sealed',
      undroppedDiskIds: [],
      ...sizes,
    });
  }
  const failures: StoreError[] = [];
  const drained: string[] = [];
  /** How many shards were asked for at once. */
  const calls: number[] = [];
  const mover = new DiskMover({
    mover: {
      moveShards: async (volumeId, moves) => {
        calls.push(moves.length);
        await new Promise<void>((resolve) => clock.schedule(1000, resolve));
        return moves.map((move) => {
          const failure = failures.shift();
          if (failure !== undefined) return { ...move, movedBytes: 0, failure };
          const record = volumes.get(volumeId)!;
          volumes.set(volumeId, { ...record, diskIds: record.diskIds.with(move.shardIndex, move.toDiskId) });
          return { ...move, movedBytes: SIZE, failure };
        });
      },
    },
    metadataStore: {
      volumeChanges: async () => ({
        version: 1,
        isWhole: true,
        volumes: [...volumes.values()],
        forgottenVolumeIds: [],
      }),
    },
    disks: () =>
      listed.map((id) => ({
        id,
        acceptsData: !draining.has(id),
        isDraining: draining.has(id),
        isOnline: true,
        roomBytes: 1000 * SIZE,
      })),
    groupsOf: () => [],
    onDrained: async (diskId) => void drained.push(diskId),
    clock,
    log: silentLog,
    balanceRateBytesPerSecond: SIZE,
    ...options,
  });
  const on = (diskId: string): number => [...volumes.values()].filter(({ diskIds }) => diskIds.includes(diskId)).length;
  return { clock, draining, volumes, failures, drained, mover, calls, on, relist: (ids: string[]) => (listed = ids) };
}

test('a draining disk is emptied, with rate and time left, and said to be drained once', async () => {
  const { clock, draining, drained, mover, on } = world();
  draining.add('b');
  mover.start();
  await clock.advance(3500);
  expect([on('b'), mover.report().leftShardCount]).toEqual([1, 1]);
  expect(mover.report()).toMatchObject({ isRunning: true, isBalancing: false, movedShardCount: 1, leftBytes: SIZE });
  expect(mover.report().rateBytesPerSecond).toBeGreaterThan(SIZE / 2);
  expect(mover.report().timeLeftMs).toBeGreaterThan(500);
  await clock.advance(10_000);
  expect([on('b'), on('e'), drained]).toEqual([0, 2, ['b']]);
  expect(mover.report()).toMatchObject({ isRunning: false, leftShardCount: 0, timeLeftMs: undefined });
  await mover.stop();
});

test('a drained disk whose removal is refused holds up no shard of another, and is asked again', async () => {
  let refusal: StoreError | undefined = new StoreError('FormatRefused', 'too few others');
  const told: string[] = [];
  const { clock, draining, mover, on, relist } = world({
    onDrained: async (diskId) => {
      if (refusal !== undefined) throw refusal;
      told.push(diskId);
    },
  });
  draining.add('f');
  relist(['f', 'a', 'b', 'c', 'e']);
  mover.start();
  await clock.advance(10_000);
  expect([on('d'), on('e'), told]).toEqual([0, 2, []]);
  expect(mover.report().lastError).toBe('too few others');
  refusal = undefined;
  await clock.advance(5000);
  expect([told, mover.report().lastError]).toEqual([['f'], undefined]);
  await mover.stop();
});

test('shards of a disk that left the list are rebuilt on another', async () => {
  const { clock, mover, on, relist } = world();
  relist(['a', 'b', 'c', 'e']);
  mover.start();
  await clock.advance(10_000);
  expect([on('d'), on('e')]).toEqual([0, 2]);
  await mover.stop();
});

test('a move that fails is tried again later and holds up no other', async () => {
  const { clock, draining, failures, mover, on } = world();
  draining.add('a');
  failures.push(new StoreError('TooFewShards', 'not now'));
  mover.start();
  await clock.advance(4500);
  expect([on('a'), on('e')]).toEqual([1, 1]);
  expect(mover.report().lastError).toBeUndefined();
  await clock.advance(10_000);
  expect([on('a'), on('e')]).toEqual([0, 2]);
  await mover.stop();
});

test('without room nothing moves, and the report says how many are stuck', async () => {
  const { clock, draining, mover } = world();
  draining.add('a');
  draining.add('e');
  mover.start();
  await clock.advance(5000);
  expect(mover.report()).toMatchObject({ isRunning: false, stuckShardCount: 2 });
  await mover.stop();
});

test('evening out use keeps to its rate', async () => {
  const { clock, mover, on } = world({ balanceRateBytesPerSecond: SIZE / 30, balanceThreshold: 0.0001 });
  mover.start();
  await clock.advance(20_000);
  expect(on('e')).toBe(1);
  expect(mover.report().isBalancing).toBe(true);
  await mover.stop();
});

test('what several disks held of one volume is moved together, and one that fails holds up no other', async () => {
  const { clock, failures, mover, calls, on, relist } = world();
  relist(['a', 'b', 'e', 'f']);
  failures.push(new StoreError('DiskFull', 'not now'));
  mover.start();
  await clock.advance(4500);
  expect(calls).toEqual([2, 2]);
  expect(on('e') + on('f')).toBe(3);
  await clock.advance(10_000);
  expect(calls).toEqual([2, 2, 1]);
  expect([on('e'), on('f'), mover.report().movedShardCount]).toEqual([2, 2, 4]);
  await mover.stop();
});
