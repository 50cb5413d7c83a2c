import type { Clock } from '../../model/clock.ts';

interface Bucket {
  tokens: number;
  refilledAtMs: number;
}

/** Names that are remembered; a full bucket says nothing and is forgotten first. */
const REMEMBERED_NAMES = 20_000;

/**
 * An allowance for each name: it refills steadily and holds what one second brings. Whoever has anything left may go on,
 * and what turns out to be more becomes a debt that is waited for. Costs one map lookup.
 */
export class TokenBuckets {
  readonly #perSecond: number;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #buckets = new Map<string, Bucket>();

  constructor({ perSecond, clock }: { perSecond: number; clock: Pick<Clock, 'monotonicMs'> }) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Milliseconds until something is left; 0: there is. Takes nothing. */
  waitMs(name: string): number {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) return 0;
    this.#refill(bucket);
    // Below one whole token nothing is left: rates of less than one in a second are rates as well.
    const missing = Math.min(1, this.#perSecond) - bucket.tokens;
    return missing <= 0 ? 0 : Math.ceil((missing / this.#perSecond) * 1000);
  }

  take(name: string, count: number): void {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      if (this.#buckets.size >= REMEMBERED_NAMES) this.#forget();
      bucket = { tokens: this.#capacity, refilledAtMs: this.#clock.monotonicMs() };
      this.#buckets.set(name, bucket);
    } else {
      this.#refill(bucket);
    }
    bucket.tokens -= count;
  }

  get size(): number {
    return this.#buckets.size;
  }

  get #capacity(): number {
    return Math.max(1, this.#perSecond);
  }

  #refill(bucket: Bucket): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - bucket.refilledAtMs) / 1000) * this.#perSecond;
    bucket.tokens = Math.min(this.#capacity, bucket.tokens + gained);
    bucket.refilledAtMs = nowMs;
  }

  /** The full ones; if none is, the one that was made first. */
  #forget(): void {
    for (const [name, bucket] of this.#buckets) {
      this.#refill(bucket);
      if (bucket.tokens >= this.#capacity) this.#buckets.delete(name);
    }
    if (this.#buckets.size < REMEMBERED_NAMES) return;
    const [first] = this.#buckets.keys();
    this.#buckets.delete(first!);
  }
}
