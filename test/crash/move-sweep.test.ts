import { describe, expect, test } from 'vitest';
import { FaultDiskFs, type FaultEffect } from '../../src/disk/fault-disk-fs.ts';
import type { BlobRecord, VolumeRecord } from '../../src/model/blob.ts';
import { bodyOf, DataStoreHarness } from '../support/data-store-harness.ts';
import { ManualClock } from '../support/simulated-clock.ts';

const CODE = { k: 2, m: 1 };
const DISKS = 5;
const SIZES = [100, 5000, 16_000, 90_000];

interface Setting {
  harness: DataStoreHarness;
  faults: FaultDiskFs[];
  stored: { blob: BlobRecord; body: Buffer }[];
}

async function begin(seed: number): Promise<Setting> {
  const faults: FaultDiskFs[] = [];
  const clock = new ManualClock();
  const harness = await DataStoreHarness.start({
    code: CODE,
    diskCount: DISKS,
    seed,
    clock,
    wrap: (fs, index) => (faults[index] = new FaultDiskFs(fs, clock)),
  });
  const stored: Setting['stored'] = [];
  for (const size of SIZES) {
    const body = bodyOf(`${seed}/${size}`, size);
    stored.push({ body, blob: await harness.withTime(harness.put(body)) });
  }
  await harness.sealAll();
  return { harness, faults, stored };
}

function volumesOf({ harness }: Setting): VolumeRecord[] {
  return [...harness.journal.volumes.values()].filter(({ liveBytes }) => liveBytes > 0);
}

/** The first volume, its first disk, and one that it does not name. */
function planOf({ harness }: Setting): { volumeId: number; from: number; to: number } {
  const { volumeId, diskIds } = [...harness.journal.volumes.values()][0]!;
  const ids = harness.cluster.diskIds;
  return { volumeId, from: ids.indexOf(diskIds[0]!), to: ids.findIndex((id) => !diskIds.includes(id)) };
}

function move(
  { harness }: Setting,
  { volumeId, to }: { volumeId: number; to: number },
): Promise<{ movedBytes: number }> {
  const toDiskId = harness.cluster.diskIds[to]!;
  return harness.store.moveShard({ ...harness.workOn(volumeId), shardIndex: 0, toDiskId });
}

async function expectReadable({ harness, stored }: Setting, message: string): Promise<void> {
  for (const { blob, body } of stored) expect((await harness.get(blob)).equals(body), message).toBe(true);
}

/** Every file where the journal says, whole, and no others. */
async function expectWhole(setting: Setting, message: string): Promise<void> {
  const { harness } = setting;
  for (const { volumeId } of volumesOf(setting)) {
    const { files } = await harness.withTime(harness.store.inspectVolume(harness.workOn(volumeId)));
    expect(
      files.map(({ condition }) => condition),
      message,
    ).toEqual(files.map(() => 'good'));
  }
  const paths = harness.cluster.disks.flatMap((disk) => disk.filePaths());
  expect(
    paths.filter((path) => !path.endsWith('.shard') || path.startsWith('quarantine')),
    message,
  ).toEqual([]);
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
