import { describe, expect, test } from 'vitest';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { isFormatComplete, makeUuid, readIdentity, writeIdentity } from '../../../src/disk/disk-identity.ts';
import { prepareDirectory, type Preparation } from '../../../src/disk/prepare-directory.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const random = new SeededRandomness(5);
const clusterId = makeUuid(random);
const listed = [makeUuid(random), makeUuid(random), makeUuid(random)];

function preparation(change: Partial<Preparation> = {}): Preparation {
  return {
    path: '/new',
    fs: new SimulatedDiskFs(),
    cluster: { clusterId, k: 2, m: 1 },
    listedIds: new Set(listed),
    listWith: (diskId) => [listed[0]!, diskId, listed[2]!],
    lostIds: new Set(),
    addedAtSequence: 42,
    nowMs: 0,
    random,
    ...change,
  };
}

describe('a directory that is to become a disk', () => {
  test('gets an identity of its own with the list as it will be, a lock file, and no journal', async () => {
    const fs = new SimulatedDiskFs();
    const identity = await prepareDirectory(preparation({ fs }));
    expect(listed).not.toContain(identity.diskId);
    expect(await readIdentity(fs, '/new')).toEqual(identity);
    expect(identity).toMatchObject({
      clusterId,
      index: 1,
      diskIds: [listed[0], identity.diskId, listed[2]],
      addedAtSequence: 42,
    });
    expect((await fs.list('')).sort()).toEqual(['disk.json', 'format-complete', 'lock']);
  });

  test('is taken up with its id when a crash came at any call, whatever the power cut left', async () => {
    let steps = 0;
    for (let nth = 1; ; nth++) {
      for (const mode of ['keep-all', 'drop-all', 'random'] as const) {
        const disk = new SimulatedDiskFs();
        const faults = new FaultDiskFs(disk, new ManualClock());
        let next: SimulatedDiskFs | undefined;
        const action = (): void => {
          next = disk.crash({ random, mode });
        };
        faults.addFault({ operation: 'mutation', nth, effect: { kind: 'do', action } });
        await prepareDirectory(preparation({ fs: faults })).catch(() => undefined);
        if (next === undefined) {
          expect(steps).toBeGreaterThan(15);
          return;
        }
        steps++;
        const before = await readIdentity(next, '/new');
        const identity = await prepareDirectory(preparation({ fs: next }));
        if (before !== undefined) expect(identity.diskId).toBe(before.diskId);
        expect(await isFormatComplete(next)).toBe(true);
      }
    }
  });

  test('must be empty, no disk of the list or of another cluster, and hold no shards', async () => {
    const withFile = new SimulatedDiskFs();
    await withFile.createDurable('photo.jpg');
    await expect(prepareDirectory(preparation({ fs: withFile }))).rejects.toThrow('not empty (it holds photo.jpg)');
    expect(await withFile.list('')).toEqual(['photo.jpg']);

    const identity = { clusterId, diskId: listed[1]!, index: 1, diskIds: listed, k: 2, m: 1, createdAtMs: 0 };
    const member = new SimulatedDiskFs();
    await writeIdentity(member, { ...identity, addedAtSequence: 0 });
    await expect(prepareDirectory(preparation({ fs: member }))).rejects.toThrow('of this cluster already');

    const other = new SimulatedDiskFs();
    await writeIdentity(other, { ...identity, clusterId: makeUuid(random), addedAtSequence: 0 });
    await expect(prepareDirectory(preparation({ fs: other }))).rejects.toThrow('of another cluster');

    const retired = new SimulatedDiskFs();
    const diskId = makeUuid(random);
    await writeIdentity(retired, { ...identity, diskId, index: 0, diskIds: [diskId, ...listed], addedAtSequence: 3 });
    await retired.createDirectoryDurable('volumes');
    await retired.createDurable('volumes/00000000000001.shard');
    await expect(prepareDirectory(preparation({ fs: retired }))).rejects.toThrow('holds shards');
    await retired.unlink('volumes/00000000000001.shard');
    const lost = preparation({ fs: retired, lostIds: new Set([diskId]) });
    await expect(prepareDirectory(lost)).rejects.toThrow('declared lost');
    expect((await prepareDirectory(preparation({ fs: retired }))).diskId).toBe(diskId);
  });
});
