import { S3Error } from '../../errors/s3-error.ts';
import type { Clock } from '../../model/clock.ts';
import { FailedSignatures } from './failed-signatures.ts';
import { FairAdmission } from './fair-admission.ts';
import { TokenBuckets } from './token-buckets.ts';

/** 0: no limit. Requests and bytes (of bodies, both ways) in a second. */
export interface RateLimits {
  readonly keyRequests: number;
  readonly keyRate: number;
  readonly addressRequests: number;
  readonly addressRate: number;
}

export interface RequestLimitsOptions extends RateLimits {
  readonly fairFrom: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** What one caller may not take from the others: rates by access key and by address, and an equal share under load. */
export class RequestLimits {
  readonly failures: FailedSignatures;
  readonly #admission: FairAdmission;
  readonly #keys: readonly [requests: TokenBuckets | undefined, bytes: TokenBuckets | undefined];
  readonly #addresses: readonly [requests: TokenBuckets | undefined, bytes: TokenBuckets | undefined];
  /** Requests that were answered SlowDown. */
  refusedCount = 0;

  constructor({ clock, ...limits }: RequestLimitsOptions) {
    const buckets = (perSecond: number): TokenBuckets | undefined =>
      perSecond === 0 ? undefined : new TokenBuckets({ perSecond, clock });
    this.failures = new FailedSignatures(clock);
    this.#admission = new FairAdmission(limits);
    this.#keys = [buckets(limits.keyRequests), buckets(limits.keyRate)];
    this.#addresses = [buckets(limits.addressRequests), buckets(limits.addressRate)];
  }

  /** Before anything else is looked at. @throws S3Error SlowDown, with Retry-After */
  checkAddress(address: string): void {
    this.#take(this.#addresses, address);
  }

  /** @param caller whose signature was right: an access key, or who stands behind temporary ones. @throws S3Error SlowDown, with Retry-After */
  checkKey(caller: string): void {
    this.#take(this.#keys, caller);
  }

  /** See `FairAdmission.enter`. */
  enter(caller: string): Promise<void> | undefined {
    return this.#admission.enter(caller);
  }

  leave(caller: string): void {
    this.#admission.leave(caller);
  }

  get waitingCount(): number {
    return this.#admission.waitingCount;
  }

  /** What a request has moved, known when it is over. */
  charge({ address, caller, sizeBytes }: { address: string; caller: string | undefined; sizeBytes: number }): void {
    this.#addresses[1]?.take(address, sizeBytes);
    if (caller !== undefined) this.#keys[1]?.take(caller, sizeBytes);
  }

  #take([requests, bytes]: readonly (TokenBuckets | undefined)[], name: string): void {
    const waitMs = Math.max(requests?.waitMs(name) ?? 0, bytes?.waitMs(name) ?? 0);
    if (waitMs > 0) {
      this.refusedCount += 1;
      throw new S3Error('SlowDown', { headers: { 'retry-after': String(Math.ceil(waitMs / 1000)) } });
    }
    requests?.take(name, 1);
  }
}
