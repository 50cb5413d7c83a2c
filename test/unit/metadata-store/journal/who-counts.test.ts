import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FaultDiskFs } from '../../../../src/disk/fault-disk-fs.ts';
import { isStoreError } from '../../../../src/errors/store-error.ts';
import type { DiskJournal } from '../../../../src/metadata-store/journal/disk-journal.ts';
import { journalCluster, levelDiskIds, startedJournal, until } from '../../../support/journal-cluster.ts';
import { settle } from '../../../support/simulated-clock.ts';
import type { SimulatedCluster } from '../../../support/simulated-cluster.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'journal-who-counts-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function faultyCluster(): Promise<{ cluster: SimulatedCluster; faults: FaultDiskFs[] }> {
  const faults: FaultDiskFs[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };
  const cluster = await journalCluster(
    { k: 2, m: 1 },
    { wrap: (fs, index) => (faults[index] = new FaultDiskFs(fs, clock)) },
  );
  return { cluster, faults };
}

describe('a disk that is still joining', () => {
  it('has no vote: it is not level, and a frame that only it could complete is undecided at once', async () => {
    const { cluster, faults } = await faultyCluster();
    const journal = await startedJournal(cluster);
    await journal.append(Buffer.from('a'));
    cluster.detach([2]);
    await journal.append(Buffer.from('b'));
    faults[2]!.addFault({ operation: 'write', path: /\.seg$/, times: 1e9, effect: { kind: 'hang' } });
    cluster.attach([2]);
    await until(cluster, () => faults[2]!.struckCount > 0, 'the joining disk is being written to');
    expect(levelDiskIds(journal)).toEqual([cluster.diskIds[0], cluster.diskIds[1]]);
    faults[1]!.addFault({ operation: 'write', path: /\.seg$/, times: 1e9, effect: { kind: 'hang' } });
    let outcome: unknown = 'pending';
    journal.append(Buffer.from('c')).then(
      () => (outcome = 'acknowledged'),
      (error: unknown) => (outcome = error),
    );
    await until(cluster, () => faults[1]!.struckCount > 0, 'the frame is on its way');
    expect(outcome).toBe('pending');
    cluster.detach([1]);
    for (let i = 0; i < 5; i++) await settle();
    expect(outcome).toMatchObject({ code: 'Undecided' });
  });
});

describe('a checkpoint that too few disks hold', () => {
  async function install(journal: DiskJournal, content: string): Promise<void> {
    const source = join(folder, 'source');
    await writeFile(source, content);
    await journal.installCheckpoint(source, journal.acknowledged);
  }

  async function appendSome(journal: DiskJournal): Promise<void> {
    for (let i = 0; i < 12; i++) await journal.append(Buffer.alloc(9000, i));
  }

  /** Two that are acknowledged, then one that only disk 0 holds. */
  async function prepared() {
    const { cluster, faults } = await faultyCluster();
    const journal = await startedJournal(cluster);
    for (const content of ['one', 'two']) {
      await appendSome(journal);
      await install(journal, content);
    }
    const before = journal.checkpoints();
    await appendSome(journal);
    for (const fault of faults.slice(1)) {
      fault.addFault({
        operation: 'publish',
        path: /checkpoint-/,
        times: 1e9,
        effect: { kind: 'error', errno: 'EIO' },
      });
    }
    await expect(install(journal, 'three')).rejects.toMatchObject({ code: 'QuorumLost' });
    for (const fault of faults) fault.clearFaults();
    return { journal, before };
  }

  it('retires no other, and nothing is cut', async () => {
    const { journal, before } = await prepared();
    for (const { position, holderDiskIds } of before) {
      expect(journal.checkpoints().find((one) => one.position.hash.equals(position.hash))?.holderDiskIds).toEqual(
        holderDiskIds,
      );
      expect(await journal.canReplayFrom(position)).toBe(true);
    }
  });

  it('is not one of the two that are kept: the next one leaves the newest acknowledged one beside it', async () => {
    const { journal, before } = await prepared();
    await appendSome(journal);
    await install(journal, 'four');
    const [newest, second] = before;
    expect(await journal.canReplayFrom(newest!.position)).toBe(true);
    expect(await journal.canReplayFrom(second!.position)).toBe(false);
    const kept = journal.checkpoints().map((one) => one.position.sequence);
    expect(kept).toContain(newest!.position.sequence);
    expect(kept).not.toContain(second!.position.sequence);
  });
});

describe('a change of the list', () => {
  it('takes the state of a disk that leaves, also when a checkpoint is being noted there', async () => {
    const { cluster, faults } = await faultyCluster();
    const journal = await startedJournal(cluster);
    await journal.append(Buffer.from('a'));
    const source = join(folder, 'source');
    await writeFile(source, 'snapshot');
    for (const fault of faults) fault.addFault({ operation: 'publish', path: /state$/, effect: { kind: 'hang' } });
    const installing = journal.installCheckpoint(source, journal.acknowledged).catch(() => undefined);
    // The snapshot is a real file: that takes real time.
    const isNoting = (): void => expect(faults.some(({ hungCount }) => hungCount > 0)).toBe(true);
    await vi.waitFor(isNoting, { timeout: 60_000 });
    const leaving = faults.findIndex(({ hungCount }) => hungCount > 0);
    const diskIds = cluster.diskIds.filter((_, index) => index !== leaving);
    let isChanged = false;
    const changing = journal
      .changeConfiguration({ k: 1, m: 1, diskIds, journalDiskIds: diskIds })
      .then(() => (isChanged = true));
    await until(cluster, () => journal.configuration?.diskIds.length === 2, 'the change is acknowledged');
    for (let i = 0; i < 5; i++) await settle();
    expect(isChanged, 'before the write under way has ended').toBe(false);
    for (const fault of faults) fault.clearFaults();
    faults[leaving]!.releaseHung();
    await Promise.all([installing, changing]);
    for (let i = 0; i < 5; i++) await settle();
    expect(cluster.disks[leaving]!.filePaths()).not.toContain('journal/state');
  });

  it('that finds no room tells so, and another that waits behind it does not wait for ever', async () => {
    /** No new journal files can be made; `frames` that fill one each are there. */
    const filled = async (frames: number) => {
      const { cluster, faults } = await faultyCluster();
      const journal = await startedJournal(cluster, { reserveSegments: 3 });
      const effect = { kind: 'error', errno: 'ENOSPC' } as const;
      for (const fault of faults) fault.addFault({ operation: 'createDurable', times: 1e9, effect });
      const append = () => journal.append(Buffer.alloc(journal.maxPayloadBytes, 'x'));
      for (let frame = 0; frame < frames; frame++) await append();
      return { cluster, faults, journal, append };
    };
    const trial = await filled(0);
    let room = 0;
    const isFull = (error: unknown): boolean => isStoreError(error, 'QuorumLost');
    while (!(await trial.append().then(() => false, isFull))) room++;
    const { cluster, faults, journal, append } = await filled(room - 1);
    const hang = { operation: 'write', path: /\.seg$/, effect: { kind: 'hang' } } as const;
    for (const fault of faults) fault.addFault(hang);
    const last = append();
    const { diskIds } = cluster;
    const change = () => journal.changeConfiguration({ k: 2, m: 1, diskIds, journalDiskIds: diskIds });
    const codes: unknown[] = [];
    const note = (error: unknown): number => codes.push(isStoreError(error) ? error.code : error);
    for (const changing of [change(), change()]) changing.catch(note);
    await until(cluster, () => faults[0]!.hungCount > 0, 'the last frame is on its way');
    for (const fault of faults) fault.releaseHung();
    await last;
    await until(cluster, () => codes.length === 2, 'both changes are answered');
    expect(codes).toEqual(['QuorumLost', 'QuorumLost']);
  });
});
