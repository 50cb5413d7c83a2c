import type { Clock } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import { BackgroundLoop } from './background-loop.ts';
import { type CensusReport, type CensusSources, takeCensus } from './census.ts';
import { WorkPace } from './work-pace.ts';

const WAIT_MS = 1000;

export interface CensusRunnerOptions extends Omit<CensusSources, 'pace' | 'onProgress'> {
  clock: Clock;
  log: Log;
  rateBytesPerSecond: number;
  requestsInFlight: () => number;
}

/** What commands see of the census: runs are numbered from 1, one at a time. */
export interface CensusProgress {
  /** The run under way or waiting, 0 to 1. */
  running: { number: number; fraction: number } | undefined;
  last: { number: number; report: CensusReport | undefined; error: string | undefined } | undefined;
}

/** Takes a census when asked, in the background, at the pace of healing. */
export class CensusRunner {
  readonly #options: CensusRunnerOptions;
  /** Never started: only its pauses are used. */
  readonly #loop: BackgroundLoop;
  #beganCount = 0;
  #wantedCount = 0;
  #fraction = 0;
  #running: Promise<void> | undefined;
  #last: CensusProgress['last'];

  constructor(options: CensusRunnerOptions) {
    this.#options = options;
    this.#loop = new BackgroundLoop({ clock: options.clock, intervalMs: 0, step: () => Promise.resolve() });
  }

  /** Asks for a census that begins after this call; returns its number. */
  request(): number {
    this.#wantedCount = this.#beganCount + 1;
    this.#running ??= this.#runAll().finally(() => (this.#running = undefined));
    return this.#wantedCount;
  }

  progress(): CensusProgress {
    const running =
      this.#running === undefined
        ? undefined
        : { number: this.#beganCount, fraction: Math.round(this.#fraction * 1e4) / 1e4 };
    return { running, last: this.#last };
  }

  /** The same, when the census under way has ended or a second has passed: for clients that wait. */
  async wait(): Promise<CensusProgress> {
    let cancel = (): void => {};
    const elapsed = new Promise<void>((resolve) => (cancel = this.#options.clock.schedule(WAIT_MS, resolve)));
    await Promise.race(this.#running === undefined ? [elapsed] : [elapsed, this.#running]);
    cancel();
    return this.progress();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
    await this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#beganCount < this.#wantedCount && !this.#loop.isStopped) {
      const number = ++this.#beganCount;
      this.#fraction = 0;
      const { clock, log, rateBytesPerSecond, requestsInFlight } = this.#options;
      const pace = new WorkPace({
        clock,
        loop: this.#loop,
        rateBytesPerSecond: () => rateBytesPerSecond,
        requestsInFlight,
      });
      try {
        const onProgress = (fraction: number): void => void (this.#fraction = fraction);
        const report = await takeCensus({ ...this.#options, pace: pace.spend, onProgress });
        this.#last = { number, report, error: undefined };
        log.info(
          { isClean: report.isClean, worstMargin: report.worstMargin, below: report.below.length },
          'census taken',
        );
      } catch (error) {
        this.#last = { number, report: undefined, error: error instanceof Error ? error.message : String(error) };
        log.warn({ err: error }, 'a census could not be taken');
      }
    }
  }
}
