import type { Clock } from '../../model/clock.ts';

interface Failures {
  count: number;
  countedAtMs: number;
}

/** So many failures in a short time are the slips of somebody who sets up a client. */
const FREE_FAILURES = 10;
const DELAY_PER_FAILURE_MS = 50;
const LONGEST_DELAY_MS = 2_000;
/** In which half of the failures are forgotten. */
const HALF_LIFE_MS = 60_000;
const REMEMBERED_ADDRESSES = 20_000;

/**
 * Counts requests whose signature or key is not right, by the address they come from, and says how long the refusal of
 * one more is held back. Never by access key, and only the refusals: forged requests in somebody's name delay nobody else.
 */
export class FailedSignatures {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #byAddress = new Map<string, Failures>();
  /** All there ever were. */
  failureCount = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Milliseconds to hold the refusal back. */
  failed(address: string): number {
    this.failureCount += 1;
    const nowMs = this.#clock.monotonicMs();
    const before = this.#byAddress.get(address);
    const count = 1 + (before === undefined ? 0 : before.count * 0.5 ** ((nowMs - before.countedAtMs) / HALF_LIFE_MS));
    // The one that failed last stands last.
    this.#byAddress.delete(address);
    this.#byAddress.set(address, { count, countedAtMs: nowMs });
    if (this.#byAddress.size > REMEMBERED_ADDRESSES) {
      const [oldest] = this.#byAddress.keys();
      this.#byAddress.delete(oldest!);
    }
    return Math.min(LONGEST_DELAY_MS, Math.max(0, count - FREE_FAILURES) * DELAY_PER_FAILURE_MS);
  }
}
