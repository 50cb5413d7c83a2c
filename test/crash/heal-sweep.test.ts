import { expect, test } from 'vitest';
import type { FaultEffect } from '../../src/disk/fault-disk-fs.ts';
import {
  beginSweep,
  expectReadable,
  expectShardsWhole,
  leftoversOf,
  type SweepSetting,
} from '../support/sweep-setting.ts';

const CODE = { k: 4, m: 2 };
const LOST = [1, 4];

/** Files on `LOST` are gone or bad. */
async function begin(seed: number): Promise<SweepSetting> {
  const setting = await beginSweep({ code: CODE, seed });
  const { disks } = setting.harness.cluster;
  disks[LOST[0]!]!.wipe();
  const spoiled = disks[LOST[1]!]!;
  for (const path of spoiled.filePaths().filter((each) => each.startsWith('volumes/'))) {
    for (let at = 100; at < spoiled.peek(path).length; at += 5000) spoiled.corrupt(path, at);
  }
  return setting;
}

async function repairAll({ harness }: SweepSetting): Promise<string[]> {
  const outcomes: string[] = [];
  for (const id of harness.journal.volumes.keys()) {
    const work = { ...harness.workOn(id), diskIds: harness.cluster.diskIds };
    const { files } = await harness.store.repairVolume(work);
    outcomes.push(...files.map(({ outcome }) => outcome));
  }
  return outcomes;
}

async function expectWhole(setting: SweepSetting, message: string): Promise<void> {
  await expectShardsWhole(setting, message);
  expect(leftoversOf(setting), message).toEqual([]);
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
