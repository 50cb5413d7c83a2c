import { S3Error } from '../../errors/s3-error.ts';
import type { TrustedTime } from '../../model/clock.ts';
import { checkRetentionChange, isProtected, protectedByLock } from '../../model/object-lock.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import type { Mutation, VersionChange } from '../metadata-store.ts';
import { decodeDetails, encodeDetails, encodeStorageClass, type Details } from '../records/attributes-codec.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import type { DecideBlobs } from './decide-blobs.ts';
import type { DecideBuckets } from './decide-buckets.ts';
import { notTheSame, shownVersionId, type DecideObjects, type StoredVersion } from './decide-objects.ts';

export interface DecideVersionChangesOptions {
  buckets: DecideBuckets;
  objects: DecideObjects;
  blobs: DecideBlobs;
  trustedTime: TrustedTime;
  formatVersion: () => number;
  emit: (record: JournalRecord) => void;
}

/** Evaluates changes of what is said of a version: tags, retention, legal hold, ACL, the envelope of its data key. */
export class DecideVersionChanges {
  readonly #options: DecideVersionChangesOptions;

  constructor(options: DecideVersionChangesOptions) {
    this.#options = options;
  }

  /** @throws S3Error NotImplemented (format 1) | NoSuchBucket | NoSuchKey | NoSuchVersion | MethodNotAllowed | InvalidRequest | AccessDenied | PreconditionFailed */
  change(mutation: Extract<Mutation, { type: 'ChangeVersion' }>): { versionId: string } {
    const { bucketId, change } = mutation;
    requireStoreFormat(this.#options.formatVersion(), 2, 'Changing what is said of a version');
    const { configuration } = this.#options.buckets.require(bucketId);
    const isOfLock = change.member === 'retention' || change.member === 'legalHold';
    if (isOfLock && configuration.objectLock === undefined) {
      throw new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' });
    }
    const key = Buffer.from(mutation.key);
    const version = this.#requireVersion(mutation, key);
    if (mutation.onlyOrder !== undefined && version.order !== mutation.onlyOrder) throw notTheSame();
    const before = this.#options.objects.details(bucketId, key, version.order);
    const encoded = encodeDetails(this.#changed(decodeDetails(before), change));
    if (!encoded.equals(before)) {
      this.#options.emit({ type: 'ChangeDetails', bucketId, key, order: version.order, details: encoded });
    }
    return { versionId: shownVersionId(version.versionId) };
  }

  /**
   * A lock protects the envelope as it does the bytes: nobody who bypasses GOVERNANCE may put a version under another key.
   *
   * @throws S3Error NotImplemented (format 1) | NoSuchBucket | PreconditionFailed | AccessDenied; StoreError BlobGone
   */
  replaceEncryption(mutation: Extract<Mutation, { type: 'ReplaceEncryption' }>): void {
    const { bucketId, versionId, onlyOrder: order, from, to, described } = mutation;
    const { objects, emit, trustedTime } = this.#options;
    requireStoreFormat(this.#options.formatVersion(), 2, 'Changing the encryption of an object');
    this.#options.buckets.require(bucketId);
    const key = Buffer.from(mutation.key);
    const version = objects.find(bucketId, key, versionId);
    if (version?.order !== order || version.isDeleteMarker) throw notTheSame();
    const details = decodeDetails(objects.details(bucketId, key, order));
    if (details.encryption?.equals(from) !== true) throw notTheSame();
    const trustedNowMs = trustedTime.trustedNowMs();
    if (isProtected(details, { trustedNowMs, bypassesGovernance: false })) throw protectedByLock();
    if (described !== undefined) {
      const storageClass = encodeStorageClass(described.storageClass);
      if (objects.currentStorageClass(bucketId, key, order) !== storageClass) throw notTheSame();
      const blobs = this.#options.blobs.check(described.blobs);
      emit({ type: 'TransitionVersion', bucketId, key, order, storageClass, blobs });
    }
    emit({ type: 'ChangeDetails', bucketId, key, order, details: encodeDetails({ ...details, encryption: to }) });
  }

  #requireVersion(mutation: Extract<Mutation, { type: 'ChangeVersion' }>, key: Buffer): StoredVersion {
    const version = this.#options.objects.find(mutation.bucketId, key, mutation.versionId);
    const { key: name, versionId } = mutation;
    if (version === undefined || (version.isDeleteMarker && versionId === undefined)) {
      throw versionId === undefined
        ? new S3Error('NoSuchKey', { details: { Key: name } })
        : new S3Error('NoSuchVersion', { details: { Key: name, VersionId: versionId } });
    }
    if (version.isDeleteMarker) {
      throw new S3Error('MethodNotAllowed', {
        details: { ResourceType: 'DeleteMarker' },
        headers: { allow: 'DELETE', 'x-amz-delete-marker': 'true' },
      });
    }
    return version;
  }

  #changed(details: Details, change: VersionChange): Details {
    switch (change.member) {
      case 'tags':
        return { ...details, tags: change.tags.length === 0 ? undefined : change.tags };
      case 'acl':
        return { ...details, acl: change.acl };
      case 'legalHold':
        return { ...details, legalHold: change.legalHold };
      case 'retention': {
        const { retention, bypassesGovernance } = change;
        const trustedNowMs = this.#options.trustedTime.trustedNowMs();
        checkRetentionChange(details.retention, retention, { trustedNowMs, bypassesGovernance });
        return { ...details, retention };
      }
    }
  }
}
