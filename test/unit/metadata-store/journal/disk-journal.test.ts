import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultDiskFs } from '../../../../src/disk/fault-disk-fs.ts';
import { isStoreError } from '../../../../src/errors/store-error.ts';
import type { DiskJournal } from '../../../../src/metadata-store/journal/disk-journal.ts';
import {
  formatDisk,
  journalCluster,
  journalOf,
  levelDiskIds,
  payloadsOf,
  startedJournal,
  until,
} from '../../../support/journal-cluster.ts';
import { settle } from '../../../support/simulated-clock.ts';
import { SimulatedCluster } from '../../../support/simulated-cluster.ts';

const FOUR_TWO = { k: 4, m: 2 };

async function appendSome(journal: DiskJournal, count: number, name = 'batch', sizeBytes = 100): Promise<string[]> {
  const payloads = Array.from({ length: count }, (_, i) => `${name} ${i} ${'x'.repeat(sizeBytes)}`);
  for (const payload of payloads) await journal.append(Buffer.from(payload));
  return payloads;
}

/** A cluster whose disks can be made to fail or hang. */
async function faultyCluster(code: { k: number; m: number }) {
  const faults: FaultDiskFs[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };
  const cluster = await journalCluster(code, { wrap: (fs, i) => (faults[i] = new FaultDiskFs(fs, clock)) });
  return { cluster, faults };
}

describe('appending and starting', () => {
  it('reads back what was appended, after a kill too, in a new epoch', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    let journal = await startedJournal(cluster);
    expect(journal.epoch).toBe(1);
    const payloads: string[] = [];
    for (let i = 0; i < 30; i++) payloads.push(...(await appendSome(journal, 1, `b${i}`, i * 100)));
    expect(await payloadsOf(journal)).toEqual(payloads);
    cluster.restart();
    journal = await startedJournal(cluster);
    expect(journal.epoch).toBe(2);
    expect(await payloadsOf(journal)).toEqual(payloads);
  });

  it('reads frames after a position and knows which positions it can replay from', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const journal = await startedJournal(cluster);
    const first = await journal.append(Buffer.from('one'));
    await journal.append(Buffer.from('two'));
    expect(await payloadsOf(journal, first)).toEqual(['two']);
    expect(await journal.canReplayFrom(first)).toBe(true);
    expect(await journal.canReplayFrom(journal.acknowledged)).toBe(true);
    expect(await journal.canReplayFrom({ ...first, hash: Buffer.alloc(16) })).toBe(false);
    expect(await journal.canReplayFrom({ ...first, sequence: first.sequence + 9 })).toBe(false);
    expect(await journal.canReplayFrom({ epoch: 0, sequence: 0, hash: Buffer.alloc(16) })).toBe(true);
  });

  it('refuses a start on fewer than n - m journals, and blank disks do not count', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    await appendSome(await startedJournal(cluster), 3);
    for (const disk of cluster.disks.slice(0, 3)) disk.wipe();
    cluster.restart();
    await expect(startedJournal(cluster)).rejects.toMatchObject({ code: 'QuorumLost' });
  });

  it('refuses a cluster whose disks were all emptied, and writes nothing there', async () => {
    const cluster = new SimulatedCluster({ diskCount: 6 });
    await expect(startedJournal(cluster)).rejects.toMatchObject({ code: 'QuorumLost' });
    expect(cluster.disks.flatMap((disk) => disk.filePaths())).toEqual([]);
  });

  it('gives a blank disk a whole journal of its own before it is level', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const payloads = await appendSome(await startedJournal(cluster), 20, 'b', 3000);
    cluster.disks[2]!.wipe();
    cluster.restart();
    const journal = await startedJournal(cluster);
    await until(cluster, () => levelDiskIds(journal).length === 6, 'the blank disk is level');
    cluster.detach([0, 1]);
    cluster.restart();
    expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
  });

  it('is read-only where the read quorum is smaller than the write quorum, and writable again when a disk returns', async () => {
    const cluster = await journalCluster({ k: 1, m: 1 });
    const payloads = await appendSome(await startedJournal(cluster), 3);
    cluster.detach([1]);
    cluster.restart();
    const journal = await startedJournal(cluster);
    expect(journal.isWritable).toBe(false);
    const shown = [...(await payloadsOf(journal))];
    for await (const frame of journal.pendingFrames()) shown.push(frame.payload.toString());
    expect(shown).toEqual(payloads);
    await expect(journal.append(Buffer.from('no'))).rejects.toMatchObject({ code: 'QuorumLost' });
    await expect(journal.reopen()).rejects.toMatchObject({ code: 'QuorumLost' });
    cluster.attach([1]);
    await journal.reopen();
    expect(journal.isWritable).toBe(true);
    await journal.append(Buffer.from('four'));
    expect(await payloadsOf(journal)).toEqual([...payloads, 'four']);
  });

  it('keeps a bounded number of files over many restarts', async () => {
    const cluster = await journalCluster({ k: 2, m: 1 });
    const payloads: string[] = [];
    for (let i = 0; i < 60; i++) {
      const journal = await startedJournal(cluster);
      payloads.push(...(await appendSome(journal, 1, `start ${i}`)));
      await settle();
      if (i % 3 === 0) await journal.stop();
      cluster.restart();
    }
    const journal = await startedJournal(cluster);
    expect(await payloadsOf(journal)).toEqual(payloads);
    await journal.stop();
    // 121 frames of 4 KiB in segments of 32 KiB, one segment ahead, one spare, the state.
    for (const disk of cluster.disks) expect(disk.filePaths().length).toBeLessThanOrEqual(16 + 4);
  });
});

describe('disks that fail, hang, vanish and return', () => {
  it('acknowledges with m + 1 disks left, and QuorumLost with fewer writes nothing', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const journal = await startedJournal(cluster);
    cluster.detach([0, 1, 2]);
    const payloads = await appendSome(journal, 3);
    cluster.detach([3]);
    await expect(journal.append(Buffer.from('refused'))).rejects.toMatchObject({ code: 'QuorumLost' });
    cluster.attach([0, 1, 2, 3]);
    await until(cluster, () => levelDiskIds(journal).length === 6, 'all are level');
    await journal.append(Buffer.from('more'));
    expect(await payloadsOf(journal)).toEqual([...payloads, 'more']);
  });

  it('does not count a disk whose directory vanished unnoticed', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const journal = await startedJournal(cluster);
    cluster.detach([0, 1, 2, 3], { isNoticed: false });
    await expect(journal.append(Buffer.from('undecided'))).rejects.toMatchObject({ code: 'Undecided' });
    expect(journal.isWritable).toBe(false);
    await expect(journal.append(Buffer.from('no'))).rejects.toMatchObject({ code: 'Undecided' });
    await expect(journal.reopen()).rejects.toMatchObject({ code: 'QuorumLost' });
    cluster.noticeDetached();
    cluster.attach([0, 1, 2, 3]);
    await until(cluster, () => true, 'settled');
    await journal.reopen();
    expect(await payloadsOf(journal)).toEqual(['undecided']);
  });

  it('levels a disk that missed batches before it has a vote again', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const journal = await startedJournal(cluster);
    const before = await appendSome(journal, 2, 'before');
    cluster.detach([0, 1]);
    const without = await appendSome(journal, 40, 'without', 2000);
    cluster.attach([0, 1]);
    expect(cluster.diskSet.disks[0]!.state).toBe('returning');
    await until(cluster, () => levelDiskIds(journal).length === 6, 'both are level');
    expect(cluster.diskSet.disks[0]!.state).toBe('online');
    // Unhealed otherwise, two others vanish: everything reads back.
    cluster.detach([2, 3]);
    cluster.restart();
    expect(await payloadsOf(await startedJournal(cluster))).toEqual([...before, ...without]);
  });

  it('never waits for a hung disk', async () => {
    const { cluster, faults } = await faultyCluster(FOUR_TWO);
    const journal = await startedJournal(cluster, { maxQueuedFrames: 8 });
    for (const i of [1, 4]) faults[i]!.addFault({ operation: 'write', times: 1000, effect: { kind: 'hang' } });
    const payloads = await appendSome(journal, 30);
    expect(await payloadsOf(journal)).toEqual(payloads);
    expect(levelDiskIds(journal)).toHaveLength(4);
    expect(cluster.diskSet.disks[1]!.state).toBe('returning');
    faults.forEach((fault) => fault.clearFaults());
    faults.forEach((fault) => fault.releaseHung());
    await until(cluster, () => levelDiskIds(journal).length === 6, 'the hung disks are level');
    cluster.restart();
    expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
  });

  it('writes a new journal for a disk after a failed write, and never retries in place', async () => {
    const { cluster, faults } = await faultyCluster(FOUR_TWO);
    const journal = await startedJournal(cluster);
    const payloads = await appendSome(journal, 3);
    faults[5]!.addFault({ operation: 'write', effect: { kind: 'error', errno: 'EIO', isDone: true } });
    payloads.push(...(await appendSome(journal, 3, 'after')));
    expect(cluster.diskSet.disks[5]!.state).toBe('failed');
    cluster.diskSet.setState(cluster.diskIds[5]!, 'returning', 'answers again');
    await until(cluster, () => levelDiskIds(journal).length === 6, 'the disk is level');
    expect(cluster.disks[5]!.filePaths().some((path) => path.startsWith('journal/00000001-'))).toBe(true);
    cluster.detach([0, 1]);
    cluster.restart();
    expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
  });

  it('brings a damaged frame from another disk and writes that disk anew', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const payloads = await appendSome(await startedJournal(cluster), 30, 'b', 3000);
    for (const disk of cluster.disks.slice(0, 2)) disk.corrupt('journal/00000000-00000001.seg', 300);
    cluster.restart();
    const journal = await startedJournal(cluster);
    expect(await payloadsOf(journal)).toEqual(payloads);
    await until(cluster, () => levelDiskIds(journal).length === 6, 'all are level');
    cluster.detach([4, 5]);
    cluster.restart();
    expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
  });

  it('finds damage that came while it runs, in a scrub', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const journal = await startedJournal(cluster);
    const payloads = await appendSome(journal, 30, 'b', 3000);
    cluster.disks[3]!.corrupt('journal/00000000-00000000.seg', 5000);
    await journal.scrub();
    expect(levelDiskIds(journal)).not.toContain(cluster.diskIds[3]);
    await until(cluster, () => levelDiskIds(journal).length === 6, 'the disk is level');
    cluster.detach([0, 1]);
    cluster.restart();
    expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
  });

  it('takes a torn last frame for the end, on every disk', async () => {
    const cluster = await journalCluster({ k: 2, m: 1 });
    const payloads = await appendSome(await startedJournal(cluster), 3, 'b', 9000);
    cluster.crash('drop-all');
    const journal = await startedJournal(cluster);
    const rest = journal.append(Buffer.from('y'.repeat(12_000)));
    rest.catch(() => undefined);
    cluster.crash('torn');
    const shown = await payloadsOf(await startedJournal(cluster));
    expect(shown.slice(0, 3)).toEqual(payloads);
    expect(shown.length).toBeLessThanOrEqual(4);
  });

  it('refuses a frame before anything is written when the disks are full, and goes on when space returns', async () => {
    const cluster = await journalCluster({ k: 2, m: 1 });
    const journal = await startedJournal(cluster);
    await until(
      cluster,
      () => cluster.disks.every((disk) => disk.filePaths().some((p) => p.includes('spare'))),
      'spares',
    );
    for (const disk of cluster.disks) disk.capacityBytes = disk.capacityBytes - disk.freeBytes;
    const payloads: string[] = [];
    let refusal: unknown;
    for (let i = 0; refusal === undefined && i < 100; i++) {
      try {
        payloads.push(...(await appendSome(journal, 1, `full ${i}`, 3000)));
      } catch (error) {
        refusal = error;
      }
      await settle();
    }
    // The reserve: the current segment's rest, the next and a spare, eight frames each.
    expect(payloads.length).toBeGreaterThan(16);
    expect(isStoreError(refusal, 'QuorumLost')).toBe(true);
    for (const disk of cluster.disks) disk.capacityBytes = 2 ** 40;
    await journal.append(Buffer.from('first')).catch(() => undefined);
    await settle();
    payloads.push(...(await appendSome(journal, 10, 'after', 3000)));
    const shown = await payloadsOf(journal);
    expect(shown.filter((payload) => payload !== 'first')).toEqual(payloads);
  });
});

describe('checkpoints', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'journal-checkpoints-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function install(journal: DiskJournal, content: string): Promise<void> {
    const source = join(folder, 'source');
    await writeFile(source, content);
    await journal.installCheckpoint(source, journal.acknowledged);
  }

  async function restored(journal: DiskJournal, index: number): Promise<string> {
    const target = join(folder, 'target');
    await journal.restoreCheckpoint(journal.checkpoints()[index]!, target, () => {});
    return readFile(target, 'utf8');
  }

  it('keeps two on m + 1 disks and the journal back to the older one', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    let journal = await startedJournal(cluster);
    await appendSome(journal, 20, 'zero', 3000);
    await install(journal, 'first');
    const one = await appendSome(journal, 20, 'one', 3000);
    await install(journal, 'second');
    const two = await appendSome(journal, 20, 'two', 3000);
    expect(journal.checkpoints()).toHaveLength(2);
    for (const checkpoint of journal.checkpoints()) expect(checkpoint.holderDiskIds.length).toBeGreaterThanOrEqual(3);
    expect(await payloadsOf(journal)).toEqual([...one, ...two]);
    expect(await journal.canReplayFrom({ epoch: 0, sequence: 0, hash: Buffer.alloc(16) })).toBe(false);
    await install(journal, 'third');
    expect(journal.checkpoints()).toHaveLength(2);
    expect(await payloadsOf(journal)).toEqual(two);
    cluster.detach([0, 1]);
    cluster.restart();
    journal = await startedJournal(cluster);
    expect(await restored(journal, 0)).toBe('third');
    expect(await restored(journal, 1)).toBe('second');
    expect(await payloadsOf(journal, journal.checkpoints()[1]!.position)).toEqual(two);
  });

  it('is copied again when a loss leaves fewer than m + 1 holders', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    let journal = await startedJournal(cluster);
    await appendSome(journal, 3);
    await install(journal, 'snapshot');
    const holders = journal.checkpoints()[0]!.holderDiskIds.map((id) => cluster.diskIds.indexOf(id));
    cluster.detach(holders.slice(0, 2));
    await until(cluster, () => journal.checkpoints()[0]!.holderDiskIds.length === 3, 'three holders again');
    const others = journal.checkpoints()[0]!.holderDiskIds.map((id) => cluster.diskIds.indexOf(id));
    cluster.attach(holders.slice(0, 2));
    await until(cluster, () => levelDiskIds(journal).length === 6, 'all are level');
    cluster.detach(others.slice(0, 2));
    cluster.restart();
    journal = await startedJournal(cluster);
    expect(await restored(journal, 0)).toBe('snapshot');
  });

  it('is copied to more disks when m grows, so that as many may be lost as the new code says', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    let journal = await startedJournal(cluster);
    await appendSome(journal, 3);
    await install(journal, 'snapshot');
    await journal.changeConfiguration({ ...journal.configuration!, k: 2, m: 4 });
    await until(cluster, () => journal.checkpoints()[0]!.holderDiskIds.length === 5, 'five holders');
    cluster.detach(
      journal
        .checkpoints()[0]!
        .holderDiskIds.slice(0, 4)
        .map((id) => cluster.diskIds.indexOf(id)),
    );
    cluster.restart();
    journal = await startedJournal(cluster);
    expect(await restored(journal, 0)).toBe('snapshot');
  });

  it('comes from another holder, block by block, when one is damaged, and a scrub copies it anew', async () => {
    const cluster = await journalCluster(FOUR_TWO);
    const journal = await startedJournal(cluster);
    await appendSome(journal, 1);
    const content = 'abc'.repeat(1_000_000);
    await install(journal, content);
    const files = cluster.disks.flatMap((disk) =>
      disk
        .filePaths()
        .filter((path) => path.includes('checkpoint-'))
        .map((path) => ({ disk, path })),
    );
    expect(files).toHaveLength(3);
    files[0]!.disk.corrupt(files[0]!.path, 100);
    files[1]!.disk.corrupt(files[1]!.path, 2_500_000);
    expect(await restored(journal, 0)).toBe(content);
    await journal.scrub();
    files[2]!.disk.corrupt(files[2]!.path, 100);
    expect(await restored(journal, 0)).toBe(content);
  });

  it('lets recycled segments be reused without their old frames coming back', async () => {
    const cluster = await journalCluster({ k: 2, m: 1 });
    let journal = await startedJournal(cluster, { reserveSegments: 3 });
    for (let round = 0; round < 6; round++) {
      const payloads = await appendSome(journal, 30, `round ${round}`, 2000);
      await install(journal, `snapshot ${round}`);
      const after = await appendSome(journal, 1 + round, `tail ${round}`);
      cluster.crash('random');
      journal = await startedJournal(cluster, { reserveSegments: 3 });
      expect(await payloadsOf(journal, journal.checkpoints()[0]!.position)).toEqual(after);
      expect((await payloadsOf(journal)).slice(-after.length - payloads.length)).toEqual([...payloads, ...after]);
    }
    for (const disk of cluster.disks) expect(disk.filePaths().length).toBeLessThan(40);
  });
});

describe('more disks than n', () => {
  async function largeCluster(): Promise<SimulatedCluster> {
    const cluster = new SimulatedCluster({ diskCount: 9 });
    const { clusterId } = cluster.diskSet;
    for (const disk of cluster.diskSet.disks) {
      await formatDisk(disk.fs, { clusterId, diskId: disk.id, diskIds: cluster.diskIds, code: { k: 2, m: 1 } });
    }
    return cluster;
  }

  it('replaces a journal disk that stays lost, and the new list alone then decides about starts', async () => {
    const cluster = await largeCluster(); // journal on 0, 1, 3, 5, 7
    let journal = await startedJournal(cluster, { replaceLostAfterMs: 5000 });
    const payloads = await appendSome(journal, 10, 'b', 3000);
    cluster.detach([0]);
    await cluster.clock.advance(4000);
    expect(levelDiskIds(journal)).not.toContain(cluster.diskIds[2]);
    await until(cluster, () => levelDiskIds(journal).includes(cluster.diskIds[2]!), 'disk 2 carries the journal');
    payloads.push(...(await appendSome(journal, 3, 'after')));
    cluster.detach([1]);
    cluster.restart();
    // 0 and 1 are away: with the old list that is one too many, with the new one it is only disk 1.
    journal = await startedJournal(cluster);
    expect(await payloadsOf(journal)).toEqual(payloads);
    cluster.detach([3]);
    cluster.restart();
    await expect(startedJournal(cluster)).rejects.toMatchObject({ code: 'QuorumLost' });
    // The disk that was replaced comes back: it is no journal disk any more and does not count.
    cluster.attach([0]);
    cluster.restart();
    await expect(startedJournal(cluster)).rejects.toMatchObject({ code: 'QuorumLost' });
  });

  it('changes the list under load, and an interrupted change leaves the old rule or both', async () => {
    for (let turns = 0; turns < 400; turns += 23) {
      const cluster = await largeCluster();
      let journal = await startedJournal(cluster);
      const payloads = await appendSome(journal, 4);
      const ids = cluster.diskIds;
      const next = { k: 2, m: 1, diskIds: ids, journalDiskIds: [ids[0]!, ids[2]!, ids[4]!, ids[6]!, ids[8]!] };
      journal.changeConfiguration(next).catch(() => undefined);
      for (let i = 0; i < turns; i++) await Promise.resolve();
      const appended = journal.append(Buffer.from('meanwhile'));
      if (turns % 2 === 0) {
        await appended;
        payloads.push('meanwhile');
      } else {
        appended.catch(() => undefined);
      }
      cluster.crash('random');
      journal = await startedJournal(cluster);
      const shown = await payloadsOf(journal);
      expect(shown.slice(0, payloads.length)).toEqual(payloads);
      payloads.push(...shown.slice(payloads.length), ...(await appendSome(journal, 2, 'later')));
      await until(cluster, () => levelDiskIds(journal).length >= 5, 'the journal disks are level');
      cluster.detach([0]); // in both lists
      cluster.restart();
      expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
    }
  });

  it('refuses one of two changes made from the same list, and the other stands', async () => {
    const cluster = new SimulatedCluster({ diskCount: 5 });
    const { clusterId } = cluster.diskSet;
    const code = { k: 2, m: 1 };
    const idsOf = (...indexes: number[]): string[] => indexes.map((i) => cluster.diskIds[i]!);
    for (const disk of cluster.diskSet.disks.slice(0, 3)) {
      await formatDisk(disk.fs, { clusterId, diskId: disk.id, diskIds: idsOf(0, 1, 2), code });
    }
    let journal = await startedJournal(cluster);
    const lists = [idsOf(0, 1, 2, 3), idsOf(0, 1, 4)];
    const results = await Promise.allSettled(
      lists.map((diskIds) => journal.changeConfiguration({ ...code, diskIds, journalDiskIds: diskIds })),
    );
    const done = lists.filter((_, i) => results[i]!.status === 'fulfilled');
    expect(done).toEqual([journal.configuration!.diskIds]);
    expect(results).toContainEqual({ status: 'rejected', reason: expect.objectContaining({ code: 'NotReady' }) });
    const swapped = idsOf(0, 1, 3, 4);
    await journal.changeConfiguration({ ...code, diskIds: swapped, journalDiskIds: swapped });
    cluster.restart();
    journal = await startedJournal(cluster);
    expect(journal.configuration!.diskIds, 'another try, from the new list').toEqual(swapped);
  });

  it('journals on J of them, and the others need no levelling', async () => {
    const cluster = new SimulatedCluster({ diskCount: 12 });
    const { clusterId } = cluster.diskSet;
    for (const disk of cluster.diskSet.disks) {
      await formatDisk(disk.fs, { clusterId, diskId: disk.id, diskIds: cluster.diskIds, code: { k: 2, m: 2 } });
    }
    const carriers = cluster.disks.flatMap((disk, i) => (disk.filePaths().length > 0 ? [i] : []));
    expect(carriers).toEqual([0, 1, 3, 5, 6, 8, 10]);
    let journal = await startedJournal(cluster);
    const payloads = await appendSome(journal, 5);
    cluster.detach([2, 4, 7, 9, 11, 0, 10]);
    cluster.restart();
    journal = await startedJournal(cluster);
    expect(await payloadsOf(journal)).toEqual(payloads);
    cluster.attach([2, 0]);
    await until(cluster, () => cluster.diskSet.disks[2]!.state === 'online', 'a disk without a journal is level');
    await until(cluster, () => levelDiskIds(journal).includes(cluster.diskIds[0]!), 'disk 0 is level');
    cluster.detach([1]);
    cluster.restart();
    expect(await payloadsOf(await startedJournal(cluster))).toEqual(payloads);
    cluster.detach([3]);
    cluster.restart();
    await expect(startedJournal(cluster)).rejects.toMatchObject({ code: 'QuorumLost' });
    expect(
      journalOf(cluster)
        .status()
        .every((one) => !one.isLevel),
    ).toBe(true);
  });
});
