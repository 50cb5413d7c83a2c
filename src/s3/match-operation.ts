import { S3Error } from '../errors/s3-error.ts';
import { OPERATION_INPUTS } from './model/operation-inputs.ts';
import type { OperationRow } from './operation.ts';
import { OPERATION_TABLE } from './operation-table.ts';

/** What chooses an operation. Lower-case header names. */
export interface OperationShape {
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
}

interface Selector {
  readonly name: string;
  /** `undefined`: any value. */
  readonly value: string | undefined;
}

/** A row prepared for matching. */
interface Candidate {
  readonly row: OperationRow;
  readonly selectors: readonly Selector[];
  readonly selectingHeaders: readonly string[];
  /** Query parameters that the row may carry: its selectors and what AWS's model knows of it. */
  readonly usedQuery: ReadonlySet<string>;
}

type Target = 'service' | 'bucket' | 'object';

const WRITE_GET_OBJECT_RESPONSE = 'WriteGetObjectResponse';
const TARGET_TYPES: Readonly<Record<Target, string>> = { service: 'SERVICE', bucket: 'BUCKET', object: 'OBJECT' };

const candidates: Candidate[] = OPERATION_TABLE.filter(({ sameRequestAs }) => sameRequestAs === undefined)
  .map(prepare)
  // The most selectors first, so that the first that fits is the winner.
  .sort((a, b) => specificity(b) - specificity(a));
const byTarget: Readonly<Record<Target, ReadonlyMap<string, readonly Candidate[]>>> = {
  service: groupByMethod('service'),
  bucket: groupByMethod('bucket'),
  object: groupByMethod('object'),
};
const selectorNames = new Set(candidates.flatMap(({ selectors }) => selectors.map(({ name }) => name)));
const selectingHeaderNames = [...new Set(candidates.flatMap(({ selectingHeaders }) => selectingHeaders))];
const preflight = OPERATION_TABLE.find(({ method }) => method === 'OPTIONS')!;
const writeGetObjectResponse = OPERATION_TABLE.find(({ name }) => name === WRITE_GET_OBJECT_RESPONSE)!;

/**
 * The one row that a request means: of the rows for its method and target whose selectors are all present, the one with
 * the most. A request that carries a selector which that row does not use is refused, so that
 * `PUT /bucket/key?uploadId=x` never becomes PutObject.
 *
 * @throws S3Error MethodNotAllowed (with Allow) | InvalidArgument | InvalidRequest
 */
export function matchOperation(shape: OperationShape): OperationRow {
  if (shape.method === 'OPTIONS') return preflight;
  const target: Target = shape.bucket === '' ? 'service' : shape.key === '' ? 'bucket' : 'object';
  if (shape.bucket === WRITE_GET_OBJECT_RESPONSE && target === 'bucket' && shape.method === 'POST') {
    return writeGetObjectResponse;
  }
  const winner = byTarget[target].get(shape.method)?.find((candidate) => fits(candidate, shape));
  if (shape.query.size > 0) refuseUnusedQuery(shape, target, winner);
  if (winner === undefined) throw methodNotAllowed(shape, target, methodsOf(target, isPlain));
  refuseUnusedHeaders(shape, winner);
  return winner.row;
}

function prepare(row: OperationRow): Candidate {
  const selectors = row.selectors.map((selector) => {
    const equals = selector.indexOf('=');
    return equals === -1
      ? { name: selector, value: undefined }
      : { name: selector.slice(0, equals), value: selector.slice(equals + 1) };
  });
  const usedQuery = new Set([...selectors.map(({ name }) => name), ...(OPERATION_INPUTS[row.name]?.query ?? [])]);
  return { row, selectors, selectingHeaders: row.selectingHeaders, usedQuery };
}

function specificity({ selectors, selectingHeaders }: Candidate): number {
  return selectors.length + selectingHeaders.length;
}

function groupByMethod(target: Target): ReadonlyMap<string, readonly Candidate[]> {
  const groups = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    if (candidate.row.target !== target) continue;
    const group = groups.get(candidate.row.method);
    if (group === undefined) groups.set(candidate.row.method, [candidate]);
    else group.push(candidate);
  }
  return groups;
}

function fits({ selectors, selectingHeaders }: Candidate, { query, headers }: OperationShape): boolean {
  for (const { name, value } of selectors) {
    const given = query.get(name);
    if (given === undefined || (value !== undefined && given !== value)) return false;
  }
  for (const name of selectingHeaders) if (!headers.has(name)) return false;
  return true;
}

function refuseUnusedQuery(shape: OperationShape, target: Target, winner: Candidate | undefined): void {
  for (const [name, value] of shape.query) {
    if (winner?.usedQuery.has(name)) continue;
    if (name === 'versionId' && winner !== undefined && target === 'object') {
      throw invalidArgument(name, value, 'This operation does not accept a version-id.');
    }
    if (!selectorNames.has(name)) continue;
    if (name === 'list-type' && target === 'bucket' && shape.method === 'GET') {
      throw invalidArgument(name, value, 'Invalid List Type specified in Request');
    }
    const incomplete = byTarget[target]
      .get(shape.method)
      ?.find(({ selectors }) => selectors.some((selector) => selector.name === name));
    const missing = incomplete?.selectors.find((selector) => !shape.query.has(selector.name));
    if (missing !== undefined) {
      throw new S3Error('InvalidArgument', {
        message: `The request carries ${name} but not ${missing.name}, which belongs to it.`,
        details: { ArgumentName: missing.name },
      });
    }
    const methods = methodsOf(target, ({ usedQuery }) => usedQuery.has(name));
    if (incomplete === undefined && methods.length > 0) throw methodNotAllowed(shape, target, methods);
    throw invalidArgument(name, value, `The query parameter ${name} does not apply to this request.`);
  }
}

function refuseUnusedHeaders({ headers }: OperationShape, { row, selectingHeaders }: Candidate): void {
  for (const name of selectingHeaderNames) {
    if (headers.has(name) && !selectingHeaders.includes(name)) {
      throw new S3Error('InvalidRequest', { message: `The header ${name} does not apply to ${row.name}.` });
    }
  }
}

function methodsOf(target: Target, accepts: (candidate: Candidate) => boolean): string[] {
  return [...byTarget[target]].filter(([, group]) => group.some(accepts)).map(([method]) => method);
}

/** Chosen by nothing but method and target. */
function isPlain({ selectors, selectingHeaders }: Candidate): boolean {
  return selectors.length + selectingHeaders.length === 0;
}

function methodNotAllowed(shape: OperationShape, target: Target, methods: readonly string[]): S3Error {
  return new S3Error('MethodNotAllowed', {
    details: { Method: shape.method, ResourceType: TARGET_TYPES[target] },
    headers: { allow: methods.toSorted().join(', ') },
  });
}

function invalidArgument(name: string, value: string, message: string): S3Error {
  return new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}
