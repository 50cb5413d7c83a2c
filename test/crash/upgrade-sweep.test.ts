import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type Fault, FaultDiskFs } from '../../src/disk/fault-disk-fs.ts';
import type { CrashMode } from '../../src/disk/simulated-node.ts';
import { isStoreError } from '../../src/errors/store-error.ts';
import { SqliteMetadataStore } from '../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { silentLog } from '../../src/observability/log.ts';
import {
  FormerVersionRefuses,
  readFramesAsFormerVersion,
  readStateAsFormerVersion,
} from '../support/former-version.ts';
import { journalCluster, journalOf } from '../support/journal-cluster.ts';
import { settle } from '../support/simulated-clock.ts';
import type { SimulatedCluster } from '../support/simulated-cluster.ts';
import { SeededRandomness } from '../support/simulated-randomness.ts';

/** A store of format 1 is finalized, and stopped or disturbed at every single call of that to the disks. */
const CODE = { k: 2, m: 1 };
const WRITTEN = ['a', 'b', 'c'];

const folder = mkdtempSync(join(tmpdir(), 'holdfast-upgrade-sweep-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface World {
  cluster: SimulatedCluster;
  faults: FaultDiskFs[];
  stores: SqliteMetadataStore[];
}

let indexes = 0;

async function storeOf(world: World): Promise<SqliteMetadataStore> {
  const { cluster } = world;
  const store = new SqliteMetadataStore({
    journal: journalOf(cluster),
    indexPath: join(folder, `index-${++indexes}.sqlite`),
    clock: cluster.clock,
    randomness: new SeededRandomness(indexes),
    log: silentLog,
    undecidedAnswerMs: 100,
  });
  world.stores.push(store);
  await store.start(() => {});
  return store;
}

const putDocument = (store: SqliteMetadataStore, id: string): Promise<void> =>
  store.commit({ type: 'PutDocument', address: { collection: 'c', id }, body: Buffer.from(id) });

/** With documents in it, as a former version has left it, and a new version that has started on it. */
async function begin(seed: number): Promise<{ world: World; store: SqliteMetadataStore }> {
  const faults: FaultDiskFs[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };
  const wrap = (fs: ConstructorParameters<typeof FaultDiskFs>[0], index: number): FaultDiskFs =>
    (faults[index] = new FaultDiskFs(fs, clock));
  const world = { cluster: await journalCluster(CODE, { seed, wrap, formatVersion: 1 }), faults, stores: [] };
  const store = await storeOf(world);
  for (const id of WRITTEN) await putDocument(store, id);
  return { world, store };
}

async function end({ stores, cluster }: World): Promise<void> {
  const stopping = Promise.allSettled(stores.map((store) => store.stop()));
  const state = { isDone: false };
  void stopping.then(() => (state.isDone = true));
  while (!state.isDone) {
    await settle();
    await cluster.clock.advance(100);
  }
}

/** Would the last version that knows only format 1 take this disk? */
function isFormatOne(cluster: SimulatedCluster, index: number): { byState: boolean; byFrames: boolean } {
  const disk = cluster.disks[index]!;
  const isTaken = (read: () => unknown): boolean => {
    try {
      read();
      return true;
    } catch (error) {
      if (!(error instanceof FormerVersionRefuses)) throw error;
      return false;
    }
  };
  const segments = disk.filePaths().filter((path) => path.endsWith('.seg') && !path.includes('spare'));
  return {
    byState: isTaken(() => readStateAsFormerVersion(disk.peek('journal/state'))),
    byFrames: isTaken(() => readFramesAsFormerVersion(segments.toSorted().map((path) => disk.peek(path)))),
  };
}

/**
 * Where a frame of format 2 lies on any disk, m + 1 states say so: no start that a former version may make without them
 * meets it. Then a new version goes on, from all disks or without one of them.
 */
async function check(world: World, what: string): Promise<void> {
  const { cluster, faults } = world;
  for (const fault of faults) fault.clearFaults();
  const disks = faults.map((_, index) => isFormatOne(cluster, index));
  const told = disks.filter(({ byState }) => !byState).length;
  if (disks.some(({ byFrames }) => !byFrames)) expect(told, what).toBeGreaterThanOrEqual(CODE.m + 1);
  const absent = indexes % 4;
  if (absent < 3) cluster.detach([absent]);
  const isTold = disks.some(({ byState }, index) => !byState && index !== absent);
  const store = await storeOf(world);
  expect(store.formatVersion(), what).toBe(isTold ? 2 : 1);
  await putDocument(store, 'later');
  for (const id of [...WRITTEN, 'later']) {
    expect((await store.getDocument({ collection: 'c', id }))?.toString(), what).toBe(id);
  }
  await store.finalizeUpgrade();
  expect(store.formatVersion(), what).toBe(2);
  await end(world);
}

async function crashAt(nth: number, mode: CrashMode): Promise<boolean> {
  const { world, store } = await begin(nth);
  const { cluster, faults } = world;
  let calls = 0;
  let crashed = (): void => {};
  const hasCrashed = new Promise<string>((resolve) => (crashed = () => resolve('crashed')));
  const action = (): void => {
    if (++calls !== nth) return;
    cluster.crash(mode);
    crashed();
  };
  const crash: Fault = { operation: 'mutation', times: 1e9, effect: { kind: 'do', action } };
  for (const fault of faults) fault.addFault(crash);
  const finalizing = store.finalizeUpgrade().then(
    () => 'finalized',
    () => 'failed',
  );
  const outcome = await Promise.race([hasCrashed, finalizing]);
  if (outcome !== 'crashed') {
    expect(outcome).toBe('finalized');
    await end(world);
    return false;
  }
  await check(world, `crash (${mode}) at call ${nth}`);
  return true;
}

test.each(['keep-all', 'drop-all', 'random'] as const)(
  'a crash (%s) at every changing call of a finalization: a former version opens the store, or a new one ends it',
  async (mode) => {
    let crashes = 0;
    while (await crashAt(crashes + 1, mode)) crashes += 1;
    expect(crashes).toBeGreaterThan(10);
  },
);

test.each([false, true])(
  'an error (done all the same: %s) at every call of a finalization harms nothing',
  async (isDone) => {
    for (let nth = 1; ; nth += 1) {
      const { world, store } = await begin(nth);
      const [fault] = world.faults;
      fault!.addFault({ operation: 'any', nth, effect: { kind: 'error', errno: 'EIO', isDone } });
      await store.finalizeUpgrade();
      const hasStruck = fault!.struckCount > 0;
      expect(store.formatVersion()).toBe(2);
      world.cluster.crash('random');
      await check(world, `EIO at call ${nth}`);
      if (!hasStruck) break;
    }
  },
);

test('with too few disks a finalization is refused, and ended by the first commit when they are back', async () => {
  const { world, store } = await begin(1);
  const { cluster } = world;
  for (const index of [0, 1])
    world.faults[index]!.addFault({
      operation: 'createDurable',
      times: 1e9,
      effect: { kind: 'error', errno: 'ENOSPC' },
    });
  await expect(store.finalizeUpgrade()).rejects.toSatisfy((error) => isStoreError(error, 'QuorumLost'));
  expect(store.formatVersion()).toBe(1);
  for (const fault of world.faults) fault.clearFaults();
  await putDocument(store, 'later');
  for (let turn = 0; store.formatVersion() === 1 && turn < 100; turn += 1) {
    await settle();
    await cluster.clock.advance(10);
  }
  expect(store.formatVersion()).toBe(2);
  await end(world);
});
