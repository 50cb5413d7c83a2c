/** Time is injected: nothing else calls `Date.now`, `performance.now` or `setTimeout` (a lint rule holds this). */
export interface Clock {
  /** Wall clock, milliseconds since 1970. Labels only; it orders nothing. */
  nowMs(): number;
  /** Monotonic milliseconds for deadlines and rates. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs`; the returned function cancels it. Timers never keep the process alive. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** Randomness is injected likewise. */
export interface Randomness {
  bytes(lengthBytes: number): Buffer;
  /** Uniform in [0, 1). */
  fraction(): number;
}
