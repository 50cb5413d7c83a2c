import { assert } from '../../errors/assert.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { MetadataStore } from '../../metadata-store/metadata-store.ts';
import type { Clock } from '../../model/clock.ts';
import type { BucketRecord } from '../../model/object-record.ts';
import type { LifecycleTask, VersionTask } from './lifecycle-walk.ts';

export interface LifecycleActionsOptions {
  metadataStore: Pick<MetadataStore, 'commit'>;
  clock: Pick<Clock, 'nowMs'>;
}

/** `skipped`: it is no longer what was seen. `locked`: Object Lock protects it. */
export type LifecycleOutcome = 'expired' | 'deleted' | 'aborted' | 'skipped' | 'locked';

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
  async perform(bucket: BucketRecord, task: LifecycleTask): Promise<LifecycleOutcome> {
    try {
      return await ('uploadId' in task ? this.#abort(bucket, task) : this.#performOnVersion(bucket, task));
    } catch (error) {
      if (isStoreError(error, 'BlobGone')) return 'skipped';
      if (!(error instanceof S3Error)) throw error;
      return error.code === 'AccessDenied' ? 'locked' : 'skipped';
    }
  }

  async #abort({ bucketId }: BucketRecord, { key, uploadId }: { key: string; uploadId: string }): Promise<'aborted'> {
    await this.#options.metadataStore.commit({ type: 'AbortMultipartUpload', bucketId, key, uploadId });
    return 'aborted';
  }

  async #performOnVersion(bucket: BucketRecord, task: VersionTask): Promise<LifecycleOutcome> {
    const { metadataStore, clock } = this.#options;
    const { action, key, order, versionId } = task;
    assert(action.kind !== 'transition', 'there is one storage class');
    await metadataStore.commit({
      type: 'DeleteObject',
      bucketId: bucket.bucketId,
      key,
      owner: bucket.owner,
      ...(action.kind === 'delete-version' ? { versionId } : {}),
      onlyOrder: order,
      atMs: clock.nowMs(),
    });
    return action.kind === 'expire' ? 'expired' : 'deleted';
  }
}
