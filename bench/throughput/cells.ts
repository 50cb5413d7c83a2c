import type { PayloadMode } from './job.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

export type Verb = 'put' | 'multipart' | 'get' | 'head' | 'delete' | 'list' | 'mixed';

/** One line of the table: what is done, how large, over how many connections. */
export interface Cell {
  name: string;
  title: string;
  verb: Verb;
  sizeBytes: number;
  connectionCount: number;
  payload: PayloadMode;
  /** Runs with the first disk taken away. */
  isDegraded: boolean;
  /** Runs beside four connections that put 64 MiB objects without end. */
  isBesideUploads: boolean;
  /** Of listings. */
  hasDelimiter: boolean;
  place: 'start' | 'end';
}

type Rest = Partial<Pick<Cell, 'payload' | 'isDegraded' | 'isBesideUploads' | 'hasDelimiter' | 'place'>>;

function cell(name: string, title: string, sizeBytes: number, connectionCount: number, rest: Rest = {}): Cell {
  return {
    name,
    title,
    verb: name.split('-')[0] as Verb,
    sizeBytes,
    connectionCount,
    // Small bodies are signed with their SHA-256; over large ones that would measure SHA-256 alone.
    payload: sizeBytes < MEBIBYTE ? 'signed' : 'unsigned',
    isDegraded: false,
    isBesideUploads: false,
    hasDelimiter: false,
    place: 'start',
    ...rest,
  };
}

/** Size and connections of the uploads beside which `put-4k-beside` runs. */
export const BESIDE = { sizeBytes: 64 * MEBIBYTE, connectionCount: 4 };
export const PART_SIZE_BYTES = 16 * MEBIBYTE;
export const PAGE_SIZE = 1000;

export const CELLS: readonly Cell[] = [
  cell('put-4k', 'PUT 4 KiB', 4 * KIBIBYTE, 64),
  cell('get-4k', 'GET 4 KiB', 4 * KIBIBYTE, 64),
  cell('head-4k', 'HEAD', 4 * KIBIBYTE, 64),
  cell('put-4k-1', 'PUT 4 KiB', 4 * KIBIBYTE, 1),
  cell('get-4k-1', 'GET 4 KiB', 4 * KIBIBYTE, 1),
  cell('delete-4k', 'DELETE', 4 * KIBIBYTE, 64),
  cell('mixed', 'PUT, GET, HEAD, DELETE of 4 KiB to 512 KiB', 512 * KIBIBYTE, 32),
  cell('list', 'LIST, pages of 1,000 keys', 0, 8),
  cell('list-end', 'LIST at the end of the bucket', 0, 8, { place: 'end' }),
  cell('list-delimiter', 'LIST, pages of 1,000 common prefixes', 0, 8, { hasDelimiter: true }),
  cell('list-delimiter-end', 'LIST of common prefixes at the end', 0, 8, { hasDelimiter: true, place: 'end' }),
  cell('list-1', 'LIST, pages of 1,000 keys', 0, 1),
  cell('list-delimiter-1', 'LIST, pages of 1,000 common prefixes', 0, 1, { hasDelimiter: true }),
  cell('put-128k', 'PUT 128 KiB', 128 * KIBIBYTE, 32),
  cell('get-128k', 'GET 128 KiB', 128 * KIBIBYTE, 32),
  cell('put-1m', 'PUT 1 MiB', MEBIBYTE, 16),
  cell('put-1m-signed', 'PUT 1 MiB, signed payload', MEBIBYTE, 16, { payload: 'signed' }),
  cell('get-1m', 'GET 1 MiB', MEBIBYTE, 16),
  cell('put-64m', 'PUT 64 MiB', 64 * MEBIBYTE, 4),
  cell('put-64m-signed', 'PUT 64 MiB, signed payload', 64 * MEBIBYTE, 4, { payload: 'signed' }),
  cell('multipart-64m', 'PUT 64 MiB in parts of 16 MiB', 64 * MEBIBYTE, 4),
  cell('put-4k-beside', 'PUT 4 KiB beside four uploads of 64 MiB', 4 * KIBIBYTE, 1, { isBesideUploads: true }),
  cell('get-64m', 'GET 64 MiB', 64 * MEBIBYTE, 4),
  cell('get-64m-degraded', 'GET 64 MiB, one disk lost', 64 * MEBIBYTE, 4, { isDegraded: true }),
];
