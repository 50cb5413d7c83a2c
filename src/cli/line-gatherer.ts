import type { Clock } from '../model/clock.ts';

export interface LineGathererOptions {
  readonly destination: { write(text: string): unknown };
  readonly clock: Pick<Clock, 'schedule'>;
  /** Handed on when so many characters are there … */
  readonly bundleLength: number;
  /** … or after this time. */
  readonly delayMs: number;
}

/**
 * Hands log lines on in bundles, in order: the destination measures each string it gets, which costs as much as making a
 * line. `forward` hands on what is left; the owner calls it before the process ends.
 */
export class LineGatherer {
  readonly #options: LineGathererOptions;
  #pending = '';
  #isScheduled = false;

  constructor(options: LineGathererOptions) {
    this.#options = options;
  }

  write(line: string): void {
    const { bundleLength, clock, delayMs } = this.#options;
    this.#pending += line;
    if (this.#pending.length >= bundleLength) return this.forward();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    clock.schedule(delayMs, () => {
      this.#isScheduled = false;
      this.forward();
    });
  }

  forward(): void {
    if (this.#pending === '') return;
    const bundle = this.#pending;
    this.#pending = '';
    this.#options.destination.write(bundle);
  }
}
