import type { Pace } from '../data-store/data-store.ts';
import { StoreError } from '../errors/store-error.ts';
import type { Clock } from '../model/clock.ts';
import type { BackgroundLoop } from './background-loop.ts';

/** While requests are under way, background work pauses for so many times as long as its last step took … */
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
  #stepBeganAtMs: number;

  constructor(options: WorkPaceOptions) {
    this.#options = options;
    this.#stepBeganAtMs = options.clock.monotonicMs();
  }

  /** Work begins after a pause that was not its own. */
  begin(): void {
    this.#stepBeganAtMs = this.#options.clock.monotonicMs();
  }

  /** @throws StoreError NotReady when the work is to end */
  readonly spend: Pace = async (bytes) => {
    const { clock, loop, rateBytesPerSecond, requestsInFlight } = this.#options;
    const tookMs = clock.monotonicMs() - this.#stepBeganAtMs;
    const dueMs = (bytes / rateBytesPerSecond()) * 1000 - tookMs;
    const yieldMs =
      requestsInFlight() > 0 ? Math.min(YIELD_FACTOR * tookMs, (bytes / SLOWEST_BYTES_PER_SECOND) * 1000) : 0;
    await loop.pause(Math.max(dueMs, yieldMs));
    if (loop.isStopped) throw new StoreError('NotReady', 'background work was stopped');
    this.#stepBeganAtMs = clock.monotonicMs();
  };
}
