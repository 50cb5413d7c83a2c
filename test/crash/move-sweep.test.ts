import { describe, expect, test } from 'vitest';
import { movedPath, volumePath } from '../../src/data-store/volume/volume-file.ts';
import type { FaultEffect } from '../../src/disk/fault-disk-fs.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import type { VolumeRecord } from '../../src/model/blob.ts';
import { bodyOf, moveOneShard } from '../support/data-store-harness.ts';
import {
  beginSweep,
  expectReadable,
  expectShardsWhole,
  leftoversOf,
  type SweepSetting,
} from '../support/sweep-setting.ts';

const CODE = { k: 2, m: 1 };

function begin(seed: number): Promise<SweepSetting> {
  return beginSweep({ code: CODE, diskCount: 5, seed });
}

function volumesOf({ harness }: SweepSetting): VolumeRecord[] {
  return [...harness.journal.volumes.values()].filter(({ liveBytes }) => liveBytes > 0);
}

/** The first volume, its first disk, and one that it does not name. */
function planOf({ harness }: SweepSetting): { volumeId: number; from: number; to: number } {
  const { volumeId, diskIds } = [...harness.journal.volumes.values()][0]!;
  const ids = harness.cluster.diskIds;
  return { volumeId, from: ids.indexOf(diskIds[0]!), to: ids.findIndex((id) => !diskIds.includes(id)) };
}

function move(
  { harness }: SweepSetting,
  { volumeId, to }: { volumeId: number; to: number },
): Promise<{ movedBytes: number }> {
  const toDiskId = harness.cluster.diskIds[to]!;
  return moveOneShard(harness.store, { ...harness.workOn(volumeId), shardIndex: 0, toDiskId });
}

/** Every file where the journal says, whole, and no others. */
async function expectWhole(setting: SweepSetting, message: string): Promise<void> {
  await expectShardsWhole(setting, message);
  expect(leftoversOf(setting), message).toEqual([]);
  const paths = setting.harness.cluster.disks.flatMap((disk) => disk.filePaths());
  expect(paths.length, message).toBe(volumesOf(setting).length * (CODE.k + CODE.m));
  expect(
    volumesOf(setting).flatMap(({ undroppedDiskIds }) => undroppedDiskIds),
    message,
  ).toEqual([]);
}

describe('moving a shard file to another disk', () => {
  test('it lies there, reads go on, the old file is gone, and it can go back', async () => {
    const setting = await begin(1);
    const { harness } = setting;
    const { volumeId, from, to } = planOf(setting);
    expect((await harness.withTime(move(setting, { volumeId, to }))).movedBytes).toBeGreaterThan(0);
    await expectWhole(setting, 'moved');
    await expectReadable(setting, 'moved');
    expect(await harness.withTime(move(setting, { volumeId, to })), 'again').toEqual({ movedBytes: 0 });
    await harness.withTime(move(setting, { volumeId, to: from }));
    await expectWhole(setting, 'moved back');
    await harness.sealAll();
    await expectWhole(setting, 'after a restart');
    await expectReadable(setting, 'after a restart');
  });

  test('it is computed from exactly k others when its disk is gone, and the old file goes when that comes back', async () => {
    const setting = await begin(2);
    const { harness } = setting;
    const { volumeId, from, to } = planOf(setting);
    harness.cluster.detach([from]);
    await harness.withTime(move(setting, { volumeId, to }));
    await expectReadable(setting, 'moved without the old disk');
    expect(harness.journal.volumes.get(volumeId)!.undroppedDiskIds).toEqual([harness.cluster.diskIds[from]]);
    harness.cluster.attach([from]);
    harness.cluster.diskSet.markLevel(harness.cluster.diskIds[from]!);
    await harness.withTime(harness.cluster.clock.advance(10_000));
    await expectWhole(setting, 'the old disk is back');
  });

  test('a volume that is written to, a disk that is away, one that has a shard already: nothing is moved', async () => {
    const setting = await begin(3);
    const { harness } = setting;
    const { volumeId, to } = planOf(setting);
    const named = harness.journal.volumes.get(volumeId)!.diskIds.map((id) => harness.cluster.diskIds.indexOf(id));
    await expect(harness.withTime(move(setting, { volumeId, to: named[1]! }))).rejects.toMatchObject({
      code: 'NotReady',
    });
    harness.cluster.detach([to]);
    await expect(harness.withTime(move(setting, { volumeId, to }))).rejects.toMatchObject({ code: 'NotReady' });
    const fresh = await harness.withTime(harness.put(bodyOf('fresh', 4000)));
    const open = fresh.footprint[0]!.volumeId;
    const free = harness.cluster.diskIds.findIndex(
      (id, index) => index !== to && !harness.journal.volumes.get(open)!.diskIds.includes(id),
    );
    await expect(harness.withTime(move(setting, { volumeId: open, to: free }))).rejects.toMatchObject({
      code: 'NotReady',
    });
  });

  for (const isMoved of [true, false]) {
    test(`one that is undecided is finished as soon as the journal has decided (${isMoved ? 'moved' : 'not moved'})`, async () => {
      const setting = await begin(4);
      const { harness } = setting;
      const { journal, ledger } = harness;
      let isDecided = false;
      const undecided = new StoreError('Undecided', 'on too few disks');
      ledger.moveShard = () => Promise.reject(undecided);
      ledger.whenDecided = () => (isDecided ? Promise.resolve() : Promise.reject(undecided));
      const plan = planOf(setting);
      await expect(harness.withTime(move(setting, plan))).rejects.toMatchObject({ code: 'Undecided' });
      await harness.withTime(harness.cluster.clock.advance(60_000));
      expect(leftoversOf(setting), 'nothing is touched before').toHaveLength(1);
      const { volumeId, from, to } = plan;
      const [fromDiskId, toDiskId] = [harness.cluster.diskIds[from]!, harness.cluster.diskIds[to]!];
      if (isMoved) journal.moveShard({ volumeId, shardIndex: 0, fromDiskId, toDiskId });
      isDecided = true;
      await harness.withTime(harness.cluster.clock.advance(600_000));
      await harness.withTime(harness.cluster.clock.advance(600_000));
      await expectWhole(setting, 'decided');
      await expectReadable(setting, 'decided');
    });
  }

  test('what a move left never replaces a file that was made in its place since', async () => {
    const setting = await begin(5);
    const { harness } = setting;
    const { volumeId, to } = planOf(setting);
    await harness.withTime(move(setting, { volumeId, to }));
    const disk = harness.cluster.disks[to]!;
    await disk.createDurable(movedPath(volumeId));
    disk.poke(movedPath(volumeId), 0, Buffer.alloc(50_000, 'rotten since'));
    await harness.sealAll();
    await expectWhole(setting, 'after a start');
  });

  test('a file that waits under the name of a move is not made again by a repair', async () => {
    const setting = await begin(6);
    const { harness } = setting;
    const { volumeId, to } = planOf(setting);
    await harness.withTime(move(setting, { volumeId, to }));
    await harness.cluster.disks[to]!.publish(volumePath(volumeId), movedPath(volumeId));
    const work = { ...harness.workOn(volumeId), diskIds: harness.cluster.diskIds };
    const { files, writtenBytes } = await harness.withTime(harness.store.repairVolume(work));
    expect(files.map(({ outcome }) => outcome)).toEqual(['good', 'good', 'good']);
    expect(writtenBytes).toBe(0);
    await expectWhole(setting, 'repaired');
  });

  test('an old file that cannot be removed is removed later, while its disk stays online', async () => {
    const setting = await begin(7);
    const { harness, faults } = setting;
    const { volumeId, from, to } = planOf(setting);
    faults[from]!.addFault({ operation: 'unlink', times: 3, effect: { kind: 'error', errno: 'EIO' } });
    await harness.withTime(move(setting, { volumeId, to }));
    expect(harness.journal.volumes.get(volumeId)!.undroppedDiskIds).toHaveLength(1);
    for (let round = 0; round < 10; round++) await harness.withTime(harness.cluster.clock.advance(10_000));
    await expectWhole(setting, 'some time later');
  });

  for (const mode of ['keep-all', 'drop-all', 'torn'] as const) {
    for (const side of ['to', 'from'] as const) {
      test(`a crash (${mode}) at every changing call of the disk it goes ${side} leaves it whole on one of them`, async () => {
        let crashes = 0;
        for (let nth = 1; ; nth++) {
          const setting = await begin(nth);
          const { harness, faults } = setting;
          const plan = planOf(setting);
          let hasCrashed = false;
          const action = (): void => {
            hasCrashed = true;
            harness.crash(mode);
          };
          faults[plan[side]]!.addFault({ operation: 'mutation', nth, effect: { kind: 'do', action } });
          await harness.withTime(move(setting, plan).catch(() => undefined));
          if (!hasCrashed) break;
          crashes++;
          await harness.restart();
          const message = `crash at call ${nth}`;
          await expectWhole(setting, message);
          await expectReadable(setting, message);
          await harness.withTime(move(setting, plan));
          await expectWhole(setting, `${message}, moved again`);
        }
        expect(crashes).toBeGreaterThan(side === 'to' ? 6 : 0);
      });
    }
  }

  test('an error at every changing call leaves all bytes; the next try succeeds', async () => {
    const effects: FaultEffect[] = [
      { kind: 'error', errno: 'EIO' },
      { kind: 'error', errno: 'ENOSPC', isDone: true },
    ];
    for (const effect of effects) {
      for (let nth = 1; ; nth++) {
        const setting = await begin(nth);
        const { harness, faults } = setting;
        const plan = planOf(setting);
        const fault = faults[plan.to]!;
        fault.addFault({ operation: 'mutation', nth, effect });
        await harness.withTime(move(setting, plan).catch(() => undefined));
        if (fault.struckCount === 0) break;
        const message = `${JSON.stringify(effect)} at call ${nth}`;
        await expectReadable(setting, message);
        await harness.withTime(move(setting, plan));
        await expectWhole(setting, message);
      }
    }
  });
});
