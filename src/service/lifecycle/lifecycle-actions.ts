import { S3Error } from '../../errors/s3-error.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { BucketRecord } from '../../model/object-record.ts';
import type { LifecycleTask, UploadTask, VersionTask } from './lifecycle-walk.ts';
import { NotMoved, transitionVersion, type TransitionStores, type VersionTransition } from './transition-version.ts';

export interface LifecycleActionsOptions extends TransitionStores {
  clock: Pick<Clock, 'nowMs'>;
}

/**
 * `skipped`: it is no longer what was seen, or its new class is gone. `locked`: Object Lock protects it. `failed`: it
 * could not be moved, and the next pass tries again.
 */
export type LifecycleOutcome = 'expired' | 'deleted' | 'aborted' | 'transitioned' | 'skipped' | 'locked' | 'failed';

export interface PerformedTask {
  outcome: LifecycleOutcome;
  /** Written into another storage class. */
  movedBytes: number;
  /** Why it failed. */
  problem?: string;
}

/**
 * Does what is due, each in one commit that compares: an object that was overwritten, locked or deleted since it was
 * looked at stays as it is.
 */
export class LifecycleActions {
  readonly #options: LifecycleActionsOptions;

  constructor(options: LifecycleActionsOptions) {
    this.#options = options;
  }

  /** @throws StoreError what the stores throw: done or not, but nothing in between */
  async perform(bucket: BucketRecord, task: LifecycleTask): Promise<PerformedTask> {
    try {
      if ('uploadId' in task) return await this.#abort(bucket, task);
      const { action } = task;
      if (action.kind === 'transition') return await this.#transition(bucket, { ...task, ...action });
      return await this.#end(bucket, task);
    } catch (error) {
      if (isStoreError(error, 'BlobGone')) return done('skipped');
      if (error instanceof NotMoved) return { ...done('failed'), problem: error.message };
      if (!(error instanceof S3Error)) throw error;
      return done(error.code === 'AccessDenied' ? 'locked' : 'skipped');
    }
  }

  async #abort({ bucketId }: BucketRecord, { key, uploadId }: UploadTask): Promise<PerformedTask> {
    await this.#options.metadataStore.commit({ type: 'AbortMultipartUpload', bucketId, key, uploadId });
    return done('aborted');
  }

  async #transition(bucket: BucketRecord, transition: VersionTransition): Promise<PerformedTask> {
    const movedBytes = await transitionVersion(this.#options, bucket, transition);
    return movedBytes === undefined ? done('skipped') : { outcome: 'transitioned', movedBytes };
  }

  async #end(
    bucket: BucketRecord,
    { action, key, order, versionId, isNoncurrent }: VersionTask,
  ): Promise<PerformedTask> {
    const { metadataStore, clock } = this.#options;
    await metadataStore.commit({
      type: 'DeleteObject',
      bucketId: bucket.bucketId,
      key,
      owner: bucket.owner,
      ...(action.kind === 'delete-version' ? { versionId } : {}),
      onlyOrder: order,
      ...(isNoncurrent ? { onlyNoncurrent: true } : {}),
      atMs: clock.nowMs(),
    });
    return done(action.kind === 'expire' ? 'expired' : 'deleted');
  }
}

function done(outcome: LifecycleOutcome): PerformedTask {
  return { outcome, movedBytes: 0 };
}
