import { describe, expect, test } from 'vitest';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { SimulatedCluster } from '../../support/simulated-cluster.ts';

describe('SimulatedCluster', () => {
  test('each disk keeps its own part of what was not synced, the same for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const cluster = new SimulatedCluster({ diskCount: 6, seed });
      await Promise.all(
        cluster.diskSet.disks.map(async ({ fs }) => {
          await fs.createDurable('a');
          const file = await fs.open('a', 'write');
          await file.write(Buffer.from('synced'), 0);
          await file.datasync();
          await file.write(Buffer.from('WRITES'), 0);
        }),
      );
      const old = cluster.diskSet;
      cluster.crash();
      await expect(old.disks[0]!.fs.list('')).rejects.toThrow();
      return cluster.disks.map((disk) => disk.peek('a').toString()).join();
    };
    const outcome = await run(7);
    expect(await run(7)).toBe(outcome);
    expect(new Set(outcome.split(','))).toEqual(new Set(['synced', 'WRITES']));
  });

  test('detached disks are missing, also after a restart, and return when attached', async () => {
    const cluster = new SimulatedCluster({ diskCount: 4 });
    const changes: string[] = [];
    cluster.diskSet.onChange((disk, before) => changes.push(`${disk.index} ${before} ${disk.state}`));
    cluster.detach([1, 3], { isNoticed: false });
    expect(cluster.diskSet.disks[1]!.state).toBe('online');
    await expect(cluster.diskSet.disks[1]!.fs.list('')).rejects.toThrow(/missing/);
    cluster.noticeDetached();
    cluster.attach([3]);
    cluster.diskSet.markLevel(cluster.diskIds[3]!);
    expect(changes).toEqual(['1 online missing', '3 online missing', '3 missing returning', '3 returning online']);
    cluster.restart();
    expect(cluster.diskSet.disks.map((disk) => disk.state)).toEqual(['online', 'missing', 'online', 'online']);
  });

  test('a stale copy takes the place of a disk', async () => {
    const cluster = new SimulatedCluster({ diskCount: 2 });
    await cluster.diskSet.disks[0]!.fs.createDurable('then');
    const image = cluster.disks[0]!.snapshot();
    await cluster.diskSet.disks[0]!.fs.createDurable('now');
    cluster.replaceContent(0, image);
    cluster.restart();
    expect(await cluster.diskSet.disks[0]!.fs.list('')).toEqual(['then']);
  });

  test('stands on whatever wraps its disks', async () => {
    const clock = new ManualClock();
    const faults: FaultDiskFs[] = [];
    const cluster = new SimulatedCluster({
      diskCount: 2,
      clock,
      wrap: (fs, index) => (faults[index] = new FaultDiskFs(fs, clock)),
    });
    faults[1]!.addFault({ operation: 'createDurable', effect: { kind: 'error', errno: 'EIO' } });
    await cluster.diskSet.disks[0]!.fs.createDurable('a');
    await expect(cluster.diskSet.disks[1]!.fs.createDurable('a')).rejects.toThrow(/EIO/);
    cluster.diskSet.reportFailure(cluster.diskIds[1]!, { operation: 'createDurable', error: new Error('EIO') });
    expect(cluster.diskSet.disks.map((disk) => disk.state)).toEqual(['online', 'failed']);
  });
});

describe('ManualClock', () => {
  test('runs timers in order of time when it is advanced, those they set included', async () => {
    const clock = new ManualClock(1000);
    const seen: string[] = [];
    clock.schedule(20, () => seen.push(`b${clock.monotonicMs()}`));
    const cancel = clock.schedule(15, () => seen.push('cancelled'));
    clock.schedule(10, () => {
      seen.push(`a${clock.monotonicMs()}`);
      clock.schedule(5, () => seen.push(`c${clock.monotonicMs()}`));
    });
    cancel();
    await clock.advance(9);
    expect(seen).toEqual([]);
    await clock.advance(21);
    expect(seen).toEqual(['a10', 'c15', 'b20']);
    clock.jumpWallClock(-500);
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([530, 30]);
  });
});
