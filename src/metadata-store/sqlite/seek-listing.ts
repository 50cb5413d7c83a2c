/** Rows of one query: the key as text first. */
export type KeyedRow = readonly [key: string, ...rest: unknown[]];

/** Where a scan goes on: at `key` or later; with `afterOrder`, rows of exactly `key` only after that order number. */
export interface ScanStart {
  key: Buffer;
  afterOrder: number;
}

export interface SeekListing<Row extends KeyedRow> {
  prefix: string;
  delimiter: string;
  limit: number;
  start: ScanStart;
  /** Up to `count` rows in order from `start`, all below `end`. */
  fetch: (start: ScanStart, end: Buffer, count: number) => Row[];
  /** Where the scan goes on behind this row. */
  after: (row: Row) => ScanStart;
}

export interface SeekListed<Row> {
  rows: Row[];
  commonPrefixes: string[];
  isTruncated: boolean;
  /** The last entry is a common prefix. */
  endsInPrefix: boolean;
}

/** Below this order number there is no row. */
export const BEFORE_ALL_ORDERS = -1;
/** Keys are UTF-8 and never contain this byte. */
const AFTER_ALL_KEYS = Buffer.from([0xff]);
const FIRST_FETCH_ROWS = 64;

/**
 * Walks keys in byte order and folds those with a common prefix, seeking over each: rows read are bounded by the
 * entries returned, not by what the prefixes hide. A run of plain keys is read in growing steps of rows, a run of
 * prefixes with one seek for each: within an open read transaction that is as cheap as a row of a scan.
 */
export function listBySeeking<Row extends KeyedRow>(listing: SeekListing<Row>): SeekListed<Row> {
  const { prefix, delimiter, limit } = listing;
  const result: SeekListed<Row> = { rows: [], commonPrefixes: [], isTruncated: false, endsInPrefix: false };
  if (limit <= 0) return result;
  const end = prefix === '' ? AFTER_ALL_KEYS : successor(prefix);
  let start = laterStart(listing.start, Buffer.from(prefix));
  if (delimiter === '') {
    const rows = listing.fetch(start, end, limit + 1);
    result.isTruncated = rows.length > limit;
    if (result.isTruncated) rows.pop();
    result.rows = rows;
    return result;
  }
  let rowsAtOnce = FIRST_FETCH_ROWS;
  let entries = 0;
  for (;;) {
    const count = Math.min(rowsAtOnce, limit + 1 - entries);
    const rows = listing.fetch(start, end, count);
    const plainBefore = result.rows.length;
    let folded: string | undefined;
    for (const row of rows) {
      const key = row[0];
      if (folded !== undefined && key.startsWith(folded)) continue;
      if (entries === limit) {
        result.isTruncated = true;
        return result;
      }
      entries += 1;
      const at = key.indexOf(delimiter, prefix.length);
      folded = at === -1 ? undefined : key.slice(0, at + delimiter.length);
      if (folded === undefined) result.rows.push(row);
      else result.commonPrefixes.push(folded);
      result.endsInPrefix = folded !== undefined;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < count) return result;
    start = folded === undefined ? listing.after(last) : { key: successor(folded), afterOrder: BEFORE_ALL_ORDERS };
    rowsAtOnce = Math.max(1, (result.rows.length - plainBefore) * 2);
  }
}

/**
 * The scan start for entries strictly after `startAfter`, where a common prefix is an entry: a prefix that `startAfter`
 * lies in or equals is behind us.
 */
export function startAfterEntry(startAfter: string, prefix: string, delimiter: string): ScanStart {
  if (startAfter === '') return { key: Buffer.alloc(0), afterOrder: BEFORE_ALL_ORDERS };
  const at = delimiter !== '' && startAfter.startsWith(prefix) ? startAfter.indexOf(delimiter, prefix.length) : -1;
  if (at !== -1) {
    return { key: successor(startAfter.slice(0, at + delimiter.length)), afterOrder: BEFORE_ALL_ORDERS };
  }
  return { key: justAfter(startAfter), afterOrder: BEFORE_ALL_ORDERS };
}

/** The smallest byte string greater than `key`. */
export function justAfter(key: string): Buffer {
  return Buffer.from(`${key}\0`);
}

/** The smallest byte string greater than all that begin with `prefix`, which is not empty. UTF-8 has no byte 0xff. */
export function successor(prefix: string): Buffer {
  const bytes = Buffer.from(prefix);
  bytes[bytes.length - 1]! += 1;
  return bytes;
}

function laterStart(start: ScanStart, prefix: Buffer): ScanStart {
  return Buffer.compare(start.key, prefix) >= 0 ? start : { key: prefix, afterOrder: BEFORE_ALL_ORDERS };
}
