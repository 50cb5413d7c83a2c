import type { Clock } from '../../src/model/clock.ts';

interface Timer {
  dueMs: number;
  order: number;
  callback: () => void;
}

/** Time that passes only when a test says so. Wall clock and monotonic clock can be set apart. */
export class ManualClock implements Clock {
  #monotonicMs = 0;
  #wallOffsetMs: number;
  #timers: Timer[] = [];
  #order = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = startMs;
  }

  nowMs(): number {
    // Whole, as `Date.now` is: records take nothing else.
    return this.#wallOffsetMs + Math.floor(this.#monotonicMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** The wall clock jumps, monotonic time and timers do not. */
  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  /** Runs what is due in order of time; lets promises settle before, between and after timers. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#monotonicMs + byMs;
    await settle();
    for (;;) {
      const next = this.#timers
        .filter((timer) => timer.dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#monotonicMs = Math.max(this.#monotonicMs, next.dueMs);
      next.callback();
      await settle();
    }
    this.#monotonicMs = endMs;
  }
}

/** Lets everything that needs only microtasks come to an end. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
