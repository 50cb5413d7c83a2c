import { whenReturned } from '../../disk/guarded-disk-fs.ts';
import type { Slot } from '../../memory/buffer-pool.ts';
import type { RenewableBuffers } from './renewable-buffers.ts';

/**
 * Gives a slot back when all calls that use it have really returned. A call that missed its deadline may still read or
 * write the buffer: lent again before, a late read would put wrong bytes into what somebody else has verified meanwhile.
 */
export function releaseWhenSettled(pool: RenewableBuffers, slot: Slot, calls: readonly Promise<unknown>[]): void {
  if (calls.length === 0) return pool.release(slot);
  let isSettled = false;
  const late: Promise<void>[] = [];
  const settled = Promise.all(
    calls.map((call) => call.catch((error: unknown) => void late.push(whenReturned(error)))),
  ).then(() => {
    isSettled = true;
    return Promise.all(late);
  });
  // In the usual case all have settled already, and the slot is back before anybody asks for the next one.
  setImmediate(() => {
    if (!isSettled || late.length > 0) pool.abandon(slot, settled);
    else pool.release(slot);
  });
}
