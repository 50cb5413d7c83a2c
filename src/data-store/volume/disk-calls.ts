import { StoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { DataStoreTunables } from '../tunables.ts';

export interface CallFailure {
  readonly slot: number;
  readonly error: unknown;
}

/** After a stall of the machine calls do not return at the same instant. */
const GRACE_MS = 1000;
/** When so large a part of the calls is late, it is the machine that is slow and not a disk. */
const FEW = 1 / 3;

/**
 * Waits for one call on each of several disks, `deadlineMs` when only a few have not returned by then, at most
 * `longestMs`. Never rejects: a call that failed or was not waited for is in the answer.
 */
export function settleCalls(
  calls: readonly { slot: number; promise: Promise<unknown> }[],
  limits: { clock: Clock; deadlineMs: number; longestMs: number; operation: string },
): Promise<CallFailure[]> {
  const { clock, deadlineMs, longestMs, operation } = limits;
  const few = calls.length === 1 ? 0 : Math.max(1, Math.floor(calls.length * FEW));
  return new Promise((resolve) => {
    const failures: CallFailure[] = [];
    const outstanding = new Set<number>(calls.map((call) => call.slot));
    if (outstanding.size === 0) return resolve(failures);
    let isLate = false;
    const giveUp = (afterMs: number): void => {
      cancel();
      for (const slot of outstanding) {
        const error = new StoreError('DiskTimeout', `${operation} did not return in ${afterMs} ms`);
        failures.push({ slot, error });
      }
      outstanding.clear();
      resolve(failures);
    };
    let cancel = clock.schedule(deadlineMs, () => {
      isLate = true;
      cancel = clock.schedule(Math.max(0, longestMs - deadlineMs), () => giveUp(longestMs));
      if (outstanding.size <= few) giveUp(deadlineMs);
    });
    const settled = (slot: number): void => {
      if (!outstanding.delete(slot)) return;
      if (outstanding.size > 0) {
        if (isLate && outstanding.size === few) {
          cancel();
          cancel = clock.schedule(GRACE_MS, () => giveUp(deadlineMs + GRACE_MS));
        }
        return;
      }
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

/** Of writes and syncs. */
export function deadlinesOf(tunables: Pick<DataStoreTunables, 'syncDeadlineMs' | 'syncLongestMs'>): {
  deadlineMs: number;
  longestMs: number;
} {
  return { deadlineMs: tunables.syncDeadlineMs, longestMs: tunables.syncLongestMs };
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
