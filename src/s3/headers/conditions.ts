import { S3Error } from '../../errors/s3-error.ts';
import { etagListMatches, parseEtagList } from './etag-list.ts';
import { formatHttpDate, parseHttpDate } from './http-date.ts';

/** Conditions of a write as the headers state them; the same shape as the metadata store's `WritePreconditions`. */
export interface WriteConditions {
  ifMatch?: readonly string[];
  ifNoneMatch?: readonly string[];
  ifMatchLastModifiedMs?: number;
  ifMatchSizeBytes?: number;
}

/** What conditional headers are compared with. */
export interface ConditionTarget {
  /** Without quotes. */
  etag: string;
  lastModifiedMs: number;
}

/**
 * Conditional headers of GET and HEAD, in the order of RFC 9110 §13.2.2, which is S3's: If-Match, else
 * If-Unmodified-Since; then If-None-Match, else If-Modified-Since. Dates compare in whole seconds; one that cannot be
 * read is ignored. `notModifiedHeaders` are sent with a 304 beside ETag and Last-Modified (Cache-Control, Expires …).
 *
 * @throws S3Error PreconditionFailed (412) | NotModified (304)
 */
export function checkReadConditions(
  headers: ReadonlyMap<string, string>,
  target: ConditionTarget,
  notModifiedHeaders: Readonly<Record<string, string>> = {},
): void {
  const failed = failedCondition(headers, target, '');
  if (failed === undefined) return;
  if (failed === 'if-match' || failed === 'if-unmodified-since') throw preconditionFailed(failed);
  throw new S3Error('NotModified', {
    headers: {
      ...notModifiedHeaders,
      etag: `"${target.etag}"`,
      'last-modified': formatHttpDate(target.lastModifiedMs),
    },
  });
}

/**
 * `x-amz-copy-source-if-*` of CopyObject and UploadPartCopy: the same order, every failure is 412.
 *
 * @throws S3Error PreconditionFailed
 */
export function checkCopySourceConditions(headers: ReadonlyMap<string, string>, target: ConditionTarget): void {
  const failed = failedCondition(headers, target, 'x-amz-copy-source-');
  if (failed !== undefined) throw preconditionFailed(`x-amz-copy-source-${failed}`);
}

/**
 * Conditions of RenameObject: of the source under the prefix `x-amz-rename-source-`, of the destination without one. In
 * the same order; every failure is 412. Of a destination that is not there what needs it fails, and the others hold.
 *
 * @throws S3Error PreconditionFailed
 */
export function checkRenameConditions(
  headers: ReadonlyMap<string, string>,
  prefix: '' | 'x-amz-rename-source-',
  target: ConditionTarget | undefined,
): void {
  const named = (name: ConditionName): string => (prefix === '' ? CONDITION_NAMES[name]! : prefix + name);
  if (target === undefined) {
    for (const name of ['if-match', 'if-modified-since'] as const) {
      if (headers.has(prefix + name)) throw preconditionFailed(named(name));
    }
    return;
  }
  const failed = failedCondition(headers, target, prefix);
  if (failed !== undefined) throw preconditionFailed(named(failed));
}

/** Is any condition stated? @throws S3Error InvalidArgument: a date that cannot be read, or no ETag */
export function hasRenameConditions(
  headers: ReadonlyMap<string, string>,
  prefix: '' | 'x-amz-rename-source-',
): boolean {
  let hasAny = false;
  for (const name of ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'] as const) {
    const value = headers.get(prefix + name);
    if (value === undefined) continue;
    hasAny = true;
    const isReadable = name.endsWith('-since') ? parseHttpDate(value) !== undefined : parseEtagList(value).length > 0;
    if (!isReadable) throw invalidCondition(prefix === '' ? CONDITION_NAMES[name]! : prefix + name, value);
  }
  return hasAny;
}

type ConditionName = 'if-match' | 'if-unmodified-since' | 'if-none-match' | 'if-modified-since';

function failedCondition(
  headers: ReadonlyMap<string, string>,
  target: ConditionTarget,
  prefix: string,
): ConditionName | undefined {
  const lastModifiedSecond = Math.floor(target.lastModifiedMs / 1000);
  const ifMatch = headers.get(`${prefix}if-match`);
  if (ifMatch !== undefined) {
    if (!etagListMatches(parseEtagList(ifMatch), target.etag)) return 'if-match';
  } else {
    const since = secondOf(headers.get(`${prefix}if-unmodified-since`));
    if (since !== undefined && lastModifiedSecond > since) return 'if-unmodified-since';
  }
  const ifNoneMatch = headers.get(`${prefix}if-none-match`);
  if (ifNoneMatch !== undefined) {
    if (etagListMatches(parseEtagList(ifNoneMatch), target.etag)) return 'if-none-match';
  } else {
    const since = secondOf(headers.get(`${prefix}if-modified-since`));
    if (since !== undefined && lastModifiedSecond <= since) return 'if-modified-since';
  }
  return undefined;
}

function secondOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const timeMs = parseHttpDate(value);
  return timeMs === undefined ? undefined : Math.floor(timeMs / 1000);
}

/**
 * Conditional headers of a write, for the commit to evaluate; `undefined` when there are none.
 *
 * @throws S3Error InvalidArgument when a header is empty or cannot be read: a condition is never dropped in silence.
 */
export function readWriteConditions(headers: ReadonlyMap<string, string>): WriteConditions | undefined {
  const ifMatch = headers.get('if-match');
  const ifNoneMatch = headers.get('if-none-match');
  const lastModified = headers.get('x-amz-if-match-last-modified-time');
  const size = headers.get('x-amz-if-match-size');
  if (ifMatch === undefined && ifNoneMatch === undefined && lastModified === undefined && size === undefined) {
    return undefined;
  }
  const conditions: WriteConditions = {};
  if (ifMatch !== undefined) conditions.ifMatch = requireEtags('If-Match', ifMatch);
  if (ifNoneMatch !== undefined) conditions.ifNoneMatch = requireEtags('If-None-Match', ifNoneMatch);
  if (lastModified !== undefined) {
    const timeMs = parseHttpDate(lastModified);
    if (timeMs === undefined) throw invalidCondition('x-amz-if-match-last-modified-time', lastModified);
    conditions.ifMatchLastModifiedMs = timeMs;
  }
  if (size !== undefined) {
    if (!/^\d{1,15}$/.test(size)) throw invalidCondition('x-amz-if-match-size', size);
    conditions.ifMatchSizeBytes = Number(size);
  }
  return conditions;
}

function requireEtags(name: string, value: string): string[] {
  const etags = parseEtagList(value);
  if (etags.length === 0) throw invalidCondition(name, value);
  return etags;
}

function invalidCondition(name: string, value: string): S3Error {
  return new S3Error('InvalidArgument', { details: { ArgumentName: name, ArgumentValue: value } });
}

const CONDITION_NAMES: Readonly<Record<string, string>> = {
  'if-match': 'If-Match',
  'if-none-match': 'If-None-Match',
  'if-modified-since': 'If-Modified-Since',
  'if-unmodified-since': 'If-Unmodified-Since',
};

function preconditionFailed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', { details: { Condition: CONDITION_NAMES[condition] ?? condition } });
}
