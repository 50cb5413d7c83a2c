import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { appendParts } from '../records/attributes-codec.ts';
import type { AppendFields, EncodedAttributes, TransitionFields } from '../records/journal-record.ts';
import { decodeBlobIds, encodeBlobIds, INLINE_BLOB_LIMIT } from './blob-ids.ts';
import type { BlobReferences } from './blob-references.ts';
import type { BucketUsage } from './bucket-usage.ts';

const EMPTY = Buffer.alloc(0);
/** In `version_id`. */
export const NULL_VERSION_ID = '';

export interface AppliedVersion {
  bucketId: number;
  key: Buffer;
  order: number;
  ownerId: number;
  lastModifiedMs: number;
  attributes: EncodedAttributes;
}

/** What a row holds besides itself. */
type HoldingRow = [
  order: number,
  sizeBytes: number,
  hasLargeLists: number,
  onlyBlobId: number | null,
  blobIds: Buffer,
  isDeleteMarker: number,
];

/**
 * Writes `objects` and `versions` as records say.
 *
 * Invariants of each key: `objects` holds its current version unless that is a delete marker; every row of `versions`
 * has a lesser order than it; without a row in `objects`, the newest row of `versions` is a delete marker or there is
 * none; at most one row is the null version. So a current version is found without looking at history, and each step
 * below costs the same however long the history is.
 */
export class ObjectApplier {
  readonly #blobs: BlobReferences;
  readonly #usage: BucketUsage;
  readonly #sql;

  constructor(db: Database, blobs: BlobReferences, usage: BucketUsage) {
    this.#blobs = blobs;
    this.#usage = usage;
    this.#sql = prepareStatements(db);
  }

  /** Replaces the current version, which is the only one: the bucket never had versions. */
  replace(version: AppliedVersion, blobIds: readonly number[]): void {
    const row = objectRow(version, NULL_VERSION_ID, blobIds);
    // A new key, the usual case, is looked up once.
    if (this.#sql.insertObject.run(row).changes === 0) {
      this.#releaseCurrent(version.bucketId, version.key);
      this.#sql.replaceObject.run(row);
    }
    this.#noteInserted(version, blobIds);
  }

  /** A new current version. The one before becomes history; a null version takes the place of the former one. */
  add(version: AppliedVersion, versionId: string, blobIds: readonly number[]): void {
    const { bucketId, key } = version;
    if (versionId === NULL_VERSION_ID) this.#removeNullVersion(bucketId, key);
    const row = objectRow(version, versionId, blobIds);
    if (this.#sql.insertObject.run(row).changes === 0) {
      this.#demoteCurrent(bucketId, key);
      this.#sql.replaceObject.run(row);
    }
    this.#noteInserted(version, blobIds);
  }

  addDeleteMarker(marker: Omit<AppliedVersion, 'attributes'>, versionId: string): void {
    const { bucketId, key, order, ownerId, lastModifiedMs } = marker;
    if (versionId === NULL_VERSION_ID) this.#removeNullVersion(bucketId, key);
    if (this.#demoteCurrent(bucketId, key)) this.#sql.deleteObject.run(bucketId, key);
    this.#sql.insertMarker.run(bucketId, key, order, versionId, lastModifiedMs, ownerId);
    this.#usage.add(bucketId, { versions: 1 });
  }

  /** The only version of the key goes: the bucket never had versions. */
  removeOnly(bucketId: number, key: Buffer): void {
    assert(this.#releaseCurrent(bucketId, key), 'a record deletes a key that is not there');
    this.#sql.deleteObject.run(bucketId, key);
  }

  /** One version or delete marker goes; when it was the newest, the newest of the others becomes current. */
  removeVersion(bucketId: number, key: Buffer, order: number): void {
    const current = this.#sql.selectObject.get(bucketId, key);
    if (current?.[0] === order) {
      this.#release(current);
      this.#usage.add(bucketId, { objects: -1, objectBytes: -current[1] });
      this.#sql.deleteObject.run(bucketId, key);
      this.#promoteNewest(bucketId, key);
      return;
    }
    const row = this.#sql.selectVersion.get(bucketId, key, order);
    assert(row !== undefined, `version ${order} is deleted but not there`);
    this.#removeFromHistory(bucketId, key, row);
    if (current === undefined && row[5] === 1) this.#promoteNewest(bucketId, key);
  }

  /** The bytes of a version lie in other blobs, of another storage class; nothing else of it changes. */
  transition(
    { bucketId, key, order, storageClass }: Omit<TransitionFields, 'blobs'>,
    blobIds: readonly number[],
  ): void {
    const current = this.#sql.selectObject.get(bucketId, key);
    const isCurrent = current?.[0] === order;
    const row = isCurrent ? current : this.#sql.selectVersion.get(bucketId, key, order);
    assert(row !== undefined, `version ${order} changes its class but is not there`);
    this.#blobs.drop(this.#blobIdsOf(row));
    const parts = row[2] === 1 ? this.#sql.selectParts.get(order)! : EMPTY;
    if (row[2] === 1) this.#sql.deleteLargeLists.run(order);
    const large = blobIds.length > INLINE_BLOB_LIMIT || parts.length > 0;
    if (large) this.#sql.insertLargeLists.run(order, encodeBlobIds(blobIds), parts);
    const onlyBlobId = !large && blobIds.length === 1 ? blobIds[0]! : null;
    const inline = large || onlyBlobId !== null ? EMPTY : encodeBlobIds(blobIds);
    const place = [storageClass, large ? 1 : 0, onlyBlobId, inline, bucketId, key, order] as const;
    if (isCurrent) this.#sql.placeObject.run(...place);
    else this.#sql.placeVersion.run(...place);
  }

  /** The only version of the key goes on with more parts and blobs. What is there is not decoded, however much it is. */
  append(record: Omit<AppendFields, 'blobs'>, addedBlobIds: readonly number[]): void {
    const { bucketId, key, order, newOrder, sizeBytes } = record;
    const row = this.#sql.selectObject.get(bucketId, key);
    assert(row?.[0] === order, `version ${order} is appended to but not there`);
    const [, formerBytes, hasLargeLists, onlyBlobId, inline] = row;
    const large = hasLargeLists === 1 ? this.#sql.selectLargeLists.get(order) : undefined;
    const former = onlyBlobId === null ? (large?.[0] ?? inline) : encodeBlobIds([onlyBlobId]);
    const blobIds = Buffer.concat([former, encodeBlobIds(addedBlobIds)]);
    const parts = appendParts(large?.[1] ?? EMPTY, record.parts);
    if (large !== undefined) this.#sql.deleteLargeLists.run(order);
    this.#sql.insertLargeLists.run(newOrder, blobIds, parts);
    const { etag, lastModifiedMs, checksum, details } = record;
    this.#sql.continueObject.run(newOrder, sizeBytes, etag, lastModifiedMs, checksum, details, bucketId, key);
    this.#usage.add(bucketId, { objectBytes: sizeBytes - formerBytes });
  }

  /** What is said of one version, current or not. */
  changeDetails(change: { bucketId: number; key: Buffer; order: number; details: Buffer }): void {
    const { bucketId, key, order, details } = change;
    const isCurrent = this.#sql.changeCurrent.run(details, bucketId, key, order).changes === 1;
    if (isCurrent) return;
    const isChanged = this.#sql.changeVersion.run(details, bucketId, key, order).changes === 1;
    assert(isChanged, `version ${order} is changed but not there`);
  }

  #noteInserted({ bucketId, order, attributes }: AppliedVersion, blobIds: readonly number[]): void {
    if (isLarge(attributes, blobIds)) {
      this.#sql.insertLargeLists.run(order, encodeBlobIds(blobIds), attributes.parts);
    }
    this.#usage.add(bucketId, { objects: 1, objectBytes: attributes.sizeBytes });
  }

  /** Wherever it is. A new version follows, so nothing is promoted. */
  #removeNullVersion(bucketId: number, key: Buffer): void {
    if (this.#sql.isCurrentNull.get(bucketId, key) !== undefined) {
      this.removeOnly(bucketId, key);
      return;
    }
    const row = this.#sql.selectNullVersion.get(bucketId, key);
    if (row !== undefined) this.#removeFromHistory(bucketId, key, row);
  }

  /** Copies the current row into the history; the caller overwrites or deletes it. False: there is none. */
  #demoteCurrent(bucketId: number, key: Buffer): boolean {
    const sizeBytes = this.#sql.copyToHistory.get(bucketId, key);
    if (sizeBytes === undefined) return false;
    this.#usage.add(bucketId, { objects: -1, objectBytes: -sizeBytes, versions: 1, versionBytes: sizeBytes });
    return true;
  }

  #promoteNewest(bucketId: number, key: Buffer): void {
    const newest = this.#sql.newestVersion.get(bucketId, key);
    if (newest === undefined || newest[1] === 1) return;
    const [order, , sizeBytes] = newest;
    this.#sql.copyToObjects.run(bucketId, key, order);
    this.#sql.deleteVersion.run(bucketId, key, order);
    this.#usage.add(bucketId, { objects: 1, objectBytes: sizeBytes, versions: -1, versionBytes: -sizeBytes });
  }

  #removeFromHistory(bucketId: number, key: Buffer, row: HoldingRow): void {
    this.#release(row);
    this.#sql.deleteVersion.run(bucketId, key, row[0]);
    this.#usage.add(bucketId, { versions: -1, versionBytes: -row[1] });
  }

  /** Gives back what the current version holds; its row is then overwritten or deleted. False: there is none. */
  #releaseCurrent(bucketId: number, key: Buffer): boolean {
    const row = this.#sql.selectObject.get(bucketId, key);
    if (row === undefined) return false;
    this.#release(row);
    this.#usage.add(bucketId, { objects: -1, objectBytes: -row[1] });
    return true;
  }

  #release(row: HoldingRow): void {
    this.#blobs.drop(this.#blobIdsOf(row));
    if (row[2] === 1) this.#sql.deleteLargeLists.run(row[0]);
  }

  #blobIdsOf([order, , hasLargeLists, onlyBlobId, blobIds]: HoldingRow): number[] {
    if (onlyBlobId !== null) return [onlyBlobId];
    if (hasLargeLists !== 1) return decodeBlobIds(blobIds);
    const large = this.#sql.selectLargeBlobIds.get(order);
    assert(large !== undefined, `the lists of version ${order} are missing`);
    return decodeBlobIds(large);
  }
}

function isLarge(attributes: EncodedAttributes, blobIds: readonly number[]): boolean {
  return blobIds.length > INLINE_BLOB_LIMIT || attributes.parts.length > 0;
}

function objectRow(version: AppliedVersion, versionId: string, blobIds: readonly number[]) {
  const { attributes } = version;
  const large = isLarge(attributes, blobIds);
  const onlyBlobId = !large && blobIds.length === 1 ? blobIds[0]! : null;
  return [
    version.bucketId,
    version.key,
    version.order,
    versionId,
    attributes.sizeBytes,
    attributes.etag,
    version.lastModifiedMs,
    version.ownerId,
    attributes.storageClass,
    attributes.checksum,
    large ? 1 : 0,
    onlyBlobId,
    large || onlyBlobId !== null ? EMPTY : encodeBlobIds(blobIds),
    attributes.details,
  ];
}

const COLUMNS = `bucket_id, key, ord, version_id, size_bytes, etag, modified_ms, owner_id, storage_class, checksum,
  has_large_lists, only_blob_id, blob_ids, details`;
const OBJECT_ROW = `(${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const HOLDING = 'ord, size_bytes, has_large_lists, only_blob_id, blob_ids';

const PLACE = `SET storage_class = ?, has_large_lists = ?, only_blob_id = ?, blob_ids = ?
  WHERE bucket_id = ? AND key = ? AND ord = ?`;
type PlaceParameters = [string, number, number | null, Buffer, number, Buffer, number];

function prepareStatements(db: Database) {
  return {
    selectObject: db
      .prepare<[number, Buffer], HoldingRow>(`SELECT ${HOLDING}, 0 FROM objects WHERE bucket_id = ? AND key = ?`)
      .raw(),
    insertObject: db.prepare(`INSERT INTO objects ${OBJECT_ROW} ON CONFLICT DO NOTHING`),
    replaceObject: db.prepare(`REPLACE INTO objects ${OBJECT_ROW}`),
    deleteObject: db.prepare<[number, Buffer]>('DELETE FROM objects WHERE bucket_id = ? AND key = ?'),
    isCurrentNull: db
      .prepare<[number, Buffer], number>(`SELECT 1 FROM objects WHERE bucket_id = ? AND key = ? AND version_id = ''`)
      .pluck(),
    insertLargeLists: db.prepare<[number, Buffer, Buffer]>(
      'INSERT INTO large_lists (ord, blob_ids, parts) VALUES (?, ?, ?)',
    ),
    selectLargeBlobIds: db.prepare<[number], Buffer>('SELECT blob_ids FROM large_lists WHERE ord = ?').pluck(),
    selectLargeLists: db
      .prepare<[number], [blobIds: Buffer, parts: Buffer]>('SELECT blob_ids, parts FROM large_lists WHERE ord = ?')
      .raw(),
    continueObject: db.prepare<[number, number, string, number, number, Buffer, number, Buffer]>(
      `UPDATE objects SET ord = ?, size_bytes = ?, etag = ?, modified_ms = ?, checksum = ?, details = ?,
       has_large_lists = 1, only_blob_id = NULL, blob_ids = x'' WHERE bucket_id = ? AND key = ?`,
    ),
    selectParts: db.prepare<[number], Buffer>('SELECT parts FROM large_lists WHERE ord = ?').pluck(),
    deleteLargeLists: db.prepare<[number]>('DELETE FROM large_lists WHERE ord = ?'),
    selectVersion: db
      .prepare<[number, Buffer, number], HoldingRow>(
        `SELECT ${HOLDING}, is_delete_marker FROM versions WHERE bucket_id = ? AND key = ? AND ord = ?`,
      )
      .raw(),
    // Left to itself, SQLite takes the primary key and walks the history: here and wherever a version is sought by its id.
    selectNullVersion: db
      .prepare<[number, Buffer], HoldingRow>(
        `SELECT ${HOLDING}, is_delete_marker FROM versions INDEXED BY versions_by_id
         WHERE bucket_id = ? AND key = ? AND version_id = ''`,
      )
      .raw(),
    newestVersion: db
      .prepare<[number, Buffer], [order: number, isDeleteMarker: number, sizeBytes: number]>(
        `SELECT ord, is_delete_marker, size_bytes FROM versions WHERE bucket_id = ? AND key = ? ORDER BY ord DESC LIMIT 1`,
      )
      .raw(),
    insertMarker: db.prepare<[number, Buffer, number, string, number, number]>(
      `INSERT INTO versions (bucket_id, key, ord, version_id, is_delete_marker, size_bytes, etag, modified_ms, owner_id,
       storage_class, checksum, has_large_lists, only_blob_id, blob_ids, details)
       VALUES (?, ?, ?, ?, 1, 0, '', ?, ?, '', 0, 0, NULL, x'', x'')`,
    ),
    copyToHistory: db
      .prepare<[number, Buffer], number>(
        `INSERT INTO versions (${COLUMNS}, is_delete_marker) SELECT ${COLUMNS}, 0 FROM objects
         WHERE bucket_id = ? AND key = ? RETURNING size_bytes`,
      )
      .pluck(),
    copyToObjects: db.prepare<[number, Buffer, number]>(
      `INSERT INTO objects (${COLUMNS}) SELECT ${COLUMNS} FROM versions WHERE bucket_id = ? AND key = ? AND ord = ?`,
    ),
    placeObject: db.prepare<PlaceParameters>(`UPDATE objects ${PLACE}`),
    placeVersion: db.prepare<PlaceParameters>(`UPDATE versions ${PLACE}`),
    changeCurrent: db.prepare<[Buffer, number, Buffer, number]>(
      'UPDATE objects SET details = ? WHERE bucket_id = ? AND key = ? AND ord = ?',
    ),
    changeVersion: db.prepare<[Buffer, number, Buffer, number]>(
      'UPDATE versions SET details = ? WHERE bucket_id = ? AND key = ? AND ord = ?',
    ),
    deleteVersion: db.prepare<[number, Buffer, number]>(
      'DELETE FROM versions WHERE bucket_id = ? AND key = ? AND ord = ?',
    ),
  };
}
