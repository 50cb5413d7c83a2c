import { describe, expect, test } from 'vitest';
import {
  codeProblem,
  decodeIdentity,
  DISK_FORMAT_VERSION,
  encodeIdentity,
  FORMAT_COMPLETE_FILE,
  IDENTITY_FILE,
  makeUuid,
  readIdentity,
} from '../../../src/disk/disk-identity.ts';
import type { DiskFs } from '../../../src/disk/disk-fs.ts';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { formatDisks, type FormatOptions } from '../../../src/disk/format-disks.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const clock = new ManualClock();
const random = new SeededRandomness(5);

/** Writes two files, as a store would; may be called again on its own leftovers. */
async function initializeDisk(fs: DiskFs): Promise<void> {
  await fs.createDirectoryDurable('journal');
  await fs.unlink('journal/first');
  await fs.createDurable('journal/first');
  const file = await fs.open('journal/first', 'write');
  await file.write(Buffer.from('first'), 0);
  await file.datasync();
  await file.close();
}

function optionsFor(disks: readonly DiskFs[], more: Partial<FormatOptions> = {}): FormatOptions {
  const paths = disks.map((_, i) => `/d${i}`);
  const makeFs = (path: string): DiskFs => disks[paths.indexOf(path)]!;
  return { paths, code: { k: 2, m: 1 }, random, clock, initializeDisk, makeFs, ...more };
}

const blank = (count: number): SimulatedDiskFs[] => Array.from({ length: count }, () => new SimulatedDiskFs());

async function refusalOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => expect.unreachable('should have been refused'),
    (failure: unknown) => failure,
  );
  expect(isStoreError(error, 'FormatRefused')).toBe(true);
  return (error as Error).message;
}

describe('formatDisks', () => {
  test('gives each directory its identity in one cluster, complete only with the last record', async () => {
    const disks = blank(4);
    const identities = await formatDisks(optionsFor(disks));
    expect(new Set(identities.map(({ diskId }) => diskId)).size).toBe(4);
    for (const [index, disk] of disks.entries()) {
      expect(await readIdentity(disk, 'd')).toEqual(identities[index]);
      expect(identities[index]).toMatchObject({ index, k: 2, m: 1, createdAtMs: clock.nowMs() });
      expect(disk.filePaths()).toEqual(['disk.json', 'format-complete', 'journal/first', 'lock']);
    }
  });

  test('goes on after a power cut at any call on any disk, as the same cluster', async () => {
    let crashPoints = 0;
    for (let nth = 1; ; nth++) {
      const cut = { isCut: false };
      const calls = { count: 0 };
      let disks = blank(3);
      const faulty = disks.map((disk) => {
        const fs = new FaultDiskFs(disk, clock);
        const action = (): void => {
          if (++calls.count !== nth) return;
          cut.isCut = true;
          disks = disks.map((other) => other.crash({ random }));
        };
        fs.addFault({ operation: 'any', times: Infinity, effect: { kind: 'do', action } });
        return fs;
      });
      const first = await formatDisks(optionsFor(faulty)).catch(() => undefined);
      if (!cut.isCut) {
        expect(first).toHaveLength(3);
        break;
      }
      crashPoints++;
      const begun = await Promise.all(disks.map((disk) => readIdentity(disk, 'd')));
      const isComplete = disks.every((disk) => disk.filePaths().includes(FORMAT_COMPLETE_FILE));
      if (!isComplete) await formatDisks(optionsFor(disks));
      const after = await Promise.all(disks.map((disk) => readIdentity(disk, 'd')));
      expect(new Set(after.map((identity) => identity?.clusterId)).size).toBe(1);
      expect(after.map((identity) => identity!.index).sort((a, b) => a - b)).toEqual([0, 1, 2]);
      for (const [index, disk] of disks.entries()) {
        if (begun[index] !== undefined) expect(after[index]).toEqual(begun[index]);
        expect(disk.peek('journal/first').toString()).toBe('first');
        expect(disk.filePaths()).toContain(FORMAT_COMPLETE_FILE);
      }
    }
    expect(crashPoints).toBeGreaterThan(40);
  }, 180_000);

  test('refuses a directory that holds anything, and changes nothing then', async () => {
    const disks = blank(3);
    await disks[1]!.createDurable('holiday.jpg');
    expect(await refusalOf(formatDisks(optionsFor(disks)))).toMatch(/\/d1 is not empty.*holiday\.jpg/);
    expect(disks.map((disk) => disk.filePaths())).toEqual([[], ['holiday.jpg'], []]);
  });

  test('refuses disks of another cluster, complete ones, copies, other codes and one directory twice', async () => {
    const one = blank(3);
    const two = blank(3);
    await formatDisks(optionsFor(one));
    await formatDisks(optionsFor(two));
    expect(await refusalOf(formatDisks(optionsFor(one)))).toMatch(/formatted already/);
    expect(await refusalOf(formatDisks(optionsFor([one[0]!, two[1]!, one[2]!])))).toMatch(/belongs to cluster/);
    const clusterId = makeUuid(random);
    expect(await refusalOf(formatDisks(optionsFor([one[0]!, ...blank(2)], { clusterId })))).toMatch(
      /belongs to cluster/,
    );
    const copy = SimulatedDiskFs.fromImage(one[0]!.snapshot());
    expect(await refusalOf(formatDisks(optionsFor([one[0]!, copy, ...blank(1)])))).toMatch(/\/d0 and \/d1 are copies/);
    expect(await refusalOf(formatDisks(optionsFor([one[0]!, ...blank(3)])))).toMatch(/begun as 2\+1 on 3 disks/);
    const [same] = blank(1);
    expect(await refusalOf(formatDisks(optionsFor([same!, ...blank(1), same!])))).toMatch(/\/d0 and \/d2 are the same/);
    expect(await refusalOf(formatDisks(optionsFor(blank(2))))).toMatch(/2\+1 needs at least 3 disks/);
  });
});

describe('disk identity', () => {
  const identity = {
    clusterId: makeUuid(random),
    diskId: '',
    index: 1,
    k: 2,
    m: 1,
    diskIds: [makeUuid(random), makeUuid(random), makeUuid(random)],
    createdAtMs: Date.UTC(2026, 10, 21),
    addedAtSequence: 7,
  };
  identity.diskId = identity.diskIds[1]!;

  test('round-trips', () => {
    expect(decodeIdentity(encodeIdentity(identity), 'd')).toEqual(identity);
  });

  test('a newer format version is refused by its number, also when nothing else is understood', () => {
    const newer = Buffer.from(`{"formatVersion": ${DISK_FORMAT_VERSION + 6}, "disks": "elsewhere"}`);
    expect(() => decodeIdentity(newer, '/d/disk.json')).toThrow(/\/d\/disk\.json has disk format version 7.*up to 1/);
  });

  test('every flipped byte and every cut is noticed', () => {
    const content = encodeIdentity(identity);
    for (let i = 0; i < content.length; i++) {
      const flipped = Buffer.from(content);
      flipped[i] = flipped[i]! ^ 1;
      let decoded: unknown;
      try {
        decoded = decodeIdentity(flipped, 'd');
      } catch (error) {
        expect(isStoreError(error, 'FormatRefused')).toBe(true);
        continue;
      }
      // White space between members may change; what it says may not.
      expect(decoded).toEqual(identity);
    }
    for (let length = 0; length < content.length - 1; length++) {
      expect(() => decodeIdentity(content.subarray(0, length), 'd')).toThrow(/damaged/);
    }
  });

  test('codes outside the limits of the codec or the disks are named', () => {
    expect(codeProblem({ k: 1, m: 0 }, 1)).toBeUndefined();
    expect(codeProblem({ k: 24, m: 6 }, 30)).toBeUndefined();
    for (const [k, m, disks] of [
      [0, 1, 4],
      [25, 1, 40],
      [4, 7, 20],
      [4, -1, 6],
      [1.5, 1, 6],
      [4, 2, 5],
    ] as const) {
      expect(codeProblem({ k, m }, disks)).toBeTypeOf('string');
    }
  });

  test('is absent where there is no file', async () => {
    const fs = new SimulatedDiskFs();
    expect(await readIdentity(fs, 'd')).toBeUndefined();
    await fs.createDurable(IDENTITY_FILE);
    await expect(readIdentity(fs, 'd')).rejects.toThrow(/damaged/);
  });
});
