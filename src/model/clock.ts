/** Time is injected: nothing else calls `Date.now`, `performance.now` or `setTimeout` (a lint rule holds this). */
export interface Clock {
  /** Wall clock, milliseconds since 1970. Labels only; it orders nothing. */
  nowMs(): number;
  /** Monotonic milliseconds for deadlines and rates. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs`; the returned function cancels it. Timers never keep the process alive. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** For what must not happen on the word of a clock that was set wrongly: expiring objects, ending a retention. */
export interface TrustedTime {
  /** Wall clock, milliseconds since 1970; `undefined` while the clock has jumped and nobody has accepted that. */
  trustedNowMs(): number | undefined;
  /**
   * The wall clock; while it is not believed the later of it and what a clock that had not jumped would show. For what must
   * last long enough whichever of them is right.
   */
  latestNowMs(): number;
}

/** Randomness is injected likewise. */
export interface Randomness {
  bytes(lengthBytes: number): Buffer;
  /** Uniform in [0, 1). */
  fraction(): number;
}
