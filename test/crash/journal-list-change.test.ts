import { describe, expect, it } from 'vitest';
import { FaultDiskFs } from '../../src/disk/fault-disk-fs.ts';
import { isStoreError } from '../../src/errors/store-error.ts';
import type { DiskJournal } from '../../src/metadata-store/journal/disk-journal.ts';
import { formatDisk, levelDiskIds, payloadsOf, startedJournal, until } from '../support/journal-cluster.ts';
import { settle } from '../support/simulated-clock.ts';
import { SimulatedCluster } from '../support/simulated-cluster.ts';

/** Disks 0, 1 and 2 are the cluster; 3 and 4 are blank and may take a place in it. */
const CODE = { k: 2, m: 1 };

interface Change {
  /** Indexes of disks after it. */
  next: readonly number[];
  k: number;
  m: number;
  /** Away while it is made, and put back as they were, stale, afterwards. */
  lost: readonly number[];
}

const CHANGES: Record<string, Change> = {
  'a lost disk is replaced': { next: [0, 1, 3], k: 2, m: 1, lost: [2] },
  'a present disk is replaced': { next: [0, 1, 3], k: 2, m: 1, lost: [] },
  'a disk is added': { next: [0, 1, 2, 3], k: 2, m: 1, lost: [] },
  'a disk is removed': { next: [0, 2], k: 1, m: 1, lost: [] },
  'm grows': { next: [0, 1, 2, 3, 4], k: 3, m: 2, lost: [] },
};

const FEW = [
  [0, 2],
  [0, 1],
  [1, 2],
  [2, 3],
];

async function blankAndCluster(seed: number): Promise<{ cluster: SimulatedCluster; faults: FaultDiskFs[] }> {
  const faults: FaultDiskFs[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };
  const wrap = (fs: ConstructorParameters<typeof FaultDiskFs>[0], index: number): FaultDiskFs =>
    (faults[index] = new FaultDiskFs(fs, clock));
  const cluster = new SimulatedCluster({ diskCount: 5, seed, wrap });
  const { clusterId } = cluster.diskSet;
  for (const disk of cluster.diskSet.disks.slice(0, 3)) {
    await formatDisk(disk.fs, { clusterId, diskId: disk.id, diskIds: cluster.diskIds.slice(0, 3), code: CODE });
  }
  return { cluster, faults };
}

interface Outcome {
  acknowledged: string[];
  invoked: string[];
  isChanged: boolean;
  isOver: boolean;
}

async function append(journal: DiskJournal, outcome: Outcome, payload: string): Promise<void> {
  if (outcome.isOver) return;
  outcome.invoked.push(payload);
  await journal.append(Buffer.from(payload));
  if (!outcome.isOver) outcome.acknowledged.push(payload);
}

async function history(cluster: SimulatedCluster, change: Change, outcome: Outcome): Promise<void> {
  const journal = await startedJournal(cluster);
  for (let i = 0; i < 3; i++) await append(journal, outcome, `before ${i}`);
  if (outcome.isOver) return; // the disks belong to the next process
  cluster.detach(change.lost);
  for (let i = 0; i < 2; i++) await append(journal, outcome, `without ${i} ${'x'.repeat(9000)}`);
  const ids = change.next.map((index) => cluster.diskIds[index]!);
  const work = journal.changeConfiguration({ k: change.k, m: change.m, diskIds: ids, journalDiskIds: ids });
  work.catch(() => undefined);
  await append(journal, outcome, 'meanwhile');
  await work;
  if (!outcome.isOver) outcome.isChanged = true;
  await append(journal, outcome, 'after');
  await journal.stop();
}

/** Starts on these disks only. `undefined`: refused. */
async function startOn(cluster: SimulatedCluster, indexes: readonly number[]): Promise<DiskJournal | undefined> {
  cluster.attach([0, 1, 2, 3, 4]);
  cluster.detach([0, 1, 2, 3, 4].filter((index) => !indexes.includes(index)));
  cluster.restart();
  return startedJournal(cluster).catch((error: unknown) => {
    if (!isStoreError(error, 'QuorumLost')) throw error;
    return undefined;
  });
}

function expectAll(shown: readonly string[], outcome: Outcome, what: string): void {
  expect(outcome.invoked.slice(0, shown.length), what).toEqual(shown);
  expect(shown.length, what).toBeGreaterThanOrEqual(outcome.acknowledged.length);
}

function* subsets(): Generator<number[]> {
  for (let mask = 1; mask < 32; mask++) yield [0, 1, 2, 3, 4].filter((index) => (mask & (1 << index)) !== 0);
}

describe('changing the disk list', () => {
  it.each(Object.keys(CHANGES))(
    'when %s: a crash at any call leaves the old rule, both, or the new one, and loses nothing',
    async (name) => {
      const change = CHANGES[name]!;
      let crashes = 0;
      for (let nth = 12; ; nth += 3) {
        const { cluster, faults } = await blankAndCluster(nth);
        const outcome: Outcome = { acknowledged: [], invoked: [], isChanged: false, isOver: false };
        let calls = 0;
        let end: () => void = () => {};
        const hasCrashed = new Promise<void>((resolve) => (end = resolve));
        const action = (): void => {
          if (++calls !== nth) return;
          outcome.isOver = true;
          cluster.crash(nth % 2 === 0 ? 'keep-all' : 'random');
          end();
        };
        for (const fault of faults)
          fault.addFault({ operation: 'mutation', times: 1e9, effect: { kind: 'do', action } });
        const run = history(cluster, change, outcome);
        run.catch(() => undefined);
        await Promise.race([hasCrashed, run]);
        if (!outcome.isOver) break;
        crashes++;
        const frozen = { ...outcome, acknowledged: [...outcome.acknowledged], invoked: [...outcome.invoked] };
        const what = `crash at call ${nth}`;
        // A few disks: refused, or it shows everything. Then all, one away that both lists allow, and all again.
        const few = FEW[nth % FEW.length]!;
        for (const indexes of [few, [0, 1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 2, 3, 4]]) {
          const journal = await startOn(cluster, indexes);
          if (journal === undefined) {
            expect(indexes.length, what).toBeLessThan(5);
            continue;
          }
          const pending: string[] = [];
          for await (const { payload } of journal.pendingFrames()) pending.push(payload.toString());
          expectAll([...(await payloadsOf(journal)), ...pending], frozen, `${what} on ${indexes.join('')}`);
          if (!journal.isWritable) {
            await journal.stop();
            continue;
          }
          const members = journal.configuration!.journalDiskIds;
          await until(
            cluster,
            () =>
              members.every(
                (id) => !indexes.includes(cluster.diskIds.indexOf(id)) || levelDiskIds(journal).includes(id),
              ),
            what,
          );
          await journal.stop();
        }
      }
      expect(crashes).toBeGreaterThan(10);
    },
    60_000,
  );

  it('is not acknowledged by the new list alone: the old one must agree too', async () => {
    const { cluster, faults } = await blankAndCluster(1);
    const journal = await startedJournal(cluster);
    await journal.append(Buffer.from('a'));
    cluster.detach([2]);
    const ids = [0, 1, 3].map((index) => cluster.diskIds[index]!);
    // Disk 0 hangs at the configuration frame: 1 and 3 are enough of the new list, 1 alone is not of the old one.
    faults[3]!.addFault({
      operation: 'publish',
      path: /state$/,
      effect: {
        kind: 'do',
        action: () => faults[0]!.addFault({ operation: 'write', path: /\.seg$/, times: 1e9, effect: { kind: 'hang' } }),
      },
    });
    let outcome = 'pending';
    journal.changeConfiguration({ k: 2, m: 1, diskIds: ids, journalDiskIds: ids }).then(
      () => (outcome = 'changed'),
      () => (outcome = 'failed'),
    );
    await until(cluster, () => faults[0]!.struckCount > 0, 'the configuration is on its way');
    for (let i = 0; i < 5; i++) await settle();
    expect(outcome).toBe('pending');
    faults[0]!.clearFaults();
    faults[0]!.releaseHung();
    await until(cluster, () => outcome === 'changed', 'both agree');
  });

  it.each(Object.keys(CHANGES))(
    'when %s: afterwards only the new list decides, on every subset of disks, and a stale old disk never counts',
    async (name) => {
      const change = CHANGES[name]!;
      for (const indexes of subsets()) {
        const { cluster } = await blankAndCluster(1);
        const outcome: Outcome = { acknowledged: [], invoked: [], isChanged: false, isOver: false };
        await history(cluster, change, outcome);
        const counted = indexes.filter((index) => change.next.includes(index)).length;
        const journal = await startOn(cluster, indexes);
        const what = `on ${indexes.join('')}`;
        if (counted < change.next.length - change.m) expect(journal, what).toBeUndefined();
        else {
          expect(journal!.configuration!.journalDiskIds, what).toEqual(
            change.next.map((index) => cluster.diskIds[index]),
          );
          expect(await payloadsOf(journal!), what).toEqual(
            journal!.isWritable ? outcome.acknowledged : outcome.acknowledged.slice(0, -1),
          );
          expect(
            levelDiskIds(journal!).every((id) => change.next.includes(cluster.diskIds.indexOf(id))),
            what,
          ).toBe(true);
        }
      }
    },
    60_000,
  );
});
