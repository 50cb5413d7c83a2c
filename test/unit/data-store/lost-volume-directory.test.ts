import { expect, test } from 'vitest';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';

test('a disk whose directory of volumes was removed takes volumes again', async () => {
  const harness = await DataStoreHarness.start({ code: { k: 2, m: 1 } });
  const { cluster } = harness;
  const before = await harness.withTime(harness.put(bodyOf('before', 3000)));
  const [disk] = cluster.disks;
  disk!.wipe();
  let during = before;
  // Until a stripe has had a shard for that disk.
  for (let i = 0; i < 3; i++) during = await harness.withTime(harness.put(bodyOf('during', 3000)));
  expect(cluster.diskSet.disks[0]!.state).toBe('missing');
  // Nothing but the volumes was removed: the watcher and a probe say that the disk is good.
  cluster.diskSet.setState(cluster.diskIds[0]!, 'online');
  await cluster.clock.advance(5000);
  const after = await harness.withTime(harness.put(bodyOf('after', 3000)));
  expect(harness.journal.volumes.get(after.footprint[0]!.volumeId)).toMatchObject({ k: 2, m: 1 });
  for (const [name, blob] of Object.entries({ before, during, after })) {
    expect((await harness.get(blob)).equals(bodyOf(name, 3000)), name).toBe(true);
  }
});
