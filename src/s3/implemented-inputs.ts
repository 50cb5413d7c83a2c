import { S3Error } from '../errors/s3-error.ts';
import { OPERATION_INPUTS } from './model/operation-inputs.ts';
import type { OperationRow } from './operation.ts';
import { OPERATION_TABLE } from './operation-table.ts';

/** Headers that the pipeline, the authenticator or the body reader acts on for every operation. */
const PIPELINE_HEADERS: ReadonlySet<string> = new Set([
  'content-length',
  'content-md5',
  'content-type',
  'x-amz-content-sha256',
  'x-amz-expected-bucket-owner',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-source-expected-bucket-owner',
]);

/** Values that state what already holds; with any other value the header is answered 501. */
export const HOLDING_VALUES: ReadonlyMap<string, readonly string[]> = new Map([
  ['x-amz-bucket-namespace', ['global']],
  ['x-amz-request-payer', ['requester']],
]);

/** Inputs of one row that are answered 501. */
export interface UnimplementedInputs {
  readonly headers: ReadonlySet<string>;
  /** Names that end in `-`: any header that begins so. */
  readonly headerPrefixes: readonly string[];
  readonly query: ReadonlySet<string>;
}

/** Of a row that is not in the table: S3 Control. */
const NONE: UnimplementedInputs = { headers: new Set(), headerPrefixes: [], query: new Set() };

const unimplementedByRow: ReadonlyMap<OperationRow, UnimplementedInputs> = new Map(
  OPERATION_TABLE.map((row) => [row, unimplementedInputs(row)]),
);

/** What AWS's model knows of an operation's request and this server does not act on. */
export function unimplementedInputs(row: OperationRow): UnimplementedInputs {
  const input = OPERATION_INPUTS[row.sameRequestAs ?? row.inputsOf ?? row.name];
  const acted = new Set([
    ...(row.implementedInputs ?? []),
    ...row.selectors.map((selector) => selector.split('=')[0]!),
  ]);
  const headers = (input?.headers ?? []).filter((name) => !acted.has(name) && !PIPELINE_HEADERS.has(name));
  return {
    headers: new Set(headers.filter((name) => !name.endsWith('-'))),
    headerPrefixes: headers.filter((name) => name.endsWith('-')),
    query: new Set((input?.query ?? []).filter((name) => !acted.has(name))),
  };
}

/**
 * Refuses what S3 defines for this operation and this server does not do: nothing is accepted and ignored, except values
 * that state what already holds.
 *
 * @throws S3Error NotImplemented, naming the input
 */
export function refuseUnimplementedInputs(
  row: OperationRow,
  headers: ReadonlyMap<string, string>,
  query: ReadonlyMap<string, string>,
): void {
  const unimplemented = unimplementedByRow.get(row) ?? NONE;
  if (unimplemented.headers.size > 0) {
    for (const [name, value] of headers) {
      if (unimplemented.headers.has(name)) refuseHeader(name, value);
    }
  }
  for (const prefix of unimplemented.headerPrefixes) {
    for (const name of headers.keys()) if (name.startsWith(prefix)) throw notImplemented('Header', name);
  }
  if (query.size > 0 && unimplemented.query.size > 0) {
    for (const name of query.keys()) if (unimplemented.query.has(name)) throw notImplemented('QueryParameter', name);
  }
}

function refuseHeader(name: string, value: string): void {
  const holding = HOLDING_VALUES.get(name);
  if (holding?.includes(value)) return;
  throw notImplemented('Header', name);
}

function notImplemented(kind: 'Header' | 'QueryParameter', name: string): S3Error {
  return new S3Error('NotImplemented', {
    message:
      kind === 'Header'
        ? 'A header you provided implies functionality that is not implemented'
        : 'A query parameter you provided implies functionality that is not implemented',
    details: { [kind]: name },
  });
}
