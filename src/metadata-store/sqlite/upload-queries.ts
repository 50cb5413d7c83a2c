import type { Database } from 'better-sqlite3';
import type { BlobRecord } from '../../model/blob.ts';
import type { PartRecord, UploadRecord } from '../../model/object-record.ts';
import type { ListUploadsPage, ListUploadsQuery } from '../metadata-store.ts';
import { decodeChecksumKind, decodeDetails, decodeStorageClass } from '../records/attributes-codec.ts';
import { decodeBlobIds } from './blob-ids.ts';
import type { OwnerTable } from './owner-table.ts';
import { listBySeeking, startAfterEntry, type ScanStart } from './seek-listing.ts';

type UploadRow = [
  key: string,
  order: number,
  uploadId: string,
  initiatedAtMs: number,
  ownerId: number,
  initiatorId: number,
  storageClass: string,
  checksum: number,
  details: Buffer,
  bucketId: number,
];

const UPLOAD_COLUMNS = `CAST(key AS TEXT), ord, upload_id, initiated_at_ms, owner_id, initiator_id, storage_class,
  checksum, details, bucket_id`;

/** Reads of multipart uploads. `readBlobs` turns ids into records. */
export class UploadQueries {
  readonly #owners: OwnerTable;
  readonly #readBlobs: (blobIds: readonly number[]) => BlobRecord[];
  readonly #sql;

  constructor(db: Database, owners: OwnerTable, readBlobs: (blobIds: readonly number[]) => BlobRecord[]) {
    this.#owners = owners;
    this.#readBlobs = readBlobs;
    this.#sql = prepareStatements(db);
  }

  get(query: { bucketId: number; key: string; uploadId: string }): UploadRecord | undefined {
    const row = this.#sql.byId.get(query.uploadId);
    if (row === undefined) return undefined;
    const upload = this.#upload(row);
    return upload.bucketId === query.bucketId && upload.key === query.key ? upload : undefined;
  }

  /**
   * By key, and for one key in the order in which they were initiated, as S3 lists them. An `uploadIdMarker` that is
   * neither in progress nor remembered as completed starts its key again: repeated entries, never missed ones.
   */
  list(query: ListUploadsQuery): ListUploadsPage {
    const { bucketId, prefix, delimiter, limit } = query;
    const { rows, commonPrefixes, isTruncated, endsInPrefix } = listBySeeking<UploadRow>({
      prefix,
      delimiter,
      limit,
      start: this.#start(query),
      fetch: (start, end, count) => this.#fetch(bucketId, start, end, count),
      after: (row) => ({ key: Buffer.from(row[0]), afterOrder: row[1] }),
    });
    const last = endsInPrefix ? undefined : rows.at(-1);
    return {
      uploads: rows.map((row) => this.#upload(row)),
      commonPrefixes,
      isTruncated,
      nextKeyMarker: isTruncated ? (last?.[0] ?? commonPrefixes.at(-1)) : undefined,
      nextUploadIdMarker: isTruncated ? last?.[2] : undefined,
    };
  }

  listParts({ uploadId, afterPartNumber, limit }: { uploadId: string; afterPartNumber: number; limit: number }) {
    const order = this.#sql.orderById.get(uploadId);
    if (order === undefined) return [];
    return this.#sql.parts.all(order, afterPartNumber, limit).map((row): PartRecord => {
      const [partNumber, etag, sizeBytes, lastModifiedMs, checksum, value, blobIds, encryption] = row;
      const part: PartRecord = {
        partNumber,
        etag,
        sizeBytes,
        lastModifiedMs,
        blobs: this.#readBlobs(decodeBlobIds(blobIds)),
      };
      const { algorithm } = decodeChecksumKind(checksum);
      if (algorithm !== undefined) part.checksum = { algorithm, value };
      if (encryption !== null) part.encryption = encryption;
      return part;
    });
  }

  #start({ bucketId, prefix, delimiter, keyMarker, uploadIdMarker }: ListUploadsQuery): ScanStart {
    const afterKey = startAfterEntry(keyMarker, prefix, delimiter);
    if (keyMarker === '' || uploadIdMarker === '') return afterKey;
    const isFolded =
      delimiter !== '' && keyMarker.startsWith(prefix) && keyMarker.indexOf(delimiter, prefix.length) >= 0;
    if (isFolded) return afterKey;
    const order = this.#sql.markerOrder.get({ uploadId: uploadIdMarker, bucketId, key: Buffer.from(keyMarker) });
    return { key: Buffer.from(keyMarker), afterOrder: order ?? -1 };
  }

  #fetch(bucketId: number, start: ScanStart, end: Buffer, count: number): UploadRow[] {
    if (Buffer.compare(start.key, end) >= 0) return [];
    return this.#sql.range.all({ bucketId, key: start.key, order: start.afterOrder, end, count });
  }

  #upload(row: UploadRow): UploadRecord {
    const [key, , uploadId, initiatedAtMs, ownerId, initiatorId, storageClass, checksum, encodedDetails, bucketId] =
      row;
    const details = decodeDetails(encodedDetails);
    const kind = decodeChecksumKind(checksum);
    const upload: UploadRecord = {
      uploadId,
      bucketId,
      key,
      initiatedAtMs,
      owner: this.#owners.byId(ownerId),
      initiator: this.#owners.byId(initiatorId),
      headers: details.headers,
      userMetadata: details.userMetadata,
      storageClass: decodeStorageClass(storageClass),
    };
    if (details.tags !== undefined) upload.tags = details.tags;
    if (details.retention !== undefined) upload.retention = details.retention;
    if (details.legalHold !== undefined) upload.legalHold = details.legalHold;
    if (details.acl !== undefined) upload.acl = details.acl;
    if (details.encryption !== undefined) upload.encryption = details.encryption;
    if (kind.algorithm !== undefined) upload.checksumAlgorithm = kind.algorithm;
    if (kind.type !== undefined) upload.checksumType = kind.type;
    return upload;
  }
}

function prepareStatements(db: Database) {
  return {
    byId: db.prepare<[string], UploadRow>(`SELECT ${UPLOAD_COLUMNS} FROM uploads WHERE upload_id = ?`).raw(),
    orderById: db.prepare<[string], number>('SELECT ord FROM uploads WHERE upload_id = ?').pluck(),
    markerOrder: db
      .prepare<[{ uploadId: string; bucketId: number; key: Buffer }], number>(
        `SELECT ord FROM uploads WHERE upload_id = @uploadId AND bucket_id = @bucketId AND key = @key
         UNION ALL SELECT upload_ord FROM completed_uploads
         WHERE upload_id = @uploadId AND bucket_id = @bucketId AND key = @key`,
      )
      .pluck(),
    range: db
      .prepare<[{ bucketId: number; key: Buffer; order: number; end: Buffer; count: number }], UploadRow>(
        `SELECT ${UPLOAD_COLUMNS} FROM uploads
         WHERE bucket_id = @bucketId AND (key, ord) > (@key, @order) AND key < @end ORDER BY key, ord LIMIT @count`,
      )
      .raw(),
    parts: db
      .prepare<[number, number, number], [number, string, number, number, number, string, Buffer, Buffer | null]>(
        `SELECT part_number, etag, size_bytes, modified_ms, checksum, checksum_value, blob_ids, encryption FROM parts
         WHERE upload_ord = ? AND part_number > ? ORDER BY part_number LIMIT ?`,
      )
      .raw(),
  };
}
