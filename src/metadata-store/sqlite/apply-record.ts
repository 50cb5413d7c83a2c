import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { Owner } from '../../model/object-record.ts';
import { bucketOfDocument } from '../records/bucket-configuration-codec.ts';
import { COMPLETION_MEMORY_MS, type EncodedAttributes, type JournalRecord } from '../records/journal-record.ts';
import { decodeBlobIds, encodeBlobIds, INLINE_BLOB_LIMIT } from './blob-ids.ts';
import { BlobReferences } from './blob-references.ts';
import type { KnownRows } from './known-rows.ts';
import type { OwnerTable } from './owner-table.ts';
import { VolumeApplier } from './apply-volume-record.ts';

const EMPTY = Buffer.alloc(0);

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
  readonly #volumes: VolumeApplier;
  readonly #owners: OwnerTable;
  readonly #known: KnownRows;
  readonly #usage = new Map<number, { objects: number; bytes: number; uploads: number }>();
  readonly #sql;

  constructor(db: Database, owners: OwnerTable, known: KnownRows) {
    this.blobs = new BlobReferences(db, known, this.touchedVolumeIds);
    this.#volumes = new VolumeApplier(db, this.blobs, this.touchedVolumeIds);
    this.#owners = owners;
    this.#known = known;
    this.#sql = prepareStatements(db);
  }

  apply(record: JournalRecord): void {
    switch (record.type) {
      case 'PutObject':
        return this.#putObject(record, this.blobs.take(record.blobs));
      case 'DeleteObject':
        assert(this.#removeCurrent(record.bucketId, record.key), 'a record deletes a key that is not there');
        this.#sql.deleteObject.run(record.bucketId, record.key);
        return;
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
        return this.#putPart(record);
      case 'CompleteMultipartUpload':
        return this.#completeUpload(record);
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
      default:
        this.#known.forget();
        return this.#volumes.apply(record);
    }
  }

  /** Writes the sums of the transaction. */
  flush(): void {
    this.blobs.flush();
    for (const [bucketId, change] of this.#usage) {
      this.#sql.addUsage.run(change.objects, change.bytes, change.uploads, bucketId);
    }
    this.#usage.clear();
  }

  discard(): void {
    this.blobs.discard();
    this.touchedVolumeIds.clear();
    this.#usage.clear();
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

  #putObject(
    record: {
      bucketId: number;
      key: Buffer;
      order: number;
      ownerId: number;
      lastModifiedMs: number;
      attributes: EncodedAttributes;
    },
    blobIds: readonly number[],
  ): void {
    const { bucketId, key, order, attributes } = record;
    const isLarge = blobIds.length > INLINE_BLOB_LIMIT || attributes.parts.length > 0;
    const onlyBlobId = !isLarge && blobIds.length === 1 ? blobIds[0]! : null;
    const encodedIds = onlyBlobId === null ? encodeBlobIds(blobIds) : EMPTY;
    const row = [
      bucketId,
      key,
      order,
      attributes.sizeBytes,
      attributes.etag,
      record.lastModifiedMs,
      record.ownerId,
      attributes.storageClass,
      attributes.checksum,
      isLarge ? 1 : 0,
      onlyBlobId,
      isLarge ? EMPTY : encodedIds,
      attributes.details,
    ];
    // A new key, the usual case, is looked up once.
    if (this.#sql.insertObject.run(row).changes === 0) {
      this.#removeCurrent(bucketId, key);
      this.#sql.replaceObject.run(row);
    }
    if (isLarge) this.#sql.insertLargeLists.run(order, encodedIds, attributes.parts);
    this.#addUsage(bucketId, 1, attributes.sizeBytes, 0);
  }

  /** Gives back what the current version holds; its row is then overwritten or deleted. False: there is none. */
  #removeCurrent(bucketId: number, key: Buffer): boolean {
    const row = this.#sql.selectObject.get(bucketId, key);
    if (row === undefined) return false;
    const [order, sizeBytes, hasLargeLists, onlyBlobId, blobIds] = row;
    if (onlyBlobId !== null) {
      this.blobs.drop([onlyBlobId]);
    } else if (hasLargeLists === 1) {
      const large = this.#sql.selectLargeBlobIds.get(order);
      assert(large !== undefined, `the lists of version ${order} are missing`);
      this.blobs.drop(decodeBlobIds(large));
      this.#sql.deleteLargeLists.run(order);
    } else {
      this.blobs.drop(decodeBlobIds(blobIds));
    }
    this.#addUsage(bucketId, -1, -sizeBytes, 0);
    return true;
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
    this.#addUsage(record.bucketId, 0, 0, 1);
  }

  #putPart(record: Extract<JournalRecord, { type: 'PutPart' }>): void {
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
    );
  }

  /** The references of the parts named pass to the object; those of other parts are given back. */
  #completeUpload(record: Extract<JournalRecord, { type: 'CompleteMultipartUpload' }>): void {
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
    this.#putObject({ bucketId, key, order, ownerId, lastModifiedMs, attributes }, blobIds);
    this.#deleteUploadRows(bucketId, record.uploadOrder);
    this.#sql.forgetCompletions.run(decidedAtMs);
    this.#sql.rememberCompletion.run(
      uploadId,
      bucketId,
      key,
      record.uploadOrder,
      decidedAtMs + COMPLETION_MEMORY_MS,
      order,
      attributes.etag,
      lastModifiedMs,
    );
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
    this.#addUsage(bucketId, 0, 0, -1);
  }

  #addUsage(bucketId: number, objects: number, bytes: number, uploads: number): void {
    const change = this.#usage.get(bucketId);
    if (change === undefined) {
      this.#usage.set(bucketId, { objects, bytes, uploads });
    } else {
      change.objects += objects;
      change.bytes += bytes;
      change.uploads += uploads;
    }
  }
}

const OBJECT_ROW = `(bucket_id, key, ord, version_id, size_bytes, etag, modified_ms, owner_id, storage_class, checksum,
  has_large_lists, only_blob_id, blob_ids, details) VALUES (?, ?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

function prepareStatements(db: Database) {
  return {
    createBucket: db.prepare(
      `INSERT INTO buckets (bucket_id, name, account_id, owner_id, region, created_at_ms) VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    deleteBucket: db.prepare<[number]>('DELETE FROM buckets WHERE bucket_id = ?'),
    addUsage: db.prepare<[number, number, number, number]>(
      `UPDATE buckets SET object_count = object_count + ?, size_bytes = size_bytes + ?, upload_count = upload_count + ?
       WHERE bucket_id = ?`,
    ),
    selectObject: db
      .prepare<[number, Buffer], [number, number, number, number | null, Buffer]>(
        'SELECT ord, size_bytes, has_large_lists, only_blob_id, blob_ids FROM objects WHERE bucket_id = ? AND key = ?',
      )
      .raw(),
    insertObject: db.prepare(`INSERT INTO objects ${OBJECT_ROW} ON CONFLICT DO NOTHING`),
    replaceObject: db.prepare(`REPLACE INTO objects ${OBJECT_ROW}`),
    deleteObject: db.prepare<[number, Buffer]>('DELETE FROM objects WHERE bucket_id = ? AND key = ?'),
    insertLargeLists: db.prepare<[number, Buffer, Buffer]>(
      'INSERT INTO large_lists (ord, blob_ids, parts) VALUES (?, ?, ?)',
    ),
    selectLargeBlobIds: db.prepare<[number], Buffer>('SELECT blob_ids FROM large_lists WHERE ord = ?').pluck(),
    deleteLargeLists: db.prepare<[number]>('DELETE FROM large_lists WHERE ord = ?'),
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
      `REPLACE INTO parts (upload_ord, part_number, etag, size_bytes, modified_ms, checksum, checksum_value, blob_ids)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
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
       modified_ms) VALUES (?, ?, ?, ?, ?, '', ?, ?, ?)`,
    ),
    putDocument: db.prepare<[string, string, Buffer]>('REPLACE INTO documents (collection, id, body) VALUES (?, ?, ?)'),
    deleteDocument: db.prepare<[string, string]>('DELETE FROM documents WHERE collection = ? AND id = ?'),
    // Collections named bucket-… are keyed by bucket id.
    deleteDocumentsOfBucket: db.prepare<[string]>(
      `DELETE FROM documents WHERE id = ? AND collection >= 'bucket-' AND collection < 'bucket.'`,
    ),
  };
}
