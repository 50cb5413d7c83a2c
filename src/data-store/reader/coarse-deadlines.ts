import type { Clock } from '../../model/clock.ts';

export interface Deadline {
  readonly atMs: number;
  readonly atTick: number;
  readonly onMissed: () => void;
}

/** Deadlines are seen to be missed this much late at most. */
const TICK_MS = 5;

/**
 * Deadlines of many short calls, nearly none of which is missed: one timer looks at all that are under way, because a
 * timer for each costs as much as the rest of a small read. It runs only while there are any. Its ticks count beside the
 * clock: between two of them the process has seen what has returned meanwhile, so that its own stalls and a machine with
 * more work than cores are not taken for slow disks.
 */
export class CoarseDeadlines {
  readonly #clock: Clock;
  readonly #pending = new Set<Deadline>();
  #isScheduled = false;
  #tick = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `onMissed` is called once, unless `cancel` comes first. */
  set(delayMs: number, onMissed: () => void): Deadline {
    const atTick = this.#tick + Math.floor(delayMs / TICK_MS);
    const deadline = { atMs: this.#clock.monotonicMs() + delayMs, atTick, onMissed };
    this.#pending.add(deadline);
    if (!this.#isScheduled) this.#schedule();
    return deadline;
  }

  /** `promise`, or `error` when it has not settled in time. The work itself goes on. */
  within<T>(promise: Promise<T>, delayMs: number, error: () => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      const deadline = this.set(delayMs, () => reject(error()));
      promise.then(
        (value) => {
          this.cancel(deadline);
          resolve(value);
        },
        (cause: unknown) => {
          this.cancel(deadline);
          reject(cause);
        },
      );
    });
  }

  cancel(deadline: Deadline): void {
    this.#pending.delete(deadline);
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#clock.schedule(TICK_MS, () => {
      this.#isScheduled = false;
      this.#tick++;
      const nowMs = this.#clock.monotonicMs();
      for (const deadline of this.#pending) {
        if (deadline.atMs > nowMs || deadline.atTick > this.#tick) continue;
        this.#pending.delete(deadline);
        deadline.onMissed();
      }
      if (this.#pending.size > 0 && !this.#isScheduled) this.#schedule();
    });
  }
}
