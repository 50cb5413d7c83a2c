import type { Database } from 'better-sqlite3';
import type { ListedObject } from '../../model/object-record.ts';
import type { ListObjectsPage, ListObjectsQuery } from '../metadata-store.ts';
import { decodeChecksumKind, decodeStorageClass } from '../records/attributes-codec.ts';
import type { OwnerTable } from './owner-table.ts';
import { BEFORE_ALL_ORDERS, justAfter, listBySeeking, startAfterEntry } from './seek-listing.ts';

type ObjectRow = [key: string, etag: string, sizeBytes: number, lastModifiedMs: number, kind: Kind];

/**
 * What few rows differ in, as one value instead of three: handing values over is most of the cost of a row. A number is
 * that of the owner × 64 + the checksum, of class STANDARD; of another class it is text with the class behind a space.
 */
type Kind = number | string;
const KIND_CHECKSUMS = 64;

/** As text: SQLite hands text over much faster than blobs. The order is still that of the bytes. */
const KEY = 'CAST(key AS TEXT)';
const COLUMNS = `etag, size_bytes, modified_ms, CASE storage_class WHEN '' THEN owner_id * ${KIND_CHECKSUMS} + checksum
  ELSE owner_id * ${KIND_CHECKSUMS} + checksum || ' ' || storage_class END`;

export class ObjectLister {
  readonly #owners: OwnerTable;
  /** By kind; few, because owners, classes and checksums are. */
  readonly #kinds = new Map<Kind, KindFacts>();
  readonly #range;
  readonly #first;
  readonly #firstKey;

  constructor(db: Database, owners: OwnerTable) {
    this.#owners = owners;
    const range = 'FROM objects WHERE bucket_id = ? AND key >= ? AND key < ? ORDER BY key';
    this.#range = db
      .prepare<[number, Buffer, Buffer, number], ObjectRow>(`SELECT ${KEY}, ${COLUMNS} ${range} LIMIT ?`)
      .raw();
    // No parameter: SQLite looks at the value of a LIMIT and compiles the statement again for each, which costs five times
    // the seek.
    this.#first = db.prepare<[number, Buffer, Buffer], ObjectRow>(`SELECT ${KEY}, ${COLUMNS} ${range} LIMIT 1`).raw();
    this.#firstKey = db.prepare<[number, Buffer, Buffer], string>(`SELECT ${KEY} ${range} LIMIT 1`).pluck();
  }

  list({ bucketId, prefix, delimiter, startAfter, limit }: ListObjectsQuery): ListObjectsPage {
    const { rows, commonPrefixes, isTruncated, endsInPrefix } = listBySeeking<ObjectRow>({
      prefix,
      delimiter,
      limit,
      start: startAfterEntry(startAfter, prefix, delimiter),
      fetch: ({ key: start }, end, count) => {
        if (count > 1) return this.#range.all(bucketId, start, end, count);
        return this.#fetchOne({ bucketId, start, end, isFolded: (key) => key.includes(delimiter, prefix.length) });
      },
      after: (row) => ({ key: justAfter(row[0]), afterOrder: BEFORE_ALL_ORDERS }),
    });
    return {
      objects: rows.map((row) => this.#listed(row)),
      commonPrefixes,
      isTruncated,
      lastEntry: endsInPrefix ? commonPrefixes.at(-1) : rows.at(-1)?.[0],
    };
  }

  /** Of a key that is folded nobody looks at more than the key. */
  #fetchOne(query: { bucketId: number; start: Buffer; end: Buffer; isFolded: (key: string) => boolean }): ObjectRow[] {
    const { bucketId, start, end } = query;
    const key = this.#firstKey.get(bucketId, start, end);
    if (key === undefined) return [];
    if (query.isFolded(key)) return [[key, '', 0, 0, 0]];
    return this.#first.all(bucketId, start, end);
  }

  #listed([key, etag, sizeBytes, lastModifiedMs, kind]: ObjectRow): ListedObject {
    const { storageClass, owner, algorithm, type } = this.#kinds.get(kind) ?? this.#rememberKind(kind);
    const listed: ListedObject = { key, etag, sizeBytes, lastModifiedMs, storageClass, owner };
    if (algorithm !== undefined) listed.checksumAlgorithm = algorithm;
    if (type !== undefined) listed.checksumType = type;
    return listed;
  }

  #rememberKind(kind: Kind): KindFacts {
    const [number, storageClass = ''] = String(kind).split(' ');
    const facts = {
      storageClass: decodeStorageClass(storageClass),
      owner: this.#owners.byId(Math.floor(Number(number) / KIND_CHECKSUMS)),
      ...decodeChecksumKind(Number(number) % KIND_CHECKSUMS),
    };
    if (this.#kinds.size >= KINDS_REMEMBERED) this.#kinds.clear();
    this.#kinds.set(kind, facts);
    return facts;
  }
}

const KINDS_REMEMBERED = 1000;

interface KindFacts extends ReturnType<typeof decodeChecksumKind> {
  storageClass: string;
  owner: ListedObject['owner'];
}
