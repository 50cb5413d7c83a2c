import type { Database } from 'better-sqlite3';
import type { ListedVersion } from '../../model/object-record.ts';
import { orderOfVersionId } from '../../model/version-id.ts';
import type { ListVersionsPage, ListVersionsQuery } from '../metadata-store.ts';
import { decodeChecksumKind, decodeStorageClass } from '../records/attributes-codec.ts';
import { NULL_VERSION_ID } from './apply-object-record.ts';
import { shownVersionId } from './decide-objects.ts';
import type { OwnerTable } from './owner-table.ts';
import { BEFORE_ALL_ORDERS, justAfter, listBySeeking, startAfterEntry, type ScanStart } from './seek-listing.ts';

type VersionFacts = [
  order: number,
  versionId: string,
  isDeleteMarker: number,
  etag: string,
  sizeBytes: number,
  lastModifiedMs: number,
  ownerId: number,
  storageClass: string,
  checksum: number,
];
type VersionRow = readonly [key: string, ...VersionFacts];
type StoredRow = [key: Buffer, ...VersionFacts];

const FACTS = 'etag, size_bytes, modified_ms, owner_id, storage_class, checksum';

/**
 * Pages of all versions, current ones and history together: the two tables lie in the same order and are merged as they
 * are read, so that a page costs what it shows, however long the history behind a key is.
 */
export class VersionLister {
  readonly #owners: OwnerTable;
  readonly #sql;

  constructor(db: Database, owners: OwnerTable) {
    this.#owners = owners;
    this.#sql = prepareStatements(db);
  }

  list(query: ListVersionsQuery): ListVersionsPage {
    const { bucketId, prefix, delimiter, limit } = query;
    const start = this.#start(query);
    const { rows, commonPrefixes, isTruncated, endsInPrefix } = listBySeeking<VersionRow>({
      prefix,
      delimiter,
      limit,
      start,
      fetch: (from, end, count) => this.#fetch(bucketId, from, end, count),
      after: (row) => ({ key: Buffer.from(row[0]), afterOrder: row[1] }),
    });
    const begunKey = start.afterOrder === BEFORE_ALL_ORDERS ? undefined : start.key.toString();
    let keyBefore: string | undefined;
    const versions = rows.map((row) => {
      // The newest version of a key comes first, unless the page begins inside the key.
      const isFirst = row[0] !== keyBefore;
      const isLatest = isFirst && (row[0] !== begunKey || this.#isNewest(bucketId, row));
      keyBefore = row[0];
      return this.#listed(row, isLatest);
    });
    const last = endsInPrefix ? undefined : versions.at(-1);
    return {
      versions,
      commonPrefixes,
      isTruncated,
      nextKeyMarker: isTruncated ? (last?.key ?? commonPrefixes.at(-1)) : undefined,
      nextVersionIdMarker: isTruncated ? last?.versionId : undefined,
    };
  }

  #start({ bucketId, prefix, delimiter, keyMarker, versionIdMarker }: ListVersionsQuery): ScanStart {
    const afterKey = startAfterEntry(keyMarker, prefix, delimiter);
    if (keyMarker === '' || versionIdMarker === '') return afterKey;
    const isFolded =
      delimiter !== '' && keyMarker.startsWith(prefix) && keyMarker.indexOf(delimiter, prefix.length) >= 0;
    if (isFolded) return afterKey;
    const key = Buffer.from(keyMarker);
    const versionId = versionIdMarker === 'null' ? NULL_VERSION_ID : versionIdMarker;
    const order = this.#sql.orderOfVersion.get({ bucketId, key, versionId }) ?? orderOfVersionId(versionIdMarker);
    return { key, afterOrder: order ?? BEFORE_ALL_ORDERS };
  }

  /** From `start`; where that names an order, the older versions of its key first. */
  #fetch(bucketId: number, start: ScanStart, end: Buffer, count: number): VersionRow[] {
    if (Buffer.compare(start.key, end) >= 0) return [];
    if (start.afterOrder === BEFORE_ALL_ORDERS) return this.#range(bucketId, start.key, end, count);
    const older = this.#sql.older.all({ bucketId, key: start.key, order: start.afterOrder, count }).map(withText);
    if (older.length === count) return older;
    const next = justAfter(start.key.toString());
    return [...older, ...this.#range(bucketId, next, end, count - older.length)];
  }

  #range(bucketId: number, start: Buffer, end: Buffer, count: number): VersionRow[] {
    return this.#sql.range.all({ bucketId, start, end, count }).map(withText);
  }

  /** Newer ones may all have been deleted since the page before. */
  #isNewest(bucketId: number, [key, order]: VersionRow): boolean {
    return this.#sql.newer.get({ bucketId, key: Buffer.from(key), order }) === undefined;
  }

  #listed(row: VersionRow, isLatest: boolean): ListedVersion {
    const [key, order, versionId, isDeleteMarker, etag, sizeBytes, lastModifiedMs, ownerId, storageClass, checksum] =
      row;
    const { algorithm, type } = decodeChecksumKind(checksum);
    const listed: ListedVersion = {
      key,
      versionId: shownVersionId(versionId),
      order,
      isLatest,
      isDeleteMarker: isDeleteMarker === 1,
      etag,
      sizeBytes,
      lastModifiedMs,
      storageClass: decodeStorageClass(storageClass),
      owner: this.#owners.byId(ownerId),
    };
    if (algorithm !== undefined) listed.checksumAlgorithm = algorithm;
    if (type !== undefined) listed.checksumType = type;
    return listed;
  }
}

function withText([key, ...facts]: StoredRow): VersionRow {
  return [key.toString(), ...facts];
}

interface Range {
  bucketId: number;
  start: Buffer;
  end: Buffer;
  count: number;
}

function prepareStatements(db: Database) {
  const within = 'WHERE bucket_id = @bucketId AND key >= @start AND key < @end';
  return {
    // The key as bytes: only so is the order of the merge that of both primary keys, and neither side is sorted.
    range: db
      .prepare<[Range], StoredRow>(
        `SELECT key, ord, version_id, 0, ${FACTS} FROM objects ${within}
         UNION ALL SELECT key, ord, version_id, is_delete_marker, ${FACTS} FROM versions ${within}
         ORDER BY key, ord DESC LIMIT @count`,
      )
      .raw(),
    older: db
      .prepare<[{ bucketId: number; key: Buffer; order: number; count: number }], StoredRow>(
        `SELECT key, ord, version_id, 0, ${FACTS} FROM objects
         WHERE bucket_id = @bucketId AND key = @key AND ord < @order
         UNION ALL SELECT key, ord, version_id, is_delete_marker, ${FACTS} FROM versions
         WHERE bucket_id = @bucketId AND key = @key AND ord < @order ORDER BY ord DESC LIMIT @count`,
      )
      .raw(),
    newer: db
      .prepare<[{ bucketId: number; key: Buffer; order: number }], number>(
        `SELECT 1 FROM objects WHERE bucket_id = @bucketId AND key = @key AND ord > @order
         UNION ALL SELECT 1 FROM versions WHERE bucket_id = @bucketId AND key = @key AND ord > @order LIMIT 1`,
      )
      .pluck(),
    orderOfVersion: db
      .prepare<[{ bucketId: number; key: Buffer; versionId: string }], number>(
        `SELECT ord FROM versions INDEXED BY versions_by_id WHERE bucket_id = @bucketId AND key = @key AND version_id = @versionId
         UNION ALL SELECT ord FROM objects WHERE bucket_id = @bucketId AND key = @key AND version_id = @versionId`,
      )
      .pluck(),
  };
}
