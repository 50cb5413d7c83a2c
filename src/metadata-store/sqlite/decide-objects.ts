import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { StoreError } from '../../errors/store-error.ts';
import type { Randomness, TrustedTime } from '../../model/clock.ts';
import { isProtected, protectedByLock, retentionByDefault } from '../../model/object-lock.ts';
import type { ObjectAttributes, Owner } from '../../model/object-record.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import { makeVersionId } from '../../model/version-id.ts';
import type { BlobUse, DeletedVersion, Mutation, WritePreconditions, WrittenVersion } from '../metadata-store.ts';
import { decodeDetails, encodeAttributes, encodeStorageClass } from '../records/attributes-codec.ts';
import type { CompleteFields, JournalRecord } from '../records/journal-record.ts';
import { NULL_VERSION_ID } from './apply-object-record.ts';
import { decodeBlobIds } from './blob-ids.ts';
import { checkDeletePreconditions, checkWritePreconditions } from './check-preconditions.ts';
import type { DecideBlobs } from './decide-blobs.ts';
import type { DecideBuckets } from './decide-buckets.ts';
import type { KnownBucket } from './known-rows.ts';

export interface DecideObjectsOptions {
  db: Database;
  buckets: DecideBuckets;
  blobs: DecideBlobs;
  randomness: Pick<Randomness, 'bytes'>;
  trustedTime: TrustedTime;
  emit: (record: JournalRecord) => void;
  nextIdentifier: () => number;
  internOwner: (owner: Owner) => number;
  formatVersion: () => number;
}

interface NewVersion {
  bucketId: number;
  key: Buffer;
  order: number;
  /** Its id, or the bytes with which that begins; the commit chooses what is not given. */
  proposed?: string | undefined;
  seed?: Buffer | undefined;
}

type Of<Type extends Mutation['type']> = Extract<Mutation, { type: Type }>;

/** A version or delete marker as it lies in the index, as far as the commit looks at it. */
export interface StoredVersion {
  order: number;
  /** `''`: the null version. */
  versionId: string;
  isDeleteMarker: boolean;
  etag: string;
  lastModifiedMs: number;
  sizeBytes: number;
}

/**
 * Evaluates what is written to and deleted from keys: which version id a version gets, whether a delete covers or
 * removes, what it is retained for by default. A bucket that never had versions is written with the records of format 1, one that had with those of
 * format 2.
 */
export class DecideObjects {
  readonly #options: DecideObjectsOptions;
  readonly #sql;

  constructor(options: DecideObjectsOptions) {
    this.#options = options;
    this.#sql = prepareStatements(options.db);
  }

  /** @throws S3Error NoSuchBucket | NoSuchKey | PreconditionFailed; StoreError BlobGone */
  put(mutation: Of<'PutObject'>): WrittenVersion {
    const { bucketId, lastModifiedMs, preconditions, attributes } = mutation;
    const bucket = this.#options.buckets.require(bucketId);
    const key = Buffer.from(mutation.key);
    if (preconditions !== undefined) this.checkWrite(preconditions, { bucketId, key, name: mutation.key });
    const blobs = this.#options.blobs.check(mutation.blobs);
    const ownerId = this.#options.internOwner(mutation.owner);
    const order = this.#options.nextIdentifier();
    const versionId = this.#newVersionId(bucket, {
      bucketId,
      key,
      order,
      proposed: mutation.versionId,
      seed: mutation.versionSeed,
    });
    const fields = {
      bucketId,
      key,
      order,
      ownerId,
      lastModifiedMs,
      attributes: encodeAttributes(this.#retained(attributes, bucket)),
      blobs,
    };
    if (versionId === undefined) this.#options.emit({ type: 'PutObject', ...fields });
    else this.#options.emit({ type: 'PutVersion', ...fields, versionId });
    return { versionId: shownVersionId(versionId), order, etag: attributes.etag, lastModifiedMs };
  }

  /** The last step of CompleteMultipartUpload: everything else has been checked. */
  complete(
    mutation: Of<'CompleteMultipartUpload'>,
    rest: Omit<CompleteFields, 'order' | 'attributes'>,
  ): WrittenVersion {
    const { bucketId, versionId: proposed, versionSeed: seed, attributes } = mutation;
    const order = this.#options.nextIdentifier();
    const bucket = this.#options.buckets.require(bucketId);
    const versionId = this.#newVersionId(bucket, { bucketId, key: Buffer.from(mutation.key), order, proposed, seed });
    const fields = { ...rest, order, attributes: encodeAttributes(this.#retained(attributes, bucket)) };
    if (versionId === undefined) this.#options.emit({ type: 'CompleteMultipartUpload', ...fields });
    else this.#options.emit({ type: 'CompleteVersion', ...fields, versionId });
    this.#addManifests(mutation, order);
    const { lastModifiedMs } = rest;
    return { versionId: shownVersionId(versionId), order, etag: attributes.etag, lastModifiedMs };
  }

  /** The record of a completion has room for one, which names the first of the blobs; the others follow it in a chain. */
  #addManifests({ bucketId, key, manifests = [], attributes }: Of<'CompleteMultipartUpload'>, order: number): void {
    if (manifests.length < 2) return;
    const present = this.#sql.largeBlobIds.get(order);
    assert(present !== undefined, 'an object of many parts has long lists');
    const uses: BlobUse[] = decodeBlobIds(present).map((existingBlobId) => ({ existingBlobId }));
    this.#options.emit({
      type: 'TransitionVersion',
      bucketId,
      key: Buffer.from(key),
      order,
      storageClass: encodeStorageClass(attributes.storageClass),
      blobs: [...uses, ...manifests.slice(1).map((newBlob) => ({ newBlob }))],
    });
  }

  /** @throws S3Error NoSuchKey | PreconditionFailed */
  checkWrite(preconditions: WritePreconditions, at: { bucketId: number; key: Buffer; name: string }): void {
    checkWritePreconditions(preconditions, at.name, this.#currentObject(at.bucketId, at.key));
  }

  /** @throws S3Error NoSuchBucket | PreconditionFailed; `shortage`, when a delete marker would only add something */
  delete(mutation: Of<'DeleteObject'>, shortage: StoreError | undefined): DeletedVersion {
    const { bucketId } = mutation;
    const bucket = this.#options.buckets.require(bucketId);
    const key = Buffer.from(mutation.key);
    if (mutation.versionId !== undefined) return this.#deleteVersion(bucket, key, mutation, mutation.versionId);
    const isVersioned = bucket.configuration.versioning !== undefined;
    const current = this.find(bucketId, key, undefined);
    this.#checkDelete(mutation, current);
    // What a condition was to protect is not there: nothing to cover.
    if (current === undefined && mutation.preconditions !== undefined) return { isDeleteMarker: false };
    if (!isVersioned) {
      if (current !== undefined) this.#options.emit({ type: 'DeleteObject', bucketId, key });
      return { isDeleteMarker: false };
    }
    const isReplacing = bucket.configuration.versioning?.status === 'Suspended' && this.find(bucketId, key, 'null');
    if (shortage !== undefined && !isReplacing) throw shortage;
    const ownerId = this.#options.internOwner(mutation.owner);
    const order = this.#options.nextIdentifier();
    const versionId = this.#newVersionId(bucket, { bucketId, key, order }) ?? NULL_VERSION_ID;
    const lastModifiedMs = mutation.atMs;
    this.#options.emit({ type: 'PutDeleteMarker', bucketId, key, order, ownerId, lastModifiedMs, versionId });
    return { deletedVersionId: shownVersionId(versionId), isDeleteMarker: true };
  }

  /** The version or delete marker that a read of these finds. */
  find(bucketId: number, key: Buffer, versionId: string | undefined): StoredVersion | undefined {
    if (versionId !== undefined)
      return this.#version(bucketId, key, versionId === 'null' ? NULL_VERSION_ID : versionId);
    return this.#currentObject(bucketId, key) ?? this.#newest(bucketId, key);
  }

  /** @throws S3Error NoSuchBucket | PreconditionFailed; StoreError BlobGone */
  transition(mutation: Of<'TransitionVersion'>): void {
    const { bucketId, onlyOrder, storageClass } = mutation;
    this.#options.buckets.require(bucketId);
    requireStoreFormat(this.#options.formatVersion(), 2, 'Changing the storage class of an object');
    const key = Buffer.from(mutation.key);
    const version = this.find(bucketId, key, mutation.versionId);
    if (version?.order !== onlyOrder || version.isDeleteMarker) throw notTheSame();
    const blobs = this.#options.blobs.check(mutation.blobs);
    const fields = { bucketId, key, order: onlyOrder, storageClass: encodeStorageClass(storageClass), blobs };
    this.#options.emit({ type: 'TransitionVersion', ...fields });
  }

  /** One that is not there counts as deleted. */
  #deleteVersion(bucket: KnownBucket, key: Buffer, mutation: Of<'DeleteObject'>, wanted: string): DeletedVersion {
    const { bucketId } = mutation;
    const version = this.find(bucketId, key, wanted);
    this.#checkDelete(mutation, version);
    if (version === undefined) return { deletedVersionId: wanted, isDeleteMarker: false };
    if (mutation.onlyNoncurrent && this.find(bucketId, key, undefined)?.order === version.order) throw notTheSame();
    if (bucket.configuration.objectLock !== undefined) this.#checkLock(mutation, key, version);
    if (bucket.configuration.versioning === undefined) this.#options.emit({ type: 'DeleteObject', bucketId, key });
    else this.#options.emit({ type: 'DeleteVersion', bucketId, key, order: version.order });
    return { deletedVersionId: wanted, isDeleteMarker: version.isDeleteMarker };
  }

  /** Every record that removes a version of a bucket with Object Lock passes here. @throws S3Error AccessDenied */
  #checkLock({ bucketId, bypassesGovernance = false }: Of<'DeleteObject'>, key: Buffer, version: StoredVersion): void {
    if (version.isDeleteMarker) return;
    const lock = decodeDetails(this.details(bucketId, key, version.order));
    const trustedNowMs = this.#options.trustedTime.trustedNowMs();
    if (isProtected(lock, { trustedNowMs, bypassesGovernance })) throw protectedByLock();
  }

  #checkDelete({ preconditions, onlyOrder }: Of<'DeleteObject'>, version: StoredVersion | undefined): void {
    if (onlyOrder !== undefined && version?.order !== onlyOrder) throw notTheSame();
    if (preconditions !== undefined) checkDeletePreconditions(preconditions, version);
  }

  /** With the bucket's default retention, unless the upload says for how long. A clock set back does not shorten it. */
  #retained(attributes: ObjectAttributes, { configuration }: KnownBucket): ObjectAttributes {
    const byDefault = configuration.objectLock?.defaultRetention;
    if (byDefault === undefined || attributes.retention !== undefined) return attributes;
    return { ...attributes, retention: retentionByDefault(byDefault, this.#options.trustedTime.latestNowMs()) };
  }

  /** `undefined`: the bucket never had versions. */
  #newVersionId(
    { configuration }: KnownBucket,
    { bucketId, key, order, proposed, seed }: NewVersion,
  ): string | undefined {
    const { versioning, objectLock } = configuration;
    // Else a write would take the place of a version that may be locked.
    assert(objectLock === undefined || versioning?.status === 'Enabled', 'Object Lock without versioning');
    if (versioning === undefined) return undefined;
    if (versioning.status === 'Suspended') return NULL_VERSION_ID;
    if (proposed === undefined) {
      return makeVersionId(order, seed === undefined ? this.#options.randomness : { bytes: () => seed });
    }
    assert(
      proposed !== NULL_VERSION_ID && this.#version(bucketId, key, proposed) === undefined,
      'a version id is taken',
    );
    return proposed;
  }

  /** `encodeDetails` of a version that is there. */
  details(bucketId: number, key: Buffer, order: number): Buffer {
    const details =
      this.#sql.currentDetails.get(bucketId, key, order) ?? this.#sql.versionDetails.get(bucketId, key, order);
    assert(details !== undefined, `version ${order} is not there`);
    return details;
  }

  /** As it is stored; `undefined`: that version is not the current one. */
  currentStorageClass(bucketId: number, key: Buffer, order: number): string | undefined {
    return this.#sql.currentClass.get(bucketId, key, order);
  }

  /** The current version unless it is a delete marker. */
  #currentObject(bucketId: number, key: Buffer): StoredVersion | undefined {
    return storedVersion(this.#sql.currentObject.get(bucketId, key));
  }

  /** Of those that are not in `objects`. */
  #newest(bucketId: number, key: Buffer): StoredVersion | undefined {
    return storedVersion(this.#sql.newestVersion.get(bucketId, key));
  }

  #version(bucketId: number, key: Buffer, versionId: string): StoredVersion | undefined {
    const current = this.#currentObject(bucketId, key);
    if (current?.versionId === versionId) return current;
    return storedVersion(this.#sql.versionById.get(bucketId, key, versionId));
  }
}

export function notTheSame(): S3Error {
  return new S3Error('PreconditionFailed', {
    details: { Condition: 'the version is not the one that was looked at' },
  });
}

/** As clients see it. */
export function shownVersionId(versionId: string | undefined): string {
  return versionId === undefined || versionId === NULL_VERSION_ID ? 'null' : versionId;
}

type StoredRow = [
  order: number,
  versionId: string,
  isDeleteMarker: number,
  etag: string,
  lastModifiedMs: number,
  sizeBytes: number,
];

function storedVersion(row: StoredRow | undefined): StoredVersion | undefined {
  if (row === undefined) return undefined;
  const [order, versionId, isDeleteMarker, etag, lastModifiedMs, sizeBytes] = row;
  return { order, versionId, isDeleteMarker: isDeleteMarker === 1, etag, lastModifiedMs, sizeBytes };
}

function prepareStatements(db: Database) {
  const facts = 'etag, modified_ms, size_bytes';
  return {
    currentObject: db
      .prepare<[number, Buffer], StoredRow>(
        `SELECT ord, version_id, 0, ${facts} FROM objects WHERE bucket_id = ? AND key = ?`,
      )
      .raw(),
    newestVersion: db
      .prepare<[number, Buffer], StoredRow>(
        `SELECT ord, version_id, is_delete_marker, ${facts} FROM versions
         WHERE bucket_id = ? AND key = ? ORDER BY ord DESC LIMIT 1`,
      )
      .raw(),
    currentDetails: db
      .prepare<[number, Buffer, number], Buffer>(
        'SELECT details FROM objects WHERE bucket_id = ? AND key = ? AND ord = ?',
      )
      .pluck(),
    largeBlobIds: db.prepare<[number], Buffer>('SELECT blob_ids FROM large_lists WHERE ord = ?').pluck(),
    currentClass: db
      .prepare<[number, Buffer, number], string>(
        'SELECT storage_class FROM objects WHERE bucket_id = ? AND key = ? AND ord = ?',
      )
      .pluck(),
    versionDetails: db
      .prepare<[number, Buffer, number], Buffer>(
        'SELECT details FROM versions WHERE bucket_id = ? AND key = ? AND ord = ?',
      )
      .pluck(),
    versionById: db
      .prepare<[number, Buffer, string], StoredRow>(
        `SELECT ord, version_id, is_delete_marker, ${facts} FROM versions INDEXED BY versions_by_id
         WHERE bucket_id = ? AND key = ? AND version_id = ?`,
      )
      .raw(),
  };
}
