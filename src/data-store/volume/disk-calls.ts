import { StoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';

export interface CallFailure {
  readonly slot: number;
  readonly error: unknown;
}

/**
 * Waits for one call on each of several disks, at most `deadlineMs`. Never rejects: a call that failed or has not
 * returned by then is in the answer.
 */
export function settleCalls(
  calls: readonly { slot: number; promise: Promise<unknown> }[],
  { clock, deadlineMs, operation }: { clock: Clock; deadlineMs: number; operation: string },
): Promise<CallFailure[]> {
  return new Promise((resolve) => {
    const failures: CallFailure[] = [];
    const outstanding = new Set<number>(calls.map((call) => call.slot));
    if (outstanding.size === 0) return resolve(failures);
    const cancel = clock.schedule(deadlineMs, () => {
      for (const slot of outstanding) {
        failures.push({
          slot,
          error: new StoreError('DiskTimeout', `${operation} did not return in ${deadlineMs} ms`),
        });
      }
      outstanding.clear();
      resolve(failures);
    });
    const settled = (slot: number): void => {
      if (!outstanding.delete(slot) || outstanding.size > 0) return;
      cancel();
      resolve(failures);
    };
    for (const { slot, promise } of calls) {
      promise.then(
        () => settled(slot),
        (error: unknown) => {
          if (outstanding.has(slot)) failures.push({ slot, error });
          settled(slot);
        },
      );
    }
  });
}

/** Rejects with DiskTimeout or another code when `promise` takes longer. The work itself goes on. */
export function within<T>(promise: Promise<T>, clock: Clock, deadlineMs: number, error: () => StoreError): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(deadlineMs, () => reject(error()));
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (cause: unknown) => {
        cancel();
        reject(cause);
      },
    );
  });
}
