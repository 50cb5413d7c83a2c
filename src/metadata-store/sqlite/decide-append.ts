import { S3Error } from '../../errors/s3-error.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import type { Mutation, WrittenVersion } from '../metadata-store.ts';
import {
  decodeDetails,
  encodeAttributes,
  encodeChecksumKind,
  encodeDetails,
  encodeStorageClass,
} from '../records/attributes-codec.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import type { DecideBlobs } from './decide-blobs.ts';
import type { DecideBuckets } from './decide-buckets.ts';
import { shownVersionId, type DecideObjects } from './decide-objects.ts';

export interface DecideAppendOptions {
  buckets: DecideBuckets;
  objects: DecideObjects;
  blobs: DecideBlobs;
  emit: (record: JournalRecord) => void;
  nextIdentifier: () => number;
  formatVersion: () => number;
}

/** Evaluates appends: of two at one offset the first wins, and the second is told that the object has grown. */
export class DecideAppend {
  readonly #options: DecideAppendOptions;

  constructor(options: DecideAppendOptions) {
    this.#options = options;
  }

  /** @throws S3Error as the mutation says; StoreError BlobGone */
  append(mutation: Extract<Mutation, { type: 'AppendObject' }>): WrittenVersion {
    const { bucketId, seen, preconditions, etag, sizeBytes, lastModifiedMs, checksum, encryption, parts } = mutation;
    const { objects, emit } = this.#options;
    requireStoreFormat(this.#options.formatVersion(), 2, 'Appending to an object');
    if (this.#options.buckets.require(bucketId).configuration.versioning !== undefined) {
      throw new S3Error('NotImplemented', {
        message: 'Appending is not implemented for buckets that have, or had, versioning enabled.',
      });
    }
    const key = Buffer.from(mutation.key);
    if (preconditions !== undefined) objects.checkWrite(preconditions, { bucketId, key, name: mutation.key });
    const current = objects.find(bucketId, key, undefined);
    if (current?.sizeBytes !== seen.sizeBytes) throw new S3Error('InvalidWriteOffset');
    const before = objects.details(bucketId, key, current.order);
    // The new bytes lie in volumes of the class that was seen.
    const isInItsClass =
      objects.currentStorageClass(bucketId, key, current.order) === encodeStorageClass(seen.attributes.storageClass);
    const isAsSeen =
      current.order === seen.order && isInItsClass && before.equals(encodeAttributes(seen.attributes).details);
    if (!isAsSeen) throw new S3Error('ConditionalRequestConflict');
    const blobs = this.#options.blobs.check(mutation.blobs);
    const newOrder = this.#options.nextIdentifier();
    emit({
      type: 'AppendObject',
      bucketId,
      key,
      order: current.order,
      newOrder,
      lastModifiedMs,
      etag,
      sizeBytes,
      checksum: encodeChecksumKind(checksum?.algorithm, checksum?.type),
      details: encodeDetails({ ...decodeDetails(before), checksumValue: checksum?.value, encryption }),
      parts,
      blobs,
    });
    return { versionId: shownVersionId(current.versionId), order: newOrder, etag, lastModifiedMs };
  }
}
