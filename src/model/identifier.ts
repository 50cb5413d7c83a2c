import { assert } from '../errors/assert.ts';

/**
 * Volume ids, blob ids and order numbers are `epoch × 2^32 + counter`, safe integers: unique for ever without a lookup,
 * because an epoch number is reserved on m + 1 disks before anything is written in it and is never used twice.
 */
export const COUNTER_LIMIT = 2 ** 32;
export const EPOCH_LIMIT = 2 ** 21;

export function makeIdentifier({ epoch, counter }: { epoch: number; counter: number }): number {
  assert(Number.isInteger(epoch) && epoch >= 0 && epoch < EPOCH_LIMIT, `epoch out of range: ${epoch}`);
  assert(Number.isInteger(counter) && counter >= 0 && counter < COUNTER_LIMIT, `counter out of range: ${counter}`);
  return epoch * COUNTER_LIMIT + counter;
}
