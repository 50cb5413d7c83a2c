import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { Owner } from '../../model/object-record.ts';
import { bucketOfDocument } from '../records/bucket-configuration-codec.ts';
import {
  COMPLETION_MEMORY_MS,
  TOKEN_MEMORY_MS,
  type CompleteFields,
  type JournalRecord,
  type PutPartFields,
} from '../records/journal-record.ts';
import { ObjectApplier } from './apply-object-record.ts';
import { decodeBlobIds, encodeBlobIds } from './blob-ids.ts';
import { BlobReferences } from './blob-references.ts';
import { BucketUsage } from './bucket-usage.ts';
import type { KnownRows } from './known-rows.ts';
import type { OwnerTable } from './owner-table.ts';
import { VolumeApplier } from './apply-volume-record.ts';

/**
 * Applies decided records to the open transaction, at run time and in replay alike: the one place that writes the
 * index. No precondition, no clock. A record that does not fit is an assertion: the batch is rolled back.
 *
 * Call `flush` before COMMIT and `discard` after ROLLBACK.
 */
export class RecordApplier {
  readonly blobs: BlobReferences;
  /** Rows of `volumes` that the transaction changes; emptied by whoever commits. */
  readonly touchedVolumeIds = new Set<number>();
  readonly #objects: ObjectApplier;
  readonly #volumes: VolumeApplier;
  readonly #owners: OwnerTable;
  readonly #known: KnownRows;
  readonly #usage: BucketUsage;
  readonly #sql;

  constructor(db: Database, owners: OwnerTable, known: KnownRows) {
    this.blobs = new BlobReferences(db, known, this.touchedVolumeIds);
    this.#usage = new BucketUsage(db);
    this.#objects = new ObjectApplier(db, this.blobs, this.#usage);
    this.#volumes = new VolumeApplier(db, this.blobs, this.touchedVolumeIds);
    this.#owners = owners;
    this.#known = known;
    this.#sql = prepareStatements(db);
  }

  apply(record: JournalRecord): void {
    switch (record.type) {
      case 'PutObject':
        return this.#objects.replace(record, this.blobs.take(record.blobs));
      case 'DeleteObject':
        return this.#objects.removeOnly(record.bucketId, record.key);
      case 'PutVersion':
        return this.#objects.add(record, record.versionId, this.blobs.take(record.blobs));
      case 'PutDeleteMarker':
        return this.#objects.addDeleteMarker(record, record.versionId);
      case 'DeleteVersion':
        return this.#objects.removeVersion(record.bucketId, record.key, record.order);
      case 'TransitionVersion':
        return this.#objects.transition(record, this.blobs.take(record.blobs));
      case 'AppendObject':
        return this.#objects.append(record, this.blobs.take(record.blobs));
      case 'ChangeDetails':
        return this.#objects.changeDetails(record);
      case 'InternOwner':
        return this.#owners.insert(record.ownerId, record.owner);
      case 'CreateBucket':
        this.#known.forget();
        return this.#createBucket(record, this.#owners.byId(record.ownerId));
      case 'DeleteBucket':
        this.#known.forget();
        return this.#deleteBucket(record.bucketId);
      case 'CreateMultipartUpload':
        return this.#createUpload(record);
      case 'PutPart':
        return this.#putPart(record, null);
      case 'PutEncryptedPart':
        return this.#putPart(record, record.encryption);
      case 'CompleteMultipartUpload':
        return this.#completeUpload(record, undefined);
      case 'CompleteVersion':
        return this.#completeUpload(record, record.versionId);
      case 'AbortMultipartUpload':
        return this.#abortUpload(record.uploadOrder);
      case 'PutDocument':
        if (bucketOfDocument(record.address) !== undefined) this.#known.forget();
        this.#sql.putDocument.run(record.address.collection, record.address.id, record.body);
        return;
      case 'DeleteDocument':
        if (bucketOfDocument(record.address) !== undefined) this.#known.forget();
        this.#sql.deleteDocument.run(record.address.collection, record.address.id);
        return;
      case 'RememberToken':
        return this.#rememberToken(record);
      case 'RaiseFormat':
        this.#sql.raiseFormat.run(record.formatVersion);
        return;
      default:
        this.#known.forget();
        return this.#volumes.apply(record);
    }
  }

  /** Writes the sums of the transaction. */
  flush(): void {
    this.blobs.flush();
    this.#usage.flush();
  }

  discard(): void {
    this.blobs.discard();
    this.touchedVolumeIds.clear();
    this.#usage.discard();
    this.#owners.reload();
    this.#known.forget();
  }

  #createBucket(record: Extract<JournalRecord, { type: 'CreateBucket' }>, owner: Owner): void {
    const { bucketId, name, ownerId, region, createdAtMs } = record;
    this.#sql.createBucket.run(bucketId, name, owner.accountId, ownerId, region, createdAtMs);
  }

  #deleteBucket(bucketId: number): void {
    for (const uploadOrder of this.#sql.uploadsOfBucket.all(bucketId)) this.#abortUpload(uploadOrder);
    this.#sql.deleteDocumentsOfBucket.run(String(bucketId));
    assert(this.#sql.deleteBucket.run(bucketId).changes === 1, `bucket ${bucketId} is deleted but not there`);
  }

  #createUpload(record: Extract<JournalRecord, { type: 'CreateMultipartUpload' }>): void {
    this.#sql.createUpload.run(
      record.bucketId,
      record.key,
      record.order,
      record.uploadId,
      record.initiatedAtMs,
      record.ownerId,
      record.initiatorId,
      record.storageClass,
      record.checksum,
      record.details,
    );
    this.#usage.add(record.bucketId, { uploads: 1 });
  }

  #putPart(record: PutPartFields, encryption: Buffer | null): void {
    const blobIds = this.blobs.take(record.blobs);
    const before = this.#sql.selectPart.get(record.uploadOrder, record.partNumber);
    if (before !== undefined) this.blobs.drop(decodeBlobIds(before));
    this.#sql.putPart.run(
      record.uploadOrder,
      record.partNumber,
      record.etag,
      record.sizeBytes,
      record.lastModifiedMs,
      record.checksum,
      record.checksumValue,
      encodeBlobIds(blobIds),
      encryption,
    );
  }

  /** The references of the parts named pass to the object; those of other parts are given back. */
  #completeUpload(record: CompleteFields, versionId: string | undefined): void {
    const upload = this.#sql.selectUpload.get(record.uploadOrder);
    assert(upload !== undefined, `upload ${record.uploadOrder} is completed but not there`);
    const [bucketId, key, uploadId, ownerId] = upload;
    const named = new Set(record.partNumbers);
    const blobIds: number[] = [];
    for (const [partNumber, partBlobIds] of this.#sql.partsOfUpload.all(record.uploadOrder)) {
      if (named.delete(partNumber)) blobIds.push(...decodeBlobIds(partBlobIds));
      else this.blobs.drop(decodeBlobIds(partBlobIds));
    }
    assert(named.size === 0, `upload ${record.uploadOrder} is completed with parts that are not there`);
    if (record.manifest !== undefined) {
      this.blobs.insert(record.manifest);
      blobIds.push(record.manifest.blobId);
    }
    const { order, lastModifiedMs, attributes, decidedAtMs } = record;
    const version = { bucketId, key, order, ownerId, lastModifiedMs, attributes };
    if (versionId === undefined) this.#objects.replace(version, blobIds);
    else this.#objects.add(version, versionId, blobIds);
    this.#deleteUploadRows(bucketId, record.uploadOrder);
    this.#sql.forgetCompletions.run(decidedAtMs);
    this.#sql.rememberCompletion.run(
      uploadId,
      bucketId,
      key,
      record.uploadOrder,
      decidedAtMs + COMPLETION_MEMORY_MS,
      versionId ?? '',
      order,
      attributes.etag,
      lastModifiedMs,
    );
  }

  #rememberToken(record: Extract<JournalRecord, { type: 'RememberToken' }>): void {
    const { bucketId, token, meaning, decidedAtMs } = record;
    this.#sql.forgetTokens.run(decidedAtMs);
    this.#sql.rememberToken.run(bucketId, token, meaning, decidedAtMs + TOKEN_MEMORY_MS);
  }

  #abortUpload(uploadOrder: number): void {
    const upload = this.#sql.selectUpload.get(uploadOrder);
    assert(upload !== undefined, `upload ${uploadOrder} is aborted but not there`);
    for (const [, blobIds] of this.#sql.partsOfUpload.all(uploadOrder)) this.blobs.drop(decodeBlobIds(blobIds));
    this.#deleteUploadRows(upload[0], uploadOrder);
  }

  #deleteUploadRows(bucketId: number, uploadOrder: number): void {
    this.#sql.deleteParts.run(uploadOrder);
    this.#sql.deleteUpload.run(uploadOrder);
    this.#usage.add(bucketId, { uploads: -1 });
  }
}

function prepareStatements(db: Database) {
  return {
    createBucket: db.prepare(
      `INSERT INTO buckets (bucket_id, name, account_id, owner_id, region, created_at_ms) VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    deleteBucket: db.prepare<[number]>('DELETE FROM buckets WHERE bucket_id = ?'),
    createUpload: db.prepare(
      `INSERT INTO uploads (bucket_id, key, ord, upload_id, initiated_at_ms, owner_id, initiator_id, storage_class,
       checksum, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    selectUpload: db
      .prepare<[number], [number, Buffer, string, number]>(
        'SELECT bucket_id, key, upload_id, owner_id FROM uploads WHERE ord = ?',
      )
      .raw(),
    uploadsOfBucket: db.prepare<[number], number>('SELECT ord FROM uploads WHERE bucket_id = ?').pluck(),
    deleteUpload: db.prepare<[number]>('DELETE FROM uploads WHERE ord = ?'),
    selectPart: db
      .prepare<[number, number], Buffer>('SELECT blob_ids FROM parts WHERE upload_ord = ? AND part_number = ?')
      .pluck(),
    putPart: db.prepare(
      `REPLACE INTO parts (upload_ord, part_number, etag, size_bytes, modified_ms, checksum, checksum_value, blob_ids,
       encryption) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    partsOfUpload: db
      .prepare<[number], [number, Buffer]>(
        'SELECT part_number, blob_ids FROM parts WHERE upload_ord = ? ORDER BY part_number',
      )
      .raw(),
    deleteParts: db.prepare<[number]>('DELETE FROM parts WHERE upload_ord = ?'),
    forgetCompletions: db.prepare<[number]>('DELETE FROM completed_uploads WHERE expires_at_ms <= ?'),
    rememberCompletion: db.prepare(
      `REPLACE INTO completed_uploads (upload_id, bucket_id, key, upload_ord, expires_at_ms, version_id, ord, etag,
       modified_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    forgetTokens: db.prepare<[number]>('DELETE FROM client_tokens WHERE expires_at_ms <= ?'),
    rememberToken: db.prepare<[number, string, Buffer, number]>(
      'REPLACE INTO client_tokens (bucket_id, token, meaning, expires_at_ms) VALUES (?, ?, ?, ?)',
    ),
    putDocument: db.prepare<[string, string, Buffer]>('REPLACE INTO documents (collection, id, body) VALUES (?, ?, ?)'),
    deleteDocument: db.prepare<[string, string]>('DELETE FROM documents WHERE collection = ? AND id = ?'),
    raiseFormat: db.prepare<[number]>('UPDATE applied SET format_version = ? WHERE id = 1'),
    // Collections named bucket-… are keyed by bucket id.
    deleteDocumentsOfBucket: db.prepare<[string]>(
      `DELETE FROM documents WHERE id = ? AND collection >= 'bucket-' AND collection < 'bucket.'`,
    ),
  };
}
