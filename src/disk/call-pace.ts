/** Samples kept for one disk. */
const SAMPLE_COUNT = 64;
/** A judgement needs so many recent samples. */
const LEAST_SAMPLES = 3;
/** A disk is never called slow for less … */
const SLOW_MS = 50;
/** … nor for less than so many times what the others take for the same work. */
const SLOW_FACTOR = 5;

/** How long the writes and syncs of one disk took lately. */
export class CallPace {
  readonly #samples: { atMs: number; tookMs: number }[] = [];
  #next = 0;

  note(tookMs: number, atMs: number): void {
    this.#samples[this.#next] = { atMs, tookMs };
    this.#next = (this.#next + 1) % SAMPLE_COUNT;
  }

  /** `undefined`: too few calls since then to say. */
  medianMs(sinceMs: number): number | undefined {
    const recent = this.#samples.filter(({ atMs }) => atMs >= sinceMs).map(({ tookMs }) => tookMs);
    return recent.length < LEAST_SAMPLES ? undefined : median(recent);
  }

  /** What was before says nothing about a disk that has come back. */
  forget(): void {
    this.#samples.length = 0;
    this.#next = 0;
  }
}

/** Is a disk that takes `ownMs` slow, when the others take `othersMs`? One that is slow beside slow ones is not. */
export function isSlow(ownMs: number, othersMs: readonly number[]): boolean {
  return othersMs.length > 0 && ownMs > SLOW_MS && ownMs > SLOW_FACTOR * median(othersMs);
}

/** A probe of so many calls that takes longer shows that the disk is still slow. */
export function isSlowProbe(tookMs: number, callCount: number): boolean {
  return tookMs > SLOW_MS * callCount;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
