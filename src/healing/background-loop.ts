import type { Clock } from '../model/clock.ts';

/** Runs a step again and again, `intervalMs` after the last one ended, until stopped. One step at a time. */
export class BackgroundLoop {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  /** Never rejects: a step handles its own errors. */
  readonly #step: () => Promise<void>;
  #cancel: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  readonly #pauses = new Set<() => void>();

  constructor({ clock, intervalMs, step }: { clock: Clock; intervalMs: number; step: () => Promise<void> }) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#step = step;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  start(): void {
    if (this.#isStopped || this.#cancel !== undefined || this.#running !== undefined) return;
    this.#cancel = this.#clock.schedule(this.#intervalMs, () => {
      this.#cancel = undefined;
      this.#running = this.#step().finally(() => {
        this.#running = undefined;
        this.start();
      });
    });
  }

  /** A pause inside a step, or of work beside it; ends early when the loop is stopped. */
  pause(delayMs: number): Promise<void> {
    if (this.#isStopped || delayMs <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#pauses.delete(end);
        resolve();
      };
      const cancel = this.#clock.schedule(delayMs, end);
      this.#pauses.add(end);
    });
  }

  /** No further step; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
    for (const end of this.#pauses) end();
    await this.#running;
  }
}
