import { expect, test } from 'vitest';
import type { DiskFile } from '../../../src/disk/disk-fs.ts';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { formatDisks } from '../../../src/disk/format-disks.ts';
import { LocalDiskSet } from '../../../src/disk/local-disk-set.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const PATHS = ['/a', '/b', '/c', '/d'];
const random = new SeededRandomness(3);

/** Four disks on which something is written ten times a second; delays are simulated time. */
async function busyDisks() {
  const clock = new ManualClock();
  const disks = new Map(PATHS.map((path) => [path, new SimulatedDiskFs({ name: path })]));
  const faults = new Map<string, FaultDiskFs[]>(PATHS.map((path) => [path, []]));
  const shared = { random, clock, code: { k: 2, m: 2 }, paths: PATHS };
  await formatDisks({ ...shared, makeFs: (path) => disks.get(path)!, initializeDisk: async () => {} });
  const set = await LocalDiskSet.open({
    ...shared,
    log: silentLog,
    reserveBytes: 0,
    makeFs: (path) => {
      const faulty = new FaultDiskFs(disks.get(path)!, clock);
      faults.get(path)!.push(faulty);
      return faulty;
    },
    acquireLock: () => ({ release: () => {} }),
  });
  const files: DiskFile[] = [];
  for (const disk of set.disks) {
    await disk.fs.createDurable('file');
    files.push(await disk.fs.open('file', 'write'));
  }
  const slow = (path: string, delayMs: number): void => {
    for (const fault of faults.get(path)!) {
      fault.clearFaults();
      if (delayMs > 0) fault.addFault({ operation: 'any', times: Infinity, effect: { kind: 'delay', delayMs } });
    }
  };
  /** A write on a disk waits for the one before it. */
  const under = new Map<number, Promise<void>>();
  const work = async (seconds: number): Promise<void> => {
    for (let tick = 0; tick < seconds * 10; tick++) {
      for (const [index, file] of files.entries()) {
        if (under.has(index) || set.disks[index]!.state !== 'online') continue;
        const write = file.write(Buffer.alloc(512), 0).finally(() => under.delete(index));
        under.set(index, write);
      }
      await clock.advance(100);
    }
  };
  const close = async (): Promise<void> => {
    const closing = set.close();
    await clock.advance(2000);
    await closing;
  };
  return { set, slow, work, close, states: () => set.disks.map(({ state }) => state) };
}

test('a disk at 100 ms a call is suspect within five seconds, stays readable, and is back when it is fast again', async () => {
  const { set, slow, work, close, states } = await busyDisks();
  await work(3);
  expect(states()).toEqual(['online', 'online', 'online', 'online']);
  slow('/c', 100);
  await work(5);
  expect(states()).toEqual(['online', 'online', 'suspect', 'online']);
  expect(set.disks[2]).toMatchObject({
    acceptsData: false,
    stateReason: expect.stringMatching(/takes 100 ms/) as unknown,
  });
  await work(60);
  expect(states()[2]).toBe('suspect');
  slow('/c', 0);
  await work(70);
  expect(states()).toEqual(['online', 'online', 'online', 'online']);
  await close();
});

test('disks that are all slow, or half of them, are left alone: nothing would be won', async () => {
  const { slow, work, close, states } = await busyDisks();
  for (const path of PATHS) slow(path, 120);
  await work(8);
  expect(states()).toEqual(['online', 'online', 'online', 'online']);
  slow('/a', 0);
  slow('/b', 0);
  await work(8);
  expect(states()).toEqual(['online', 'online', 'online', 'online']);
  await close();
});

test('a single long pause of a disk is forgiven', async () => {
  const { slow, work, close, states } = await busyDisks();
  await work(2);
  slow('/d', 900);
  await work(1);
  slow('/d', 0);
  await work(5);
  expect(states()).toEqual(['online', 'online', 'online', 'online']);
  await close();
});
