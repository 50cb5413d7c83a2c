import { describe, expect, test } from 'vitest';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { bodyOf, DataStoreHarness, writeLarge } from '../../support/data-store-harness.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const CODE = { k: 4, m: 2 };
/** Two slots for stripes being written: 2 × 6 shards of the longest kind each. */
const STRIPE_SLOT_BYTES = 2 * 6 * 64 * 1024;

async function startWithFaults() {
  const faults: FaultDiskFs[] = [];
  const clock = new ManualClock();
  const harness = await DataStoreHarness.start({
    code: CODE,
    clock,
    tunables: { stripeBufferBudgetBytes: 2 * STRIPE_SLOT_BYTES, readBufferBudgetBytes: 4 * 6 * 64 * 1024 },
    wrap: (fs, index) => (faults[index] = new FaultDiskFs(fs, clock)),
  });
  return { harness, faults };
}

describe('a disk whose calls never return', () => {
  test('keeps no later write waiting, however many stripes it holds', async () => {
    const { harness, faults } = await startWithFaults();
    await harness.withTime(harness.put(bodyOf('before', 100_000)));
    faults[3]!.addFault({ operation: 'write', path: /volumes/, times: 1000, effect: { kind: 'hang' } });
    const uploads = Array.from({ length: 4 }, async (_, i) => {
      const body = bodyOf(`hung ${i}`, 150_000);
      try {
        const pinned = await writeLarge(harness.store, body, Buffer.from('x'));
        await harness.ledger.commitBlob(pinned.blob);
        pinned.unpin();
        return { blob: pinned.blob, body };
      } catch (error) {
        if (!isStoreError(error)) throw error;
        return undefined;
      }
    });
    await harness.withTime(Promise.all(uploads));
    expect(faults[3]!.hungCount).toBeGreaterThanOrEqual(2);
    for (const size of [500, 120_000]) {
      const body = bodyOf(`after ${size}`, size);
      const blob = await harness.withTime(harness.put(body));
      expect((await harness.get(blob)).equals(body)).toBe(true);
    }
  });
});
