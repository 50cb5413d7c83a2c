import type { VolumeRepair } from '../data-store/data-store.ts';
import type { Clock } from '../model/clock.ts';
import type { HealingReport } from '../model/healing-report.ts';

type Counted = Pick<
  HealingReport,
  'suspectFileCount' | 'suspectVolumeCount' | 'suspectSinceMs' | 'disksToRead' | 'rateLimitBytesPerSecond'
>;

/** Counts what was done and says how long the rest will take, at the rate since healing began to be due. */
export class HealingProgress {
  readonly #clock: Clock;
  #beganAtMs: number | undefined;
  #doneBytes = 0;
  #leftBytes = 0;
  #repairedFileCount = 0;
  #rebuiltShardCount = 0;
  #lostShardCount = 0;
  #readBytes = 0;
  #writtenBytes = 0;
  #lastError: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  due(leftBytes: number): void {
    this.#leftBytes = leftBytes;
    if (leftBytes > 0) this.#beganAtMs ??= this.#clock.monotonicMs();
  }

  /** `fileBytes`: of the files that were due and are done with for now. */
  repaired({ files, readBytes, writtenBytes }: VolumeRepair, fileBytes: number): void {
    this.#readBytes += readBytes;
    this.#writtenBytes += writtenBytes;
    this.#doneBytes += fileBytes;
    this.#leftBytes = Math.max(0, this.#leftBytes - fileBytes);
    this.#lastError = files.find(({ reason }) => reason !== undefined)?.reason;
    for (const { outcome, rebuiltCount, lostCount } of files) {
      if (outcome === 'repaired' || outcome === 'incomplete') this.#repairedFileCount++;
      this.#rebuiltShardCount += rebuiltCount;
      this.#lostShardCount += lostCount;
    }
  }

  failed(error: unknown): void {
    this.#lastError = error instanceof Error ? error.message : String(error);
  }

  /** Nothing is due any more. */
  ended(): void {
    this.#beganAtMs = undefined;
    this.#doneBytes = 0;
    this.#leftBytes = 0;
  }

  report(counted: Counted): HealingReport {
    const spentMs = this.#beganAtMs === undefined ? 0 : this.#clock.monotonicMs() - this.#beganAtMs;
    const rate = spentMs > 0 && this.#doneBytes > 0 ? (this.#doneBytes / spentMs) * 1000 : undefined;
    return {
      ...counted,
      isRunning: this.#leftBytes > 0 || counted.disksToRead > 0,
      repairedFileCount: this.#repairedFileCount,
      rebuiltShardCount: this.#rebuiltShardCount,
      lostShardCount: this.#lostShardCount,
      readBytes: this.#readBytes,
      writtenBytes: this.#writtenBytes,
      leftBytes: this.#leftBytes,
      rateBytesPerSecond: rate,
      timeLeftMs: rate === undefined ? undefined : Math.round((this.#leftBytes / rate) * 1000),
      lastError: this.#lastError,
    };
  }
}
