import { expect, test } from 'vitest';
import { FaultDiskFs, type FaultEffect } from '../../src/disk/fault-disk-fs.ts';
import type { BlobRecord } from '../../src/model/blob.ts';
import { bodyOf, DataStoreHarness } from '../support/data-store-harness.ts';
import { ManualClock } from '../support/simulated-clock.ts';

const CODE = { k: 4, m: 2 };
const SIZES = [100, 5000, 16_000, 90_000];
const LOST = [1, 4];

interface Setting {
  harness: DataStoreHarness;
  faults: FaultDiskFs[];
  stored: { blob: BlobRecord; body: Buffer }[];
}

/** A store whose files on `LOST` are gone or bad, all volumes sealed, one process running. */
async function begin(seed: number): Promise<Setting> {
  const faults: FaultDiskFs[] = [];
  const clock = new ManualClock();
  const harness = await DataStoreHarness.start({
    code: CODE,
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
  harness.cluster.disks[LOST[0]!]!.wipe();
  const spoiled = harness.cluster.disks[LOST[1]!]!;
  for (const path of spoiled.filePaths().filter((each) => each.startsWith('volumes/'))) {
    for (let at = 100; at < spoiled.peek(path).length; at += 5000) spoiled.corrupt(path, at);
  }
  return { harness, faults, stored };
}

async function repairAll({ harness }: Setting): Promise<string[]> {
  const outcomes: string[] = [];
  for (const id of harness.journal.volumes.keys()) {
    const work = { ...harness.workOn(id), diskIds: harness.cluster.diskIds };
    const { files } = await harness.store.repairVolume(work);
    outcomes.push(...files.map(({ outcome }) => outcome));
  }
  return outcomes;
}

async function expectReadable({ harness, stored }: Setting, message: string): Promise<void> {
  for (const { blob, body } of stored) expect((await harness.get(blob)).equals(body), message).toBe(true);
}

async function expectWhole({ harness }: Setting, message: string): Promise<void> {
  for (const id of harness.journal.volumes.keys()) {
    const { files } = await harness.withTime(harness.store.inspectVolume(harness.workOn(id)));
    expect(
      files.map(({ condition }) => condition),
      message,
    ).toEqual(files.map(() => 'good'));
  }
  const leftovers = harness.cluster.disks
    .flatMap((disk) => disk.filePaths())
    .filter((path) => !path.endsWith('.shard'));
  expect(leftovers, message).toEqual([]);
}

for (const mode of ['keep-all', 'drop-all', 'torn'] as const) {
  test(`a crash (${mode}) at every changing call of a repair leaves all bytes and is finished by the next`, async () => {
    let crashes = 0;
    for (const target of LOST) {
      for (let nth = 1; ; nth++) {
        const setting = await begin(nth);
        const { harness, faults } = setting;
        let hasCrashed = false;
        const action = (): void => {
          hasCrashed = true;
          harness.crash(mode);
        };
        faults[target]!.addFault({ operation: 'mutation', nth, effect: { kind: 'do', action } });
        const repairing = repairAll(setting).catch(() => undefined);
        await harness.withTime(repairing);
        if (!hasCrashed) break;
        crashes++;
        await harness.restart();
        const message = `crash at call ${nth} of disk ${target}`;
        await expectReadable(setting, message);
        expect(await harness.withTime(repairAll(setting)), message).not.toContain('failed');
        await expectWhole(setting, message);
      }
    }
    expect(crashes).toBeGreaterThan(20);
  });
}

const ERRORS: readonly FaultEffect[] = [
  { kind: 'error', errno: 'EIO' },
  { kind: 'error', errno: 'ENOSPC' },
  { kind: 'error', errno: 'EIO', isDone: true },
  { kind: 'short', errno: 'ENOSPC' },
];

test('an error at every changing call of a repair is told, harms nothing, and the next repair succeeds', async () => {
  let failures = 0;
  for (const effect of ERRORS) {
    for (let nth = 1; ; nth++) {
      const setting = await begin(nth);
      const { harness, faults } = setting;
      const fault = faults[LOST[1]!]!;
      fault.addFault({ operation: 'mutation', nth, effect });
      const outcomes = await harness.withTime(repairAll(setting));
      if (fault.struckCount === 0) break;
      const message = `${JSON.stringify(effect)} at call ${nth}`;
      if (outcomes.includes('failed')) failures++;
      await expectReadable(setting, message);
      expect(await harness.withTime(repairAll(setting)), message).not.toContain('failed');
      await expectWhole(setting, message);
    }
  }
  expect(failures).toBeGreaterThan(20);
});

test('an error at every read of a repair is read around or told, and the next repair succeeds', async () => {
  for (let nth = 1; ; nth += 3) {
    const setting = await begin(nth);
    const { harness, faults } = setting;
    faults[0]!.addFault({ operation: 'read', nth, effect: { kind: 'error', errno: 'EIO' } });
    await harness.withTime(repairAll(setting));
    if (faults[0]!.struckCount === 0) break;
    expect(await harness.withTime(repairAll(setting)), `read ${nth}`).not.toContain('failed');
    await expectWhole(setting, `read ${nth}`);
    await expectReadable(setting, `read ${nth}`);
  }
});

test('a disk that goes in the middle of a repair never makes it say more than is true', async () => {
  for (let nth = 1; ; nth += 2) {
    const setting = await begin(nth);
    const { harness, faults } = setting;
    let isGone = false;
    const action = (): void => {
      isGone = true;
      harness.cluster.detach([2]);
    };
    faults[LOST[0]!]!.addFault({ operation: 'mutation', nth, effect: { kind: 'do', action } });
    await harness.withTime(repairAll(setting));
    if (!isGone) break;
    harness.cluster.attach([2]);
    harness.cluster.diskSet.markLevel(harness.cluster.diskIds[2]!);
    expect(await harness.withTime(repairAll(setting)), `gone at call ${nth}`).not.toContain('failed');
    await expectWhole(setting, `gone at call ${nth}`);
    await expectReadable(setting, `gone at call ${nth}`);
  }
});
