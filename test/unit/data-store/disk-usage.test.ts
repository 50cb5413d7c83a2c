import { expect, test } from 'vitest';
import type { BlobRecord } from '../../../src/model/blob.ts';
import type { DiskFs } from '../../../src/disk/disk-fs.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';

/** Counts the looks at shard files. */
function counting(looks: { count: number }): (fs: DiskFs) => DiskFs {
  return (fs) =>
    new Proxy(fs, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name === 'stat') looks.count += 1;
        return value.bind(target) as unknown;
      },
    });
}

test('measuring looks again only at files that may have changed, and sees what comes and goes', async () => {
  const looks = { count: 0 };
  const harness = await DataStoreHarness.start({ code: { k: 2, m: 1 }, wrap: counting(looks) });
  const measure = async () => {
    looks.count = 0;
    const usage = await harness.withTime(harness.store.diskUsage());
    return { looks: looks.count, bytes: [...usage.values()].map(({ volumeBytes }) => volumeBytes) };
  };
  const sizes = (): number[] =>
    harness.cluster.disks.map((disk) =>
      disk
        .filePaths()
        .filter((path) => path.startsWith('volumes/'))
        .reduce((sum, path) => sum + disk.peek(path).length, 0),
    );
  const blobs: BlobRecord[] = [];
  for (let i = 0; i < 10; i++) {
    blobs.push(await harness.withTime(harness.put(bodyOf(`blob ${i}`, 40_000))));
    await harness.sealAll();
  }
  const first = await measure();
  expect(first.looks).toBe(30);
  expect(first.bytes).toEqual(sizes());
  expect((await measure()).looks, 'the second look confirms').toBe(30);
  const third = await measure();
  expect(third.looks).toBeLessThanOrEqual(3);
  expect(third.bytes).toEqual(sizes());
  const added = await harness.withTime(harness.put(bodyOf('new', 40_000)));
  expect((await measure()).bytes).toEqual(sizes());
  const { volumeId } = blobs[0]!.footprint[0]!;
  await harness.ledger.removeBlob(blobs[0]!.blobId);
  await harness.ledger.dropVolume(volumeId);
  await harness.withTime(harness.store.removeVolumeFiles(harness.journal.volumes.get(volumeId)!));
  const last = await measure();
  expect(last.bytes).toEqual(sizes());
  expect(last.looks).toBeLessThanOrEqual(6);
  expect((await harness.get(added)).length).toBe(40_000);
});
