import { expect, test } from 'vitest';
import { FileWindow } from '../../../src/data-store/repair/file-window.ts';
import { RenewableBuffers } from '../../../src/data-store/volume/renewable-buffers.ts';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { bodyOf } from '../../support/data-store-harness.ts';
import { ManualClock, settle } from '../../support/simulated-clock.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const SLOT_BYTES = 128 * 1024;
const CONTENT = bodyOf('content', 1_000_000);

async function open(slotCount: number) {
  const pool = new RenewableBuffers({ slotSizeBytes: SLOT_BYTES, budgetBytes: slotCount * SLOT_BYTES });
  const disk = new SimulatedDiskFs();
  await disk.createDurable('file');
  disk.poke('file', 0, CONTENT);
  const faults = new FaultDiskFs(disk, new ManualClock());
  const window = new FileWindow(await faults.open('file', 'read'), { pool, slot: await pool.acquire() });
  return { pool, faults, window };
}

test.each([1, 2])(
  '%i buffers: any places, in any order and across their borders, are read as they are',
  async (slots) => {
    const random = new SeededRandomness(7);
    const { window, pool } = await open(slots);
    let at = 0;
    for (let n = 0; n < 400; n++) {
      const length = 1 + random.below(100_000);
      // Mostly on and on; sometimes over a hole, sometimes back.
      at =
        random.below(20) === 0 ? random.below(CONTENT.length) : at + (random.below(5) === 0 ? random.below(90_000) : 0);
      if (at >= CONTENT.length) at = 0;
      const seen = await window.view(at, length);
      expect(seen.equals(CONTENT.subarray(at, at + length)), `${length} bytes at ${at}`).toBe(true);
      at += length;
    }
    await window.close();
    await settle();
    expect(pool.statistics().lentCount).toBe(0);
  },
);

test.each([1, 2])(
  '%i buffers: with two, what follows is being read while somebody works on what is there',
  async (slots) => {
    const { window } = await open(slots);
    for (let at = 0; at < 300_000; at += 16_384) await window.view(at, 16_384);
    await settle();
    expect(window.totalBytes > 300_000 + SLOT_BYTES).toBe(slots === 2);
    await window.close();
  },
);

test('an error in what was read ahead is told where it lies, and not before', async () => {
  const { window, faults } = await open(2);
  await window.view(0, 60_000);
  await window.view(60_000, 60_000);
  faults.addFault({ operation: 'read', times: 3, effect: { kind: 'error', errno: 'EIO' } });
  let at = 120_000;
  const failures: number[] = [];
  for (; at < 700_000; at += 20_000) {
    const seen = await window.view(at, 20_000).catch(() => undefined);
    if (seen === undefined) failures.push(at);
    else expect(seen.equals(CONTENT.subarray(at, at + 20_000)), `at ${at}`).toBe(true);
  }
  expect(failures.length).toBeLessThanOrEqual(1);
  expect(faults.struckCount).toBe(3);
  await window.close();
});
