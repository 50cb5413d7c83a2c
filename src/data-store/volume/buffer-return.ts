import { whenReturned } from '../../disk/guarded-disk-fs.ts';
import type { BufferPool, Slot } from '../../memory/buffer-pool.ts';

/**
 * Gives a slot back when all calls that use it have really returned. A call that missed its deadline may still read or
 * write the buffer: lent again before, a late read would put wrong bytes into what somebody else has verified meanwhile.
 */
export function releaseWhenSettled(pool: BufferPool, slot: Slot, calls: readonly Promise<unknown>[]): void {
  const returned = calls.map((call) => call.catch((error: unknown) => whenReturned(error)));
  void Promise.all(returned).then(() => pool.release(slot));
}
