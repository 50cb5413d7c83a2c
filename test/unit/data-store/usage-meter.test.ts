import { expect, test } from 'vitest';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

test('a disk that hangs keeps what it had, and nobody waits for it longer than a second', async () => {
  const clock = new ManualClock();
  const faults: FaultDiskFs[] = [];
  const harness = await DataStoreHarness.start({
    code: { k: 2, m: 1 },
    clock,
    wrap: (fs, index) => (faults[index] = new FaultDiskFs(fs, clock)),
  });
  await harness.withTime(harness.put(bodyOf('body', 9000)));
  const before = await harness.withTime(harness.store.diskUsage());
  expect(before.get(harness.cluster.diskIds[1]!)!.volumeBytes).toBeGreaterThan(0);
  faults[1]!.addFault({ operation: 'any', times: Infinity, effect: { kind: 'hang' } });
  const beganAtMs = clock.monotonicMs();
  const during = await harness.withTime(harness.store.diskUsage());
  expect(clock.monotonicMs() - beganAtMs).toBeLessThan(1500);
  expect(during).toEqual(before);
  // One look hangs there, and no second one.
  const { hungCount } = faults[1]!;
  expect(hungCount).toBeGreaterThan(0);
  await harness.withTime(harness.store.diskUsage());
  expect(faults[1]!.hungCount).toBe(hungCount);
  faults[1]!.clearFaults();
  faults[1]!.releaseHung();
  await harness.withTime(harness.store.stop());
});
