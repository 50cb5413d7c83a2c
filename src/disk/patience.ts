import type { Clock } from '../model/clock.ts';

const TICK_MS = 250;
/** So long everybody is waited for, however fast the others are. */
const LEAST_TICKS = 2000 / TICK_MS;

/**
 * How long a start waits for disks that answer late: twice as long as half of all took, and at least two seconds. Ticks are
 * counted instead of reading a clock, so that a stall of this process is not blamed on a disk.
 */
export class Patience {
  readonly #clock: Clock;
  readonly #halfCount: number;
  readonly #onTick: () => void;
  #ticks = 0;
  #answerCount = 0;
  #halfTicks: number | undefined;
  #cancel: () => void;

  /** `onTick` is called about every quarter of a second until `stop`. */
  constructor({ clock, count, onTick }: { clock: Clock; count: number; onTick: () => void }) {
    this.#clock = clock;
    this.#halfCount = Math.ceil(count / 2);
    this.#onTick = onTick;
    this.#cancel = clock.schedule(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    this.#ticks++;
    this.#cancel = this.#clock.schedule(TICK_MS, () => this.#tick());
    this.#onTick();
  }

  /** One of them has answered. */
  answered(): void {
    if (++this.#answerCount === this.#halfCount) this.#halfTicks = this.#ticks;
  }

  get isOver(): boolean {
    return this.#halfTicks !== undefined && this.#ticks >= Math.max(LEAST_TICKS, 2 * this.#halfTicks);
  }

  stop(): void {
    this.#cancel();
  }
}
