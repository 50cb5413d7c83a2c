import type { PayloadMode } from './job.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

/** One line of the table: what is done, how large, over how many connections. */
export interface Cell {
  name: string;
  title: string;
  verb: 'put' | 'get' | 'head' | 'delete';
  sizeBytes: number;
  connectionCount: number;
  payload: PayloadMode;
  /** Runs with the first disk taken away. */
  isDegraded: boolean;
}

type Rest = Partial<Pick<Cell, 'payload' | 'isDegraded'>>;

function cell(name: string, title: string, sizeBytes: number, connectionCount: number, rest: Rest = {}): Cell {
  const verb = name.split('-')[0] as Cell['verb'];
  // Small bodies are signed with their SHA-256; over large ones that would measure SHA-256 alone.
  const payload = sizeBytes < MEBIBYTE ? 'signed' : 'unsigned';
  return { name, title, verb, sizeBytes, connectionCount, payload, isDegraded: false, ...rest };
}

export const CELLS: readonly Cell[] = [
  cell('put-4k', 'PUT 4 KiB', 4 * KIBIBYTE, 64),
  cell('get-4k', 'GET 4 KiB', 4 * KIBIBYTE, 64),
  cell('head-4k', 'HEAD', 4 * KIBIBYTE, 64),
  cell('put-4k-1', 'PUT 4 KiB', 4 * KIBIBYTE, 1),
  cell('get-4k-1', 'GET 4 KiB', 4 * KIBIBYTE, 1),
  cell('delete-4k', 'DELETE', 4 * KIBIBYTE, 64),
  cell('put-128k', 'PUT 128 KiB', 128 * KIBIBYTE, 32),
  cell('get-128k', 'GET 128 KiB', 128 * KIBIBYTE, 32),
  cell('put-1m', 'PUT 1 MiB', MEBIBYTE, 16),
  cell('put-1m-signed', 'PUT 1 MiB, signed payload', MEBIBYTE, 16, { payload: 'signed' }),
  cell('get-1m', 'GET 1 MiB', MEBIBYTE, 16),
  cell('put-64m', 'PUT 64 MiB', 64 * MEBIBYTE, 4),
  cell('put-64m-signed', 'PUT 64 MiB, signed payload', 64 * MEBIBYTE, 4, { payload: 'signed' }),
  cell('get-64m', 'GET 64 MiB', 64 * MEBIBYTE, 4),
  cell('get-64m-degraded', 'GET 64 MiB, one disk lost', 64 * MEBIBYTE, 4, { isDegraded: true }),
];

/** What a run without `--only` measures. */
export const STANDARD_CELLS = CELLS.map(({ name }) => name);
