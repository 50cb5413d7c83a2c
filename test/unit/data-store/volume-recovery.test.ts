import { describe, expect, test } from 'vitest';
import { volumePath } from '../../../src/data-store/volume/volume-file.ts';
import type { DiskFs } from '../../../src/disk/disk-fs.ts';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import type { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const CODE = { k: 2, m: 1 };

describe('a start', () => {
  test('seals volumes of earlier runs, cuts what was written ahead and never appends to them', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blob = await harness.withTime(harness.put(bodyOf('a', 3000)));
    const { volumeId } = blob.footprint[0]!;
    // Zeros are being written ahead.
    await harness.cluster.clock.advance(10);
    expect(harness.cluster.disks[0]!.peek(volumePath(volumeId)).length).toBeGreaterThan(100_000);
    harness.crash('keep-all');
    await harness.restart();
    const volume = harness.journal.volumes.get(volumeId)!;
    expect(volume.state).toBe('sealed');
    for (const disk of harness.cluster.disks) {
      expect(disk.peek(volumePath(volumeId)).length).toBeLessThanOrEqual(volume.lengthBytes);
    }
    expect(volume.lengthBytes).toBeLessThan(10_000);
    const next = await harness.withTime(harness.put(bodyOf('b', 3000)));
    expect(next.footprint[0]!.volumeId).not.toBe(volumeId);
    expect((await harness.get(blob)).equals(bodyOf('a', 3000))).toBe(true);
  });

  test('keeps bodies that end in zeros, the last of a volume included', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const zeros = await harness.withTime(harness.put(Buffer.alloc(9000)));
    harness.crash('keep-all');
    await harness.restart();
    harness.cluster.detach([1]);
    expect((await harness.get(zeros)).equals(Buffer.alloc(9000))).toBe(true);
    expect(harness.store.takeDamage()).toEqual([]);
  });

  test('moves files that the journal does not know into quarantine and deletes nothing', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    await harness.withTime(harness.put(bodyOf('a', 3000)));
    const [disk] = harness.cluster.disks;
    const unknown = volumePath(123_456);
    for (const path of [unknown, 'volumes/notes.txt']) {
      await disk!.createDurable(path);
      disk!.poke(path, 0, Buffer.from(`content of ${path}`));
    }
    await harness.withTime(harness.store.stop());
    harness.cluster.restart();
    await harness.restart();
    const paths = harness.cluster.disks[0]!.filePaths();
    expect(paths.filter((path) => path.startsWith('quarantine/'))).toEqual([
      unknown.replace('volumes/', 'quarantine/'),
      'quarantine/notes.txt',
    ]);
    expect(harness.cluster.disks[0]!.peek('quarantine/notes.txt').toString()).toBe('content of volumes/notes.txt');
    const usage = (await harness.withTime(harness.store.diskUsage())).get(harness.cluster.diskIds[0]!)!;
    expect(usage.quarantinedBytes).toBeGreaterThan(0);
  });

  test('looks at a disk that is levelled while the start is under way', async () => {
    const clock = new ManualClock();
    let first: FaultDiskFs | undefined;
    const wrap = (fs: SimulatedDiskFs, index: number): DiskFs => {
      if (index > 0) return fs;
      return (first = new FaultDiskFs(fs, clock));
    };
    const harness = await DataStoreHarness.start({ code: CODE, clock, wrap });
    await harness.withTime(harness.put(bodyOf('a', 3000)));
    const unknown = volumePath(123_456);
    await harness.cluster.disks[2]!.createDurable(unknown);
    await harness.withTime(harness.store.stop());
    harness.cluster.restart();
    const { diskSet, diskIds } = harness.cluster;
    diskSet.setState(diskIds[2]!, 'returning');
    first!.addFault({ operation: 'list', effect: { kind: 'do', action: () => diskSet.markLevel(diskIds[2]!) } });
    await harness.restart();
    await harness.cluster.clock.advance(10);
    expect(harness.cluster.disks[2]!.filePaths()).toContain(unknown.replace('volumes/', 'quarantine/'));
  });

  test('finishes drops that were acknowledged and not carried out', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blob = await harness.withTime(harness.put(bodyOf('a', 3000)));
    await harness.ledger.removeBlob(blob.blobId);
    expect(harness.journal.drop(blob.footprint[0]!.volumeId)).toBe(true);
    harness.crash('keep-all');
    await harness.restart();
    expect(harness.journal.volumes.size).toBe(0);
    expect(harness.cluster.disks.flatMap((disk) => disk.filePaths())).toEqual([]);
  });

  test('goes on to read while the journal takes no writes, and seals later', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blob = await harness.withTime(harness.put(bodyOf('a', 3000)));
    harness.crash('keep-all');
    const seal = harness.journal.change.bind(harness.journal);
    harness.journal.change = () => {
      throw new Error('no quorum');
    };
    await harness.restart();
    expect((await harness.get(blob)).equals(bodyOf('a', 3000))).toBe(true);
    expect(harness.journal.volumes.get(blob.footprint[0]!.volumeId)!.state).toBe('open');
    harness.journal.change = seal;
    await harness.cluster.clock.advance(6000);
    expect(harness.journal.volumes.get(blob.footprint[0]!.volumeId)!.state).toBe('sealed');
  });

  test('a disk that comes back later is inspected then', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const [disk] = harness.cluster.disks;
    harness.cluster.detach([0]);
    await harness.withTime(harness.put(bodyOf('narrow', 3000)));
    disk!.attach();
    await disk!.createDirectoryDurable('volumes');
    await disk!.createDurable(volumePath(99));
    harness.cluster.attach([0]);
    harness.cluster.diskSet.markLevel(harness.cluster.diskIds[0]!);
    for (let i = 0; i < 20; i++) await harness.cluster.clock.advance(1);
    expect(disk!.filePaths()).toEqual([volumePath(99).replace('volumes/', 'quarantine/')]);
  });
});
