import { expect, test } from 'vitest';
import type { Disk } from '../../../../src/disk/disk-set.ts';
import { SimulatedDiskFs } from '../../../../src/disk/simulated-disk-fs.ts';
import { publishState, readState } from '../../../../src/metadata-store/journal/journal-state.ts';
import { restartJournals } from '../../../../src/metadata-store/journal/restart-journal.ts';

const IDS = ['a', 'b', 'c'];
const facts = { clusterId: 'cluster', diskIds: IDS, k: 2, m: 1, usedEpoch: 7 };

function disksOf(ids: readonly string[]): Disk[] {
  return ids.map((id) => ({ id, fs: new SimulatedDiskFs({ name: id }) }) as unknown as Disk);
}

async function reservedOn({ fs }: Disk): Promise<number> {
  const state = await readState(fs);
  return typeof state === 'object' ? state.reservedEpoch : -1;
}

test('no epoch of an earlier recovery is used again, though nothing was written in it', async () => {
  const disks = disksOf(IDS);
  await restartJournals(disks, facts);
  const first = await reservedOn(disks[0]!);
  expect(first).toBeGreaterThan(65_000);
  // A server opened an epoch there, on two of them; one was away.
  for (const { fs } of disks.slice(0, 2)) {
    const state = await readState(fs);
    if (typeof state === 'object') await publishState(fs, { ...state, reservedEpoch: first + 3 }, '00000009.tmp');
  }
  await restartJournals(disks, facts);
  for (const disk of disks) expect(await reservedOn(disk)).toBeGreaterThan(first + 3);
  const second = await reservedOn(disks[0]!);
  // The journal is gone, and what was put aside still tells.
  for (const { fs } of disks) await fs.unlink('journal/state');
  await restartJournals(disks, facts);
  for (const disk of disks) expect(await reservedOn(disk)).toBeGreaterThan(first + 3);
  expect(second).toBeGreaterThan(first);
});
