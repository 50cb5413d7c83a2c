import { randomBytes } from 'node:crypto';
import type { Clock, Randomness } from '../model/clock.ts';

/** `setTimeout` runs at once when asked for more than this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's time. With `SystemRandomness` the only place that asks the system for it. */
export class SystemClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const firstMs = Math.min(delayMs, LONGEST_TIMER_MS);
    let timer = setTimeout(() => {
      if (delayMs <= LONGEST_TIMER_MS) callback();
      else cancelRest = this.schedule(delayMs - LONGEST_TIMER_MS, callback);
    }, firstMs);
    timer = timer.unref();
    let cancelRest = (): void => {};
    return () => {
      clearTimeout(timer);
      cancelRest();
    };
  }
}

export class SystemRandomness implements Randomness {
  bytes(lengthBytes: number): Buffer {
    return randomBytes(lengthBytes);
  }

  /** 48 random bits. */
  fraction(): number {
    return randomBytes(6).readUIntBE(0, 6) / 2 ** 48;
  }
}
