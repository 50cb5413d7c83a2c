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
  ELSE (owner_id * ${KIND_CHECKSUMS} + checksum) || ' ' || storage_class END`;

/**
 * A whole run of rows as one text, a line for each: one value handed over instead of five thousand. The key comes last,
 * nothing before it holds a space, and a key with a line break shows in the number of lines.
 */
const LINES = `count(*), group_concat(line, char(10)) FROM (SELECT etag || ' ' || size_bytes || ' ' || modified_ms || ' ' ||
  (owner_id * ${KIND_CHECKSUMS} + checksum) || ' ' || storage_class || ' ' || ${KEY} AS line`;

export class ObjectLister {
  readonly #owners: OwnerTable;
  /** By kind; few, because owners, classes and checksums are. */
  readonly #kinds = new Map<Kind, KindFacts>();
  readonly #lines;
  readonly #range;
  readonly #first;
  readonly #firstKey;

  constructor(db: Database, owners: OwnerTable) {
    this.#owners = owners;
    const range = 'FROM objects WHERE bucket_id = ? AND key >= ? AND key < ? ORDER BY key';
    this.#range = db
      .prepare<[number, Buffer, Buffer, number], ObjectRow>(`SELECT ${KEY}, ${COLUMNS} ${range} LIMIT ?`)
      .raw();
    this.#lines = db
      .prepare<[number, Buffer, Buffer, number], [number, string | null]>(`SELECT ${LINES} ${range} LIMIT ?)`)
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
        if (count > 1) return this.#fetchMany({ bucketId, start, end }, count);
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

  #fetchMany({ bucketId, start, end }: { bucketId: number; start: Buffer; end: Buffer }, count: number): ObjectRow[] {
    const [rowCount, text] = this.#lines.get(bucketId, start, end, count)!;
    if (text === null) return [];
    const lines = text.split('\n');
    return lines.length === rowCount ? lines.map(rowOfLine) : this.#range.all(bucketId, start, end, count);
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

/** See `LINES`. */
function rowOfLine(line: string): ObjectRow {
  const size = line.indexOf(' ') + 1;
  const modified = line.indexOf(' ', size) + 1;
  const kind = line.indexOf(' ', modified) + 1;
  const storageClass = line.indexOf(' ', kind) + 1;
  const key = line.indexOf(' ', storageClass) + 1;
  return [
    line.slice(key),
    line.slice(0, size - 1),
    numberIn(line, size, modified - 1),
    numberIn(line, modified, kind - 1),
    // Without a class, which is STANDARD, two spaces follow one another.
    key === storageClass + 1 ? numberIn(line, kind, storageClass - 1) : line.slice(kind, key - 1),
  ];
}

/** As `Number(line.slice(start, end))` of a whole number, without making the string. */
function numberIn(line: string, start: number, end: number): number {
  if (line.charCodeAt(start) === 0x2d) return -numberIn(line, start + 1, end);
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + line.charCodeAt(at) - 0x30;
  return value;
}
