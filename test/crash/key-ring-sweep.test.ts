import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { DiskKeyRingCopies, KEY_RING_FILE, newestKeyRingCopy } from '../../src/composition/key-ring-copies.ts';
import { type Fault, FaultDiskFs } from '../../src/disk/fault-disk-fs.ts';
import type { CrashMode } from '../../src/disk/simulated-node.ts';
import { KEY_RING_ADDRESS, KeyRing } from '../../src/keys/key-ring.ts';
import { SqliteMetadataStore } from '../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { silentLog } from '../../src/observability/log.ts';
import { TEST_MASTER_KEY } from '../support/encryption-fixture.ts';
import { journalCluster, journalOf } from '../support/journal-cluster.ts';
import { settle } from '../support/simulated-clock.ts';
import type { SimulatedCluster } from '../support/simulated-cluster.ts';
import { SeededRandomness } from '../support/simulated-randomness.ts';

/**
 * The key ring is made, extended and rotated, and stopped or disturbed at the Nth call of that to the disks:
 * `KEY_RING_SWEEP_STEP=1` visits every one, by default some are.
 */
const STEP = Number(process.env['KEY_RING_SWEEP_STEP'] ?? 17);
const CODE = { k: 2, m: 1 };

const folder = mkdtempSync(join(tmpdir(), 'holdfast-key-ring-sweep-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface World {
  cluster: SimulatedCluster;
  faults: FaultDiskFs[];
  stores: SqliteMetadataStore[];
  /** Keys that were handed out to seal with, as `name version` → material in hex. */
  used: Map<string, string>;
}

interface Opened {
  ring: KeyRing;
  copies: DiskKeyRingCopies;
  store: SqliteMetadataStore;
}

let indexes = 0;

async function begin(seed: number): Promise<World> {
  const faults: FaultDiskFs[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };
  const wrap = (fs: ConstructorParameters<typeof FaultDiskFs>[0], index: number): FaultDiskFs =>
    (faults[index] = new FaultDiskFs(fs, clock));
  return { cluster: await journalCluster(CODE, { seed, wrap }), faults, stores: [], used: new Map() };
}

async function open(world: World): Promise<Opened> {
  const { cluster } = world;
  const randomness = new SeededRandomness(++indexes);
  const { clock, diskSet: disks } = cluster;
  const store = new SqliteMetadataStore({
    journal: journalOf(cluster),
    indexPath: join(folder, `index-${indexes}.sqlite`),
    clock,
    randomness,
    log: silentLog,
    undecidedAnswerMs: 100,
  });
  world.stores.push(store);
  await store.start(() => {});
  const copies = new DiskKeyRingCopies({ disks, leastCount: () => CODE.m + 1, log: silentLog });
  const { clusterId } = disks;
  const ring = new KeyRing({ store, copies, clusterId, masterKey: TEST_MASTER_KEY, clock, randomness });
  await ring.open();
  return { ring, copies, store };
}

/** Two rotations between uses, and a named key. */
async function work({ used }: World, { ring }: Opened): Promise<void> {
  const use = async (): Promise<void> => {
    const { version, material } = await ring.serverKey();
    used.set(`sse-s3 ${version}`, material.toString('hex'));
  };
  await use();
  await ring.rotate('sse-s3');
  await use();
  await ring.create('named');
  await ring.readyToSeal();
  used.set('named 1', ring.key('named')!.versions[0]!.material.toString('hex'));
  await ring.rotate('sse-s3');
  await use();
}

function keysOf(ring: KeyRing, used: ReadonlyMap<string, string>): Map<string, string> {
  return new Map(
    [...used.keys()].map((id) => {
      const [name = '', version] = id.split(' ');
      const found =
        name === 'sse-s3' ? ring.serverKeyOf(Number(version)) : ring.key(name)?.versions[Number(version) - 1];
      return [id, found?.material.toString('hex') ?? 'lost'];
    }),
  );
}

/** Opens what the copies alone tell: the journals are gone. */
async function ringOfCopies({ cluster }: World): Promise<KeyRing | undefined> {
  const present = cluster.diskSet.disks.filter(({ state }) => state === 'online');
  const copy = await newestKeyRingCopy(present, cluster.diskSet.clusterId);
  if (copy === undefined) return undefined;
  const ring = new KeyRing({
    store: {
      getDocument: async (address) => (address === KEY_RING_ADDRESS ? copy.body : undefined),
      commit: () => Promise.reject(new Error('nothing is changed')),
      formatVersion: () => 2,
    },
    copies: { store: async () => {} },
    clusterId: cluster.diskSet.clusterId,
    masterKey: TEST_MASTER_KEY,
    clock: cluster.clock,
    randomness: cluster.random,
  });
  await ring.open();
  expect(ring.problem).toBeUndefined();
  return ring;
}

/** With any one disk away: every key that may have sealed something is in the journal, and in the copies alone. */
async function check(world: World, what: string): Promise<void> {
  const { cluster, faults, used } = world;
  for (const fault of faults) fault.clearFaults();
  for (const absent of [0, 1, 2]) {
    cluster.detach([absent]);
    const copied = await ringOfCopies(world);
    if (used.size > 0) expect(copied && keysOf(copied, used), `${what}, copies without disk ${absent}`).toEqual(used);
    cluster.attach([absent]);
    cluster.diskSet.setState(cluster.diskIds[absent]!, 'online', 'as it was');
  }
  cluster.detach([indexes % 3]);
  const { ring, copies } = await open(world);
  expect(keysOf(ring, used), what).toEqual(used);
  // What seals from here on is in the copies, whatever the crash has left of them.
  const { version, material } = await ring.serverKey();
  used.set(`sse-s3 ${version}`, material.toString('hex'));
  expect(keysOf((await ringOfCopies(world))!, used), what).toEqual(used);
  await end(world, copies);
}

async function end({ stores, cluster }: World, copies: DiskKeyRingCopies): Promise<void> {
  const stopping = Promise.allSettled([...stores.map((store) => store.stop()), copies.stop()]);
  const state = { isDone: false };
  void stopping.then(() => (state.isDone = true));
  while (!state.isDone) {
    await settle();
    await cluster.clock.advance(100);
  }
}

async function crashAt(nth: number, mode: CrashMode): Promise<boolean> {
  const world = await begin(nth);
  const opened = await open(world);
  let calls = 0;
  let crashed = (): void => {};
  const hasCrashed = new Promise<string>((resolve) => (crashed = () => resolve('crashed')));
  const action = (): void => {
    if (++calls !== nth) return;
    // What is handed out after this moment is handed out to nobody.
    world.used = new Map(world.used);
    world.cluster.crash(mode);
    crashed();
  };
  const crash: Fault = { operation: 'mutation', times: 1e9, effect: { kind: 'do', action } };
  for (const fault of world.faults) fault.addFault(crash);
  const before = { ...world };
  const working = work(before, opened).then(
    () => 'done',
    () => 'failed',
  );
  const outcome = await Promise.race([hasCrashed, working]);
  if (outcome !== 'crashed') {
    expect(outcome).toBe('done');
    expect(world.used.size).toBe(4);
    await end(world, opened.copies);
    return false;
  }
  await check(world, `crash (${mode}) at call ${nth}`);
  return true;
}

test.each([
  ['drop-all', 1],
  ['random', 3],
  ['keep-all', 5],
] as const)(
  'sec_key_rotation_crash_sweep: after a crash (%s) at the Nth changing call, no key that has sealed is lost, in journals or in copies',
  { timeout: 120_000 },
  async (mode, first) => {
    let nth = first;
    while (await crashAt(nth, mode)) nth += STEP;
    expect(nth).toBeGreaterThan(40);
  },
);

test.each([false, true])(
  'an error (done all the same: %s) at the Nth call to one disk loses no key',
  { timeout: 120_000 },
  async (isDone) => {
    for (let nth = isDone ? 2 : 1; ; nth += STEP) {
      const world = await begin(nth);
      const opened = await open(world);
      const [fault] = world.faults;
      fault!.addFault({ operation: 'any', nth, effect: { kind: 'error', errno: 'EIO', isDone } });
      await work(world, opened);
      const hasStruck = fault!.struckCount > 0;
      expect(world.used.size).toBe(4);
      world.cluster.crash('random');
      await check(world, `EIO at call ${nth}`);
      if (!hasStruck) break;
    }
  },
);

test('a key seals nothing while its copies are on too few disks, and the next use tries again', async () => {
  const world = await begin(1);
  const { ring, copies } = await open(world);
  for (const index of [0, 1]) {
    const effect = { kind: 'error', errno: 'EIO' } as const;
    world.faults[index]!.addFault({ operation: 'createDurable', path: /key-ring/, times: 1e9, effect });
  }
  await expect(ring.serverKey()).rejects.toMatchObject({ code: 'QuorumLost' });
  await expect(ring.serverKey()).rejects.toMatchObject({ code: 'QuorumLost' });
  for (const fault of world.faults) fault.clearFaults();
  expect((await ring.serverKey()).version).toBe(1);
  await end(world, copies);
});

test('a disk that was away gets the copy when it is back; a newer copy, of before a recovery, is kept aside', async () => {
  const world = await begin(1);
  const { cluster } = world;
  const { ring, copies } = await open(world);
  cluster.detach([2]);
  await ring.serverKey();
  expect(cluster.disks[2]!.filePaths()).not.toContain(KEY_RING_FILE);
  cluster.attach([2]);
  await copies.stop();
  const contentOf = (index: number): Buffer => cluster.disks[index]!.peek(KEY_RING_FILE);
  expect(contentOf(2).equals(contentOf(0))).toBe(true);
  // A ring that begins anew where a disk remembers a later one.
  const later = Buffer.from(contentOf(0));
  const fresh = new DiskKeyRingCopies({ disks: cluster.diskSet, leastCount: () => 2, log: silentLog });
  await fresh.store({ revision: 1, body: Buffer.from('{"another":1}') });
  await fresh.stop();
  const kept = cluster.disks[0]!.filePaths().find((path) => path.startsWith(`${KEY_RING_FILE}.before-recovery-`));
  expect(cluster.disks[0]!.peek(kept ?? 'none').equals(later)).toBe(true);
  expect((await newestKeyRingCopy(cluster.diskSet.disks, cluster.diskSet.clusterId))!.body.toString()).toBe(
    '{"another":1}',
  );
  await end(world, copies);
});

test('damaged copies and copies of another cluster are passed over', async () => {
  const world = await begin(1);
  const { cluster } = world;
  const { ring, copies } = await open(world);
  await ring.serverKey();
  const { clusterId, disks } = cluster.diskSet;
  for (const at of [0, 40, 300]) cluster.disks[0]!.corrupt(KEY_RING_FILE, at);
  expect(await newestKeyRingCopy(disks.slice(0, 1), clusterId)).toBeUndefined();
  expect((await newestKeyRingCopy(disks, clusterId))!.revision).toBe(1);
  expect(await newestKeyRingCopy(disks, '00000000-0000-4000-8000-000000000000')).toBeUndefined();
  await end(world, copies);
});
