import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../model/clock.ts';

/** Nothing asked for this long: V8 counts what was allocated in the last five seconds before it lets memory go. */
const QUIET_MS = 10_000;

export interface IdleMemoryOptions {
  clock: Clock;
  /** Requests being answered now, and all there ever were. */
  requests: { readonly inFlight: number; readonly startedCount: number };
  /** Collects garbage and gives memory back. */
  release?: () => void;
}

/**
 * Gives memory back when a server has become idle: garbage, and a young generation that loading modules or a load has
 * made as large as it gets, which V8 keeps while nothing happens. Once after the start and once after each time of work;
 * it stops the main thread for some 50 ms, in a moment when nobody has asked for ten seconds.
 */
export class IdleMemory {
  readonly #options: IdleMemoryOptions;
  #seenCount = -1;
  #isReleased = false;
  #cancel: () => void = () => {};

  constructor(options: IdleMemoryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancel = this.#options.clock.schedule(QUIET_MS, () => {
      this.#look();
      this.start();
    });
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    const { requests, release = releaseMemory } = this.#options;
    const isQuiet = requests.inFlight === 0 && requests.startedCount === this.#seenCount;
    this.#seenCount = requests.inFlight === 0 ? requests.startedCount : -1;
    if (isQuiet && !this.#isReleased) release();
    this.#isReleased = isQuiet;
  }
}

function releaseMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  // The first makes the young generation small, the second gives its pages back.
  collect();
  collect();
}
