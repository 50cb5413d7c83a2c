import { isStoreError } from '../../errors/store-error.ts';
import type { BufferPool, Slot } from '../../memory/buffer-pool.ts';

/**
 * Gives a slot back when all calls that use it have settled. A call that missed its deadline may still read or write
 * the buffer: such a slot is never lent again (its memory stays with the hung call), because a late read into a buffer
 * that somebody else has verified meanwhile would put wrong bytes into an answer.
 */
export function releaseWhenSettled(pool: BufferPool, slot: Slot, calls: readonly Promise<unknown>[]): void {
  void Promise.allSettled(calls).then((results) => {
    if (!results.some((result) => result.status === 'rejected' && isStoreError(result.reason, 'DiskTimeout'))) {
      pool.release(slot);
    }
  });
}
