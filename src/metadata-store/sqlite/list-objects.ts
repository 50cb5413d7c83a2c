import type { Database } from 'better-sqlite3';
import type { ListedObject } from '../../model/object-record.ts';
import type { ListObjectsPage, ListObjectsQuery } from '../metadata-store.ts';
import { decodeChecksumKind, decodeStorageClass } from '../records/attributes-codec.ts';
import type { OwnerTable } from './owner-table.ts';
import { BEFORE_ALL_ORDERS, justAfter, listBySeeking, startAfterEntry } from './seek-listing.ts';

type ObjectRow = [
  key: string,
  etag: string,
  sizeBytes: number,
  lastModifiedMs: number,
  storageClass: string,
  checksum: number,
  ownerId: number,
];

export class ObjectLister {
  readonly #owners: OwnerTable;
  readonly #range;

  constructor(db: Database, owners: OwnerTable) {
    this.#owners = owners;
    // As text: SQLite hands text over much faster than blobs. The order is still that of the bytes.
    this.#range = db
      .prepare<[number, Buffer, Buffer, number], ObjectRow>(
        `SELECT CAST(key AS TEXT), etag, size_bytes, modified_ms, storage_class, checksum, owner_id FROM objects
         WHERE bucket_id = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`,
      )
      .raw();
  }

  list({ bucketId, prefix, delimiter, startAfter, limit }: ListObjectsQuery): ListObjectsPage {
    const { rows, commonPrefixes, isTruncated, endsInPrefix } = listBySeeking<ObjectRow>({
      prefix,
      delimiter,
      limit,
      start: startAfterEntry(startAfter, prefix, delimiter),
      fetch: (start, end, count) => this.#range.all(bucketId, start.key, end, count),
      after: (row) => ({ key: justAfter(row[0]), afterOrder: BEFORE_ALL_ORDERS }),
    });
    return {
      objects: rows.map((row) => this.#listed(row)),
      commonPrefixes,
      isTruncated,
      lastEntry: endsInPrefix ? commonPrefixes.at(-1) : rows.at(-1)?.[0],
    };
  }

  #listed([key, etag, sizeBytes, lastModifiedMs, storageClass, checksum, ownerId]: ObjectRow): ListedObject {
    const listed: ListedObject = {
      key,
      etag,
      sizeBytes,
      lastModifiedMs,
      storageClass: decodeStorageClass(storageClass),
      owner: this.#owners.byId(ownerId),
    };
    if (checksum !== 0) {
      const { algorithm, type } = decodeChecksumKind(checksum);
      if (algorithm !== undefined) listed.checksumAlgorithm = algorithm;
      if (type !== undefined) listed.checksumType = type;
    }
    return listed;
  }
}
