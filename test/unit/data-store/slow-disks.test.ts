import { describe, expect, test } from 'vitest';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const CODE = { k: 4, m: 2 };

async function startWithBlobs() {
  const faults: FaultDiskFs[] = [];
  const clock = new ManualClock();
  const harness = await DataStoreHarness.start({
    code: CODE,
    clock,
    wrap: (fs, index) => (faults[index] = new FaultDiskFs(fs, clock)),
  });
  const blobs: { blob: BlobRecord; body: Buffer }[] = [];
  for (const size of [3000, 12_000, 200_000]) {
    const body = bodyOf(`slow/${size}`, size);
    blobs.push({ body, blob: await harness.withTime(harness.put(body)) });
  }
  return { harness, faults, blobs };
}

describe('reading', () => {
  test('goes around disks that hang in a read, and their buffers are not used again before they return', async () => {
    const { harness, faults, blobs } = await startWithBlobs();
    for (const index of [1, 3]) faults[index]!.addFault({ operation: 'read', times: 1000, effect: { kind: 'hang' } });
    for (let round = 0; round < 3; round++) {
      for (const { blob, body } of blobs) expect((await harness.get(blob)).equals(body)).toBe(true);
    }
    for (const index of [1, 3]) {
      faults[index]!.clearFaults();
      faults[index]!.releaseHung();
    }
    for (const { blob, body } of blobs) expect((await harness.get(blob)).equals(body)).toBe(true);
    expect(harness.store.takeDamage()).toEqual([]);
  });

  test('waits for a disk of 100 ms among fast ones only once in a while', async () => {
    const { harness, faults, blobs } = await startWithBlobs();
    const healthy = [0, 1, 3, 4, 5];
    faults[2]!.addFault({ operation: 'read', times: 10_000, effect: { kind: 'delay', delayMs: 100 } });
    const before = faults.map((fs) => fs.countOf('read'));
    for (let round = 0; round < 15; round++) {
      for (const { blob, body } of blobs) expect((await harness.get(blob)).equals(body)).toBe(true);
    }
    const counts = faults.map((fs, index) => fs.countOf('read') - before[index]!);
    const typical = healthy.reduce((sum, index) => sum + counts[index]!, 0) / healthy.length;
    expect(counts[2]).toBeGreaterThan(0);
    expect(counts[2]).toBeLessThan(typical / 3);
  });

  test('with EIO from two disks is right, and the damage is recorded as unreadable', async () => {
    const { harness, faults, blobs } = await startWithBlobs();
    const { diskSet, diskIds } = harness.cluster;
    for (const index of [0, 5]) {
      faults[index]!.addFault({ operation: 'read', times: 1000, effect: { kind: 'error', errno: 'EIO' } });
    }
    diskSet.reportFailure = () => {};
    for (const { blob, body } of blobs) expect((await harness.get(blob)).equals(body)).toBe(true);
    const damage = harness.store.takeDamage();
    expect(new Set(damage.map(({ kind }) => kind))).toEqual(new Set(['unreadable']));
    for (const { diskId } of damage) expect([diskIds[0], diskIds[5]]).toContain(diskId);
  });

  test('uses disks that are not online only when nothing else is left', async () => {
    const { harness, blobs, faults } = await startWithBlobs();
    const { diskSet, diskIds } = harness.cluster;
    for (const index of [0, 1]) diskSet.setState(diskIds[index]!, 'returning');
    const before = [0, 1].map((index) => faults[index]!.countOf('read'));
    for (const { blob, body } of blobs) expect((await harness.get(blob)).equals(body)).toBe(true);
    expect([0, 1].map((index) => faults[index]!.countOf('read'))).toEqual(before);
    for (const index of [2, 3]) diskSet.setState(diskIds[index]!, 'missing');
    for (const { blob, body } of blobs) expect((await harness.get(blob)).equals(body)).toBe(true);
  });
});
