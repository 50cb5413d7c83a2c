import { StoreError } from '../errors/store-error.ts';
import type { Randomness } from '../model/clock.ts';
import { errnoOf } from './disk-error.ts';

/** What a failed call says about its disk. `none`: nothing (a missing file, a closed handle, a damaged shard). */
export type FailureKind = 'missing' | 'full' | 'read-only' | 'slow' | 'timeout' | 'write-error' | 'read-error' | 'none';

type CountedFailure = Exclude<FailureKind, 'missing' | 'full' | 'none'>;

/** Errors of a device or a file system, not of a path or a handle. */
const DEVICE_ERRNOS: ReadonlySet<string> = new Set([
  'EIO',
  'ENXIO',
  'ENODEV',
  'ESTALE',
  'EUCLEAN',
  'EREMOTEIO',
  'ENOTCONN',
  'EACCES',
  'EPERM',
]);

export function classifyFailure(operation: string, error: unknown): FailureKind {
  const errno = errnoOf(error) ?? '';
  if (error instanceof StoreError) {
    if (error.code === 'DiskMissing') return 'missing';
    if (error.code === 'DiskFull') return 'full';
    if (error.code === 'DiskTimeout') return 'timeout';
    if (error.code !== 'DiskFailed') return 'none';
  }
  if (errno === 'EROFS') return 'read-only';
  if (!DEVICE_ERRNOS.has(errno)) return 'none';
  return operation === 'read' ? 'read-error' : 'write-error';
}

export interface HealthLimits {
  /** Strikes that turn `suspect` into `failed`. */
  strikesUntilFailed: number;
  /** Failures closer together than this are one strike: a burst has one cause. */
  strikeIntervalMs: number;
  /** This many failed reads within a minute are a strike; fewer are bad sectors, for repair. */
  readErrorsPerMinute: number;
  firstProbeDelayMs: number;
  longestProbeDelayMs: number;
  /** All strikes are forgotten after this time without one. */
  forgetAfterMs: number;
}

export const DEFAULT_HEALTH_LIMITS: HealthLimits = {
  strikesUntilFailed: 3,
  strikeIntervalMs: 900,
  readErrorsPerMinute: 10,
  firstProbeDelayMs: 1000,
  longestProbeDelayMs: 60_000,
  forgetAfterMs: 120_000,
};

/**
 * The circuit breaker of one disk: counts strikes and says how long to wait before the next probe (exponential, with
 * jitter so that disks of one controller are not probed together). Strikes survive a successful probe, so a disk that
 * keeps coming and going is left alone for longer each time. Times are monotonic milliseconds.
 */
export class DiskHealth {
  readonly #limits: HealthLimits;
  readonly #random: Randomness;
  #strikes = 0;
  #lastStrikeMs = -Infinity;
  #readErrorsMs: number[] = [];

  constructor(limits: HealthLimits, random: Randomness) {
    this.#limits = limits;
    this.#random = random;
  }

  /**
   * The verdict after a failure; `undefined` when it does not count (yet). A read-only or a slow disk never fails by that:
   * it can be read.
   */
  note(kind: CountedFailure, nowMs: number): 'suspect' | 'failed' | undefined {
    if (kind === 'read-error') {
      this.#readErrorsMs = this.#readErrorsMs.filter((atMs) => atMs > nowMs - 60_000);
      this.#readErrorsMs.push(nowMs);
      if (this.#readErrorsMs.length < this.#limits.readErrorsPerMinute) return undefined;
      this.#readErrorsMs = [];
    }
    const limit = this.#limits.strikesUntilFailed;
    if (nowMs - this.#lastStrikeMs >= this.#limits.strikeIntervalMs) {
      this.#strikes =
        kind === 'read-only' ? Math.max(this.#strikes, Math.min(this.#strikes + 1, limit - 1)) : this.#strikes + 1;
      this.#lastStrikeMs = nowMs;
    }
    return kind !== 'read-only' && kind !== 'slow' && this.#strikes >= limit ? 'failed' : 'suspect';
  }

  /** Between half and all of the exponential delay. */
  probeDelayMs(): number {
    const { firstProbeDelayMs, longestProbeDelayMs } = this.#limits;
    const fullMs = Math.min(longestProbeDelayMs, firstProbeDelayMs * 2 ** Math.max(0, this.#strikes - 1));
    return fullMs * (0.5 + this.#random.fraction() / 2);
  }

  forgetOldStrikes(nowMs: number): void {
    if (nowMs - this.#lastStrikeMs >= this.#limits.forgetAfterMs) this.#strikes = 0;
  }
}
