import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { Clock, Randomness, TrustedTime } from '../../model/clock.ts';
import type { Owner } from '../../model/object-record.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import type { Mutation, WrittenVersion } from '../metadata-store.ts';
import { encodeChecksumKind, encodeDetails, encodeStorageClass } from '../records/attributes-codec.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import { DecideAppend } from './decide-append.ts';
import { DecideBlobs } from './decide-blobs.ts';
import { DecideBuckets } from './decide-buckets.ts';
import { DecideObjects, shownVersionId } from './decide-objects.ts';
import { DecideRename } from './decide-rename.ts';
import { DecideVersionChanges } from './decide-version-changes.ts';
import { DecideVolumes } from './decide-volumes.ts';
import type { KnownRows } from './known-rows.ts';
import type { OwnerTable } from './owner-table.ts';

const NO_STREAM = Buffer.alloc(0);

export interface DeciderOptions {
  db: Database;
  owners: OwnerTable;
  known: KnownRows;
  clock: Clock;
  trustedTime: TrustedTime;
  /** For version ids. */
  randomness: Pick<Randomness, 'bytes'>;
  /** Encodes the record into the batch and applies it to the open transaction. */
  emit: (record: JournalRecord) => void;
  nextIdentifier: () => number;
  /** The active on-disk format; see `requireStoreFormat`. */
  formatVersion: () => number;
}

type Of<Type extends Mutation['type']> = Extract<Mutation, { type: Type }>;

/**
 * Evaluates one mutation against the open transaction: checks everything first, then emits the records of its outcome
 * and returns its result. It throws S3Error or StoreError before the first record that names the mutation's subject, so
 * a refused mutation leaves nothing behind (an owner interned on the way is harmless).
 */
export class MutationDecider {
  readonly #emit: (record: JournalRecord) => void;
  readonly #nextIdentifier: () => number;
  readonly #owners: OwnerTable;
  readonly #clock: Clock;
  readonly #buckets: DecideBuckets;
  readonly #formatVersion: () => number;
  readonly #objects: DecideObjects;
  readonly #versionChanges: DecideVersionChanges;
  readonly #renames: DecideRename;
  readonly #appends: DecideAppend;
  readonly #blobs: DecideBlobs;
  readonly #volumes: DecideVolumes;
  readonly #sql;

  constructor(options: DeciderOptions) {
    this.#emit = options.emit;
    this.#nextIdentifier = options.nextIdentifier;
    this.#owners = options.owners;
    this.#clock = options.clock;
    const internOwner = (owner: Owner): number => this.#internOwner(owner);
    this.#buckets = new DecideBuckets({ ...options, internOwner });
    this.#formatVersion = options.formatVersion;
    this.#blobs = new DecideBlobs(options.db, options.known);
    this.#objects = new DecideObjects({ ...options, internOwner, buckets: this.#buckets, blobs: this.#blobs });
    this.#versionChanges = new DecideVersionChanges({
      ...options,
      buckets: this.#buckets,
      objects: this.#objects,
      blobs: this.#blobs,
    });
    this.#appends = new DecideAppend({
      ...options,
      buckets: this.#buckets,
      objects: this.#objects,
      blobs: this.#blobs,
    });
    this.#renames = new DecideRename({
      ...options,
      internOwner,
      buckets: this.#buckets,
      objects: this.#objects,
      blobs: this.#blobs,
    });
    this.#volumes = new DecideVolumes(options.db, this.#blobs, options);
    this.#sql = prepareStatements(options.db);
  }

  /** @param shortage why the index must not grow now: refuses deletes that only add a delete marker */
  decide(mutation: Mutation, shortage?: StoreError): unknown {
    switch (mutation.type) {
      case 'PutObject':
        return this.#objects.put(mutation);
      case 'DeleteObject':
        return this.#objects.delete(mutation, shortage);
      case 'TransitionVersion':
        return this.#objects.transition(mutation);
      case 'ChangeVersion':
        return this.#versionChanges.change(mutation);
      case 'AppendObject':
        return this.#appends.append(mutation);
      case 'RenameObject':
        return this.#renames.rename(mutation);
      case 'ReplaceEncryption':
        return this.#versionChanges.replaceEncryption(mutation);
      case 'PutPart':
        return this.#putPart(mutation);
      case 'CreateBucket':
        return this.#buckets.create(mutation);
      case 'DeleteBucket':
        return this.#buckets.delete(mutation);
      case 'PutBucketConfiguration':
        return this.#buckets.putConfiguration(mutation);
      case 'DeleteBucketConfiguration':
        return this.#buckets.deleteConfiguration(mutation);
      case 'CreateMultipartUpload':
        return this.#createUpload(mutation);
      case 'CompleteMultipartUpload':
        return this.#completeUpload(mutation);
      case 'AbortMultipartUpload':
        return this.#emit({ type: 'AbortMultipartUpload', uploadOrder: this.#requireUpload(mutation).order });
      case 'PutDocument':
        return this.#emit({ type: 'PutDocument', address: mutation.address, body: mutation.body });
      case 'DeleteDocument':
        if (this.#sql.hasDocument.get(mutation.address.collection, mutation.address.id) === undefined) return;
        return this.#emit({ type: 'DeleteDocument', address: mutation.address });
      case 'ImportRecords':
        for (const record of mutation.records) this.#emit(record);
        return;
      case 'RaiseFormat':
        if (mutation.formatVersion <= this.#formatVersion()) return;
        return this.#emit({ type: 'RaiseFormat', formatVersion: mutation.formatVersion });
      default:
        return this.#volumes.decide(mutation);
    }
  }

  #createUpload({ upload }: Of<'CreateMultipartUpload'>): void {
    this.#buckets.require(upload.bucketId);
    const isTaken =
      this.#sql.uploadById.get(upload.uploadId) !== undefined ||
      this.#sql.completionById.get(upload.uploadId) !== undefined;
    assert(!isTaken, 'an upload id is used twice');
    const ownerId = this.#internOwner(upload.owner);
    const initiatorId = this.#internOwner(upload.initiator);
    this.#emit({
      type: 'CreateMultipartUpload',
      order: this.#nextIdentifier(),
      uploadId: upload.uploadId,
      bucketId: upload.bucketId,
      key: Buffer.from(upload.key),
      initiatedAtMs: upload.initiatedAtMs,
      ownerId,
      initiatorId,
      storageClass: encodeStorageClass(upload.storageClass),
      checksum: encodeChecksumKind(upload.checksumAlgorithm, upload.checksumType),
      details: encodeDetails({
        headers: upload.headers,
        userMetadata: upload.userMetadata,
        checksumValue: undefined,
        tags: upload.tags,
        retention: upload.retention,
        legalHold: upload.legalHold,
        encryption: upload.encryption,
        acl: upload.acl,
      }),
    });
  }

  #putPart(mutation: Of<'PutPart'>): void {
    const upload = this.#requireUpload(mutation);
    const { part } = mutation;
    const blobs = this.#blobs.check(mutation.blobs);
    const fields = {
      uploadOrder: upload.order,
      partNumber: part.partNumber,
      etag: part.etag,
      sizeBytes: part.sizeBytes,
      lastModifiedMs: part.lastModifiedMs,
      checksum: encodeChecksumKind(part.checksum?.algorithm, undefined),
      checksumValue: part.checksum?.value ?? '',
      blobs,
    };
    if (part.encryption === undefined) this.#emit({ type: 'PutPart', ...fields });
    else this.#emit({ type: 'PutEncryptedPart', ...fields, encryption: part.encryption });
  }

  #completeUpload(mutation: Of<'CompleteMultipartUpload'>): WrittenVersion {
    const remembered = this.#rememberedCompletion(mutation);
    if (remembered !== undefined) return remembered;
    const upload = this.#requireUpload(mutation);
    const { bucketId, lastModifiedMs, preconditions } = mutation;
    if (preconditions !== undefined) {
      this.#objects.checkWrite(preconditions, { bucketId, key: Buffer.from(mutation.key), name: mutation.key });
    }
    for (const { partNumber, etag, encryption } of mutation.parts) {
      const found = this.#sql.part.get(upload.order, partNumber);
      if (found?.[0] !== etag) {
        throw new S3Error('InvalidPart', {
          details: { UploadId: mutation.uploadId, PartNumber: partNumber, ETag: etag },
        });
      }
      // What the object will be opened with is what the part was sealed with.
      if (!(found[1] ?? NO_STREAM).equals(encryption ?? NO_STREAM)) {
        throw new StoreError('BlobGone', `part ${partNumber} of an upload was replaced while it was completed`);
      }
    }
    const { manifests = [] } = mutation;
    this.#blobs.check(manifests.map((newBlob) => ({ newBlob })));
    if (manifests.length > 1) requireStoreFormat(this.#formatVersion(), 2, 'More than one manifest of an object');
    return this.#objects.complete(mutation, {
      uploadOrder: upload.order,
      lastModifiedMs,
      decidedAtMs: this.#clock.nowMs(),
      partNumbers: mutation.parts.map((part) => part.partNumber),
      manifest: manifests[0],
    });
  }

  #rememberedCompletion(mutation: Of<'CompleteMultipartUpload'>): WrittenVersion | undefined {
    const row = this.#sql.completionById.get(mutation.uploadId);
    if (row === undefined) return undefined;
    const [bucketId, key, versionId, order, etag, lastModifiedMs] = row;
    if (bucketId !== mutation.bucketId || key !== mutation.key) return undefined;
    this.#buckets.require(bucketId);
    return { versionId: shownVersionId(versionId), order, etag, lastModifiedMs };
  }

  #requireUpload(named: { bucketId: number; key: string; uploadId: string }): { order: number } {
    const row = this.#sql.uploadById.get(named.uploadId);
    if (row === undefined || row[1] !== named.bucketId || row[2] !== named.key) {
      throw new S3Error('NoSuchUpload', { details: { UploadId: named.uploadId } });
    }
    return { order: row[0] };
  }

  #internOwner(owner: Owner): number {
    const known = this.#owners.idOf(owner);
    if (known !== undefined) return known;
    const ownerId = this.#owners.nextId();
    this.#emit({ type: 'InternOwner', ownerId, owner });
    return ownerId;
  }
}

function prepareStatements(db: Database) {
  return {
    uploadById: db
      .prepare<[string], [number, number, string]>(
        'SELECT ord, bucket_id, CAST(key AS TEXT) FROM uploads WHERE upload_id = ?',
      )
      .raw(),
    completionById: db
      .prepare<[string], [number, string, string, number, string, number]>(
        `SELECT bucket_id, CAST(key AS TEXT), version_id, ord, etag, modified_ms FROM completed_uploads
         WHERE upload_id = ?`,
      )
      .raw(),
    part: db
      .prepare<[number, number], [string, Buffer | null]>(
        'SELECT etag, encryption FROM parts WHERE upload_ord = ? AND part_number = ?',
      )
      .raw(),
    hasDocument: db
      .prepare<[string, string], number>('SELECT 1 FROM documents WHERE collection = ? AND id = ?')
      .pluck(),
  };
}
