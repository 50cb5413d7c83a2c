import type { Clock } from '../../model/clock.ts';

export interface Deadline {
  readonly atMs: number;
  readonly onMissed: () => void;
}

/** Deadlines are seen to be missed this much late at most. */
const TICK_MS = 5;

/**
 * Deadlines of many short calls, nearly none of which is missed: one timer looks at all that are under way, because a
 * timer for each costs as much as the rest of a small read. It runs only while there are any.
 */
export class CoarseDeadlines {
  readonly #clock: Clock;
  readonly #pending = new Set<Deadline>();
  #isScheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `onMissed` is called once, unless `cancel` comes first. */
  set(delayMs: number, onMissed: () => void): Deadline {
    const deadline = { atMs: this.#clock.monotonicMs() + delayMs, onMissed };
    this.#pending.add(deadline);
    if (!this.#isScheduled) this.#schedule();
    return deadline;
  }

  cancel(deadline: Deadline): void {
    this.#pending.delete(deadline);
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#clock.schedule(TICK_MS, () => {
      this.#isScheduled = false;
      const nowMs = this.#clock.monotonicMs();
      for (const deadline of this.#pending) {
        if (deadline.atMs > nowMs) continue;
        this.#pending.delete(deadline);
        deadline.onMissed();
      }
      if (this.#pending.size > 0 && !this.#isScheduled) this.#schedule();
    });
  }
}
