import { expect, test } from 'vitest';
import { BufferPool, type Slot } from '../../../src/memory/buffer-pool.ts';

test('slots begin on pages of shared memory and do not overlap', () => {
  const pool = new BufferPool({ slotSizeBytes: 100_000, budgetBytes: 10 * 131_072, growthSlots: 3 });
  expect(pool.slotSizeBytes).toBe(131_072);
  const slots = Array.from({ length: 10 }, () => pool.tryAcquire()!);
  expect(pool.tryAcquire()).toBeUndefined();
  for (const [i, slot] of slots.entries()) {
    expect(slot.bytes.byteOffset % 65_536).toBe(0);
    expect(slot.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    slot.bytes.fill(i + 1);
  }
  expect(slots.every((slot, i) => slot.bytes.every((byte) => byte === i + 1))).toBe(true);
});

test('grows in steps up to its budget, not at once', () => {
  const pool = new BufferPool({ slotSizeBytes: 65_536, budgetBytes: 5 * 65_536, growthSlots: 2 });
  const counts = Array.from({ length: 5 }, () => {
    pool.tryAcquire();
    return pool.statistics().slotCount;
  });
  expect(counts).toEqual([2, 2, 4, 4, 5]);
  expect(pool.statistics()).toMatchObject({ slotLimit: 5, lentCount: 5, waitingCount: 0 });
});

test('waiters are served in the order they came', async () => {
  const pool = new BufferPool({ slotSizeBytes: 1, budgetBytes: 2 * 65_536 });
  const held: Slot[] = [await pool.acquire(), await pool.acquire()];
  const order: number[] = [];
  const waiters = Array.from({ length: 3000 }, (_, i) =>
    pool.acquire().then((slot) => {
      order.push(i);
      pool.release(slot);
    }),
  );
  expect(pool.statistics()).toMatchObject({ waitingCount: 3000, waitedCount: 3000 });
  for (const slot of held) pool.release(slot);
  await Promise.all(waiters);
  expect(order).toEqual(Array.from({ length: 3000 }, (_, i) => i));
  expect(pool.statistics()).toMatchObject({ lentCount: 0, waitingCount: 0, slotCount: 2 });
});

test('a slot released twice is a bug, also when its bytes are lent to another by then', async () => {
  const pool = new BufferPool({ slotSizeBytes: 1, budgetBytes: 65_536 });
  const first = await pool.acquire();
  const second = pool.acquire();
  pool.release(first);
  await second;
  expect(() => pool.release(first)).toThrow(/twice/);
});
