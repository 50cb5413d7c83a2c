import type { Pace } from '../data-store/data-store.ts';
import { StoreError } from '../errors/store-error.ts';
import type { Clock } from '../model/clock.ts';
import type { BackgroundLoop } from './background-loop.ts';

/** While requests are under way, background work pauses for so many times as long as it has worked … */
const YIELD_FACTOR = 3;
/** … but never so long that it falls below this: it always comes to an end. */
const SLOWEST_BYTES_PER_SECOND = 1024 * 1024;

export interface WorkPaceOptions {
  clock: Clock;
  /** Its pauses end early when it is stopped, and the work with them. */
  loop: Pick<BackgroundLoop, 'isStopped' | 'pause'>;
  /** Bytes read and written in a second, all disks together; asked at each step. */
  rateBytesPerSecond: () => number;
  /** Requests of clients that are being answered now. */
  requestsInFlight: () => number;
}

/**
 * How fast background work goes. The rule: never faster than its rate; and while any request is being answered it works
 * at most a quarter of the time, in steps of about half a MiB, so that a request waits behind one step and not behind a
 * row of them; but at least 1 MiB/s.
 */
export class WorkPace {
  readonly #options: WorkPaceOptions;
  #workingSinceMs: number;
  /** When what was spent so far is paid off. One time for all that work at once. */
  #dueAtMs = -Infinity;

  constructor(options: WorkPaceOptions) {
    this.#options = options;
    this.#workingSinceMs = options.clock.monotonicMs();
  }

  /** Work begins after a time in which nothing was done. */
  begin(): void {
    this.#workingSinceMs = this.#options.clock.monotonicMs();
  }

  /** @throws StoreError NotReady when the work is to end */
  readonly spend: Pace = async (bytes) => {
    const { clock, loop, rateBytesPerSecond, requestsInFlight } = this.#options;
    const now = clock.monotonicMs();
    const tookMs = Math.max(0, now - this.#workingSinceMs);
    this.#workingSinceMs = now;
    let costMs = (bytes / rateBytesPerSecond()) * 1000;
    if (requestsInFlight() > 0) {
      const longestMs = (bytes / SLOWEST_BYTES_PER_SECOND) * 1000;
      costMs = Math.max(costMs, Math.min((1 + YIELD_FACTOR) * tookMs, longestMs));
    }
    this.#dueAtMs = Math.max(this.#dueAtMs, now - tookMs) + costMs;
    await loop.pause(this.#dueAtMs - now);
    if (loop.isStopped) throw new StoreError('NotReady', 'background work was stopped');
    this.#workingSinceMs = Math.max(this.#workingSinceMs, clock.monotonicMs());
  };
}
