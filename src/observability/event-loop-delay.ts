import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '../model/clock.ts';

export interface EventLoopDelays {
  p50Ms: number;
  p99Ms: number;
  maximumMs: number;
}

const RESOLUTION_MS = 10;
/** Told is what happened in the last one to two windows. */
const WINDOW_MS = 30_000;

/**
 * How late the main thread's event loop is: what every request waits for beside its own work. Two histograms take turns,
 * so that the worst delay of the last half minute is always told, however often and by however many it is asked for.
 */
export class EventLoopDelayMonitor {
  readonly #clock: Clock;
  #current: IntervalHistogram | undefined;
  #before: IntervalHistogram | undefined;
  #cancel: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    this.#before?.disable();
    this.#before = this.#current;
    this.#current = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#current.enable();
    this.#cancel = this.#clock.schedule(WINDOW_MS, () => this.start());
  }

  stop(): void {
    this.#cancel();
    this.#current?.disable();
    this.#before?.disable();
    this.#current = this.#before = undefined;
  }

  /** Milliseconds beyond the time at which the loop should have come round; zeros before the first round. */
  read(): EventLoopDelays {
    const windows = [this.#current, this.#before].filter((histogram) => histogram !== undefined);
    const worst = (of: (histogram: IntervalHistogram) => number): number =>
      windows.reduce((most, histogram) => {
        return histogram.count === 0 ? most : Math.max(most, of(histogram) / 1e6 - RESOLUTION_MS);
      }, 0);
    return {
      p50Ms: worst((histogram) => histogram.percentile(50)),
      p99Ms: worst((histogram) => histogram.percentile(99)),
      maximumMs: worst((histogram) => histogram.max),
    };
  }
}
