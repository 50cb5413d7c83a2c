import { expect, test } from 'vitest';
import { RenewableBuffers } from '../../../src/data-store/volume/renewable-buffers.ts';

const SLOT = 65_536;

test('slots that hung calls keep are replaced, and none of them is lent again before its call returned', async () => {
  const buffers = new RenewableBuffers({ slotSizeBytes: SLOT, budgetBytes: 4 * SLOT });
  const returned: (() => void)[] = [];
  const stuck = new Set<Buffer>();
  for (let i = 0; i < 4; i++) {
    const slot = buffers.tryAcquire()!;
    stuck.add(slot.bytes);
    buffers.abandon(slot, new Promise<void>((resolve) => returned.push(resolve)));
  }
  const lent = Array.from({ length: 2 }, () => buffers.tryAcquire()!);
  for (const slot of lent) expect(stuck.has(slot.bytes)).toBe(false);
  for (const slot of lent) buffers.release(slot);
  for (const resolve of returned) resolve();
  await Promise.resolve();
  await Promise.resolve();
  const again = buffers.tryAcquire()!;
  buffers.release(again);
});

test('waiters are served in order, also by a new generation', async () => {
  const buffers = new RenewableBuffers({ slotSizeBytes: SLOT, budgetBytes: 2 * SLOT });
  const held = [buffers.tryAcquire()!, buffers.tryAcquire()!];
  expect(buffers.tryAcquire()).toBeUndefined();
  const order: number[] = [];
  const waiting = [1, 2, 3].map(async (name) => {
    const slot = await buffers.acquire();
    order.push(name);
    return slot;
  });
  expect(buffers.statistics().waitingCount).toBe(3);
  buffers.abandon(held[0]!, new Promise(() => {}));
  await Promise.all(waiting.slice(0, 2));
  expect(order).toEqual([1, 2]);
  buffers.release(await waiting[0]!);
  await waiting[2];
  expect(order).toEqual([1, 2, 3]);
});
