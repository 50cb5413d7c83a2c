import type { Database } from 'better-sqlite3';
import type { ListedObject } from '../../model/object-record.ts';
import type { ListObjectsPage, ListObjectsQuery } from '../metadata-store.ts';
import { decodeChecksumKind, decodeStorageClass } from '../records/attributes-codec.ts';
import type { OwnerTable } from './owner-table.ts';
import { BEFORE_ALL_ORDERS, justAfter, listBySeeking, startAfterEntry, successor } from './seek-listing.ts';

type ObjectRow = [
  key: string,
  etag: string,
  sizeBytes: number,
  lastModifiedMs: number,
  storageClass: string,
  checksum: number,
  ownerId: number,
];

/** As text: SQLite hands text over much faster than blobs. The order is still that of the bytes. */
const KEY = 'CAST(key AS TEXT)';
const COLUMNS = 'etag, size_bytes, modified_ms, storage_class, checksum, owner_id';

interface EntriesQuery {
  bucketId: number;
  start: Buffer;
  end: Buffer;
  prefixBytes: number;
  delimiter: Buffer;
  /** The smallest byte string after all that begin with the delimiter. */
  delimiterEnd: Buffer;
  count: number;
}

export class ObjectLister {
  readonly #owners: OwnerTable;
  readonly #range;
  readonly #entries;

  constructor(db: Database, owners: OwnerTable) {
    this.#owners = owners;
    this.#range = db
      .prepare<[number, Buffer, Buffer, number], ObjectRow>(
        `SELECT ${KEY}, ${COLUMNS} FROM objects WHERE bucket_id = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`,
      )
      .raw();
    // One seek for each entry: the next key lies behind the key itself, or behind its common prefix. Of keys that are
    // folded the other columns stay NULL: nobody looks at them.
    this.#entries = db
      .prepare<[EntriesQuery], ObjectRow>(
        `WITH RECURSIVE entry(entry_key) AS (
           SELECT (SELECT key FROM objects WHERE bucket_id = @bucketId AND key >= @start AND key < @end
                   ORDER BY key LIMIT 1)
           UNION ALL
           SELECT (SELECT key FROM objects WHERE bucket_id = @bucketId AND key < @end AND key >=
                     CASE instr(substr(entry_key, @prefixBytes + 1), @delimiter)
                     WHEN 0 THEN CAST(entry_key || x'00' AS BLOB)
                     ELSE CAST(substr(entry_key, 1,
                       @prefixBytes + instr(substr(entry_key, @prefixBytes + 1), @delimiter) - 1)
                       || @delimiterEnd AS BLOB)
                     END
                   ORDER BY key LIMIT 1)
           FROM entry WHERE entry_key IS NOT NULL LIMIT @count
         )
         SELECT CAST(entry_key AS TEXT), ${COLUMNS} FROM entry LEFT JOIN objects
         ON bucket_id = CASE instr(substr(entry_key, @prefixBytes + 1), @delimiter) WHEN 0 THEN @bucketId END
         AND key = entry_key
         WHERE entry_key IS NOT NULL`,
      )
      .raw();
  }

  list({ bucketId, prefix, delimiter, startAfter, limit }: ListObjectsQuery): ListObjectsPage {
    const prefixBytes = Buffer.byteLength(prefix);
    const delimiterKey = Buffer.from(delimiter);
    const delimiterEnd = delimiter === '' ? delimiterKey : successor(delimiter);
    const { rows, commonPrefixes, isTruncated, endsInPrefix } = listBySeeking<ObjectRow>({
      prefix,
      delimiter,
      limit,
      start: startAfterEntry(startAfter, prefix, delimiter),
      fetch: (start, end, count) => this.#range.all(bucketId, start.key, end, count),
      fetchEntries: ({ key: start }, end, count) =>
        this.#entries.all({ bucketId, start, end, prefixBytes, delimiter: delimiterKey, delimiterEnd, count }),
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
