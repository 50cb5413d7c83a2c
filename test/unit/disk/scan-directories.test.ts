import { expect, test } from 'vitest';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { formatDisks } from '../../../src/disk/format-disks.ts';
import { scanDirectories, type DirectoryScan } from '../../../src/disk/scan-directory.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const PATHS = ['a', 'b', 'c', 'd'];

/** Looks at four disks of 2+2, some of which hang, and tells what was found and how long it took. */
async function scanWithHung(
  hung: readonly string[],
  { isPatient = false }: { isPatient?: boolean } = {},
): Promise<{ scans: DirectoryScan[]; tookMs: number }> {
  const clock = new ManualClock();
  const disks = new Map(PATHS.map((path) => [path, new FaultDiskFs(new SimulatedDiskFs({ name: path }), clock)]));
  const makeFs = (path: string) => disks.get(path)!;
  const random = new SeededRandomness(1);
  await formatDisks({ paths: PATHS, code: { k: 2, m: 2 }, random, clock, makeFs, initializeDisk: async () => {} });
  for (const path of hung) makeFs(path).addFault({ operation: 'any', times: Infinity, effect: { kind: 'hang' } });
  const state: { scans?: DirectoryScan[] } = {};
  void scanDirectories(PATHS, makeFs, { clock, deadlineMs: 10_000, isPatient }).then((all) => (state.scans = all));
  for (let waited = 0; state.scans === undefined && waited < 200; waited++) await clock.advance(100);
  return { scans: state.scans ?? [], tookMs: clock.monotonicMs() };
}

test('a start waits two seconds for a directory that hangs when all but m disks have answered', async () => {
  const { scans, tookMs } = await scanWithHung(['b']);
  expect(scans.map(({ found }) => found)).toEqual(['disk', 'unreadable', 'disk', 'disk']);
  expect(tookMs).toBeLessThan(3000);
});

test('with as many disks hung as leave no write quorum it waits for all of the deadline', async () => {
  const { scans, tookMs } = await scanWithHung(['b', 'd']);
  expect(scans.map(({ found }) => found)).toEqual(['disk', 'unreadable', 'disk', 'unreadable']);
  expect(tookMs).toBeGreaterThanOrEqual(10_000);
});

test('a recovery waits for a directory that hangs, whatever the others are enough for', async () => {
  const { scans, tookMs } = await scanWithHung(['b'], { isPatient: true });
  expect(scans.map(({ found }) => found)).toEqual(['disk', 'unreadable', 'disk', 'disk']);
  expect(tookMs).toBeGreaterThanOrEqual(10_000);
});
