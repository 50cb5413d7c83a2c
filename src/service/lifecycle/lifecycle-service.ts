import type { Randomness } from '../../model/clock.ts';
import type { LifecycleRule, TransitionMinimumSize } from '../../model/lifecycle-configuration.ts';
import type { BucketRecord } from '../../model/object-record.ts';
import type { BucketService } from '../buckets.ts';
import { checkLifecycle } from './check-lifecycle.ts';

export interface LifecycleServiceOptions {
  buckets: Pick<BucketService, 'putConfiguration' | 'deleteConfiguration'>;
  randomness: Randomness;
  /** What a rule may name. */
  storageClasses: () => ReadonlySet<string>;
  /** Told after the rules of a bucket have changed. */
  onChange: (bucketId: number) => void;
}

/**
 * Which objects below a size no rule moves, when the client does not say. AWS's own default spares its customers the
 * price of moving small objects; here nothing has that price (docs/decisions/0019-lifecycle.md).
 */
export const DEFAULT_TRANSITION_MINIMUM_SIZE: TransitionMinimumSize = 'varies_by_storage_class';

/** Changes the lifecycle rules of buckets. What they bring about is the work of `LifecycleWorker`. */
export class LifecycleService {
  readonly #options: LifecycleServiceOptions;

  constructor(options: LifecycleServiceOptions) {
    this.#options = options;
  }

  /**
   * Replaces a bucket's rules. Those without an ID get one.
   *
   * @throws S3Error NoSuchBucket | InvalidArgument | InvalidRequest | InvalidTag | InvalidStorageClass | NotImplemented
   */
  async putRules(
    bucket: BucketRecord,
    { rules, transitionMinimumSize }: { rules: readonly LifecycleRule[]; transitionMinimumSize: TransitionMinimumSize },
  ): Promise<void> {
    checkLifecycle(rules, this.#options.storageClasses());
    const named = rules.map((rule) => (rule.id === '' ? { ...rule, id: this.#makeId() } : rule));
    const value = { rules: named, transitionMinimumSize };
    await this.#options.buckets.putConfiguration(bucket, { name: 'lifecycle', value });
    this.#options.onChange(bucket.bucketId);
  }

  /** None there: succeeds. @throws S3Error NoSuchBucket */
  async deleteRules(bucket: BucketRecord): Promise<void> {
    await this.#options.buckets.deleteConfiguration(bucket, 'lifecycle');
    this.#options.onChange(bucket.bucketId);
  }

  /** As AWS's look: a UUID in Base64. */
  #makeId(): string {
    const bytes = this.#options.randomness.bytes(16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const uuid = bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    return Buffer.from(uuid).toString('base64');
  }
}
