import { expect, test } from 'vitest';
import type { FaultEffect } from '../../../../src/disk/fault-disk-fs.ts';
import { FaultDiskFs } from '../../../../src/disk/fault-disk-fs.ts';
import type { DiskJournal } from '../../../../src/metadata-store/journal/disk-journal.ts';
import {
  journalCluster,
  journalOf,
  levelDiskIds,
  payloadsOf,
  startedJournal,
  until,
} from '../../../support/journal-cluster.ts';
import { ManualClock } from '../../../support/simulated-clock.ts';
import type { SimulatedCluster } from '../../../support/simulated-cluster.ts';

const SLOW: FaultEffect = { kind: 'delay', delayMs: 100 };
const HUNG: FaultEffect = { kind: 'hang' };

interface World {
  cluster: SimulatedCluster;
  faults: FaultDiskFs[];
  payloads: string[];
  /** Starts a journal on what is there. */
  start: () => Promise<{ journal: DiskJournal; tookMs: number }>;
  hurt: (indexes: readonly number[], effect: FaultEffect) => void;
}

/** A journal of many segments on each disk. */
async function world(code: { k: number; m: number }): Promise<World> {
  const clock = new ManualClock();
  const faults: FaultDiskFs[] = [];
  const cluster = await journalCluster(code, { clock, wrap: (fs, i) => (faults[i] = new FaultDiskFs(fs, clock)) });
  const journal = await startedJournal(cluster);
  const payloads = Array.from({ length: 120 }, (_, i) => `batch ${i} ${'x'.repeat(9000)}`);
  for (const payload of payloads) await journal.append(Buffer.from(payload));
  cluster.restart();
  return {
    cluster,
    faults,
    payloads,
    start: async () => {
      const beganMs = clock.monotonicMs();
      const next = journalOf(cluster);
      const state = { isDone: false };
      const starting = next.start(() => {}).finally(() => (state.isDone = true));
      starting.catch(() => undefined);
      for (let turn = 0; !state.isDone && turn < 1000; turn++) await clock.advance(100);
      await starting;
      return { journal: next, tookMs: clock.monotonicMs() - beganMs };
    },
    hurt: (indexes, effect) => {
      for (const index of indexes) faults[index]!.addFault({ operation: 'any', times: Infinity, effect });
    },
  };
}

test.each([
  ['takes 100 ms for each call', SLOW],
  ['hangs', HUNG],
])('a start goes on without a disk that %s, and levels it later', async (_, effect) => {
  const { cluster, faults, payloads, start, hurt } = await world({ k: 4, m: 2 });
  hurt([0], effect);
  const { journal, tookMs } = await start();
  expect(tookMs).toBeLessThan(4000);
  expect(await payloadsOf(journal)).toEqual(payloads);
  expect(levelDiskIds(journal)).not.toContain(cluster.diskIds[0]);
  expect(journal.status()[0]).toMatchObject({ wasBehindAtStart: true });
  expect(cluster.diskSet.disks[0]!.state).toBe('returning');
  await journal.append(Buffer.from('without it'));
  faults[0]!.clearFaults();
  faults[0]!.releaseHung();
  await until(cluster, () => levelDiskIds(journal).length === 6, 'all disks are level');
  cluster.restart();
  cluster.detach([1, 2]);
  expect(await payloadsOf(await startedJournal(cluster))).toEqual([...payloads, 'without it']);
});

test('a slow disk is waited for where the others are no quorum', async () => {
  const { cluster, payloads, start, hurt } = await world({ k: 2, m: 1 });
  cluster.detach([1]);
  hurt([0], SLOW);
  const { journal, tookMs } = await start();
  expect(tookMs).toBeGreaterThan(4000);
  expect(journal.isWritable).toBe(true);
  expect(await payloadsOf(journal)).toEqual(payloads);
});

test('what only a slow disk knows is void once an epoch was opened without it', async () => {
  const { cluster, faults, payloads, start, hurt } = await world({ k: 2, m: 1 });
  let journal = await startedJournal(cluster);
  for (const index of [1, 2]) faults[index]!.addFault({ operation: 'write', effect: { kind: 'error', errno: 'EIO' } });
  await expect(journal.append(Buffer.from('on one disk'))).rejects.toMatchObject({ code: 'Undecided' });
  cluster.restart();
  hurt([0], HUNG);
  ({ journal } = await start());
  expect(await payloadsOf(journal)).toEqual(payloads);
  faults[0]!.clearFaults();
  faults[0]!.releaseHung();
  await until(cluster, () => levelDiskIds(journal).length === 3, 'all disks are level');
  cluster.restart();
  cluster.detach([2]);
  expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
});

test('a disk that lacks much is levelled in the background when the others are enough', async () => {
  const { cluster, start, hurt } = await world({ k: 4, m: 2 });
  let journal = await startedJournal(cluster);
  cluster.detach([3]);
  for (let i = 0; i < 100; i++) await journal.append(Buffer.from(`missed ${i}`));
  cluster.attach([3]);
  cluster.restart();
  hurt([3], { kind: 'delay', delayMs: 20 });
  const started = await start();
  journal = started.journal;
  expect(started.tookMs).toBeLessThan(3000);
  expect(levelDiskIds(journal)).not.toContain(cluster.diskIds[3]);
  await until(cluster, () => levelDiskIds(journal).length === 6, 'all disks are level');
});
