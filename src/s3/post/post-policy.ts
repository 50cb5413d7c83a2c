import { parseStrictJson } from '../../access/policy/strict-json.ts';
import { CHECKSUM_ALGORITHMS } from '../../checksums/checksum-algorithms.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { parseIsoTimestamp } from '../headers/iso-timestamp.ts';
import type { FormFields } from '../sigv4/verify-form.ts';

/** What the holder of a key lets a browser upload in his name. */
export interface PostPolicy {
  readonly expirationMs: number;
  readonly conditions: readonly FieldCondition[];
  /** Of the file, both ends included; the narrowest of all that are there. */
  readonly sizeRange: { readonly minimumBytes: number; readonly maximumBytes: number } | undefined;
}

interface FieldCondition {
  readonly operator: 'eq' | 'starts-with';
  /** Lower-case, without `$`. */
  readonly field: string;
  readonly value: string;
  /** As the document has it, for the error. */
  readonly source: unknown;
}

/** Parts of the signature, and what it cannot cover. What the file hashes to belongs to the file. */
const UNCOVERED_FIELDS = new Set([
  'awsaccesskeyid',
  'file',
  'policy',
  'signature',
  'x-amz-signature',
  ...[...CHECKSUM_ALGORITHMS.values()].map(({ headerName }) => headerName),
]);
const IGNORED_PREFIX = 'x-ignore-';
const LENGTH_RANGE = 'content-length-range';

/**
 * The `policy` field: Base64 of a JSON document.
 * @throws S3Error InvalidPolicyDocument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
 */
export function parsePostPolicy(encoded: string): PostPolicy {
  const document = parseDocument(encoded);
  if (!isPlainObject(document)) throw invalid('Invalid JSON.');
  const { expiration, conditions, ...others } = document;
  const [unexpected] = Object.keys(others);
  if (expiration === undefined) throw invalid('Policy missing expiration.');
  if (conditions === undefined) throw invalid('Policy missing conditions.');
  if (unexpected !== undefined) throw invalid(`Unexpected: '${unexpected}'.`);
  const expirationMs = typeof expiration === 'string' ? parseIsoTimestamp(expiration) : undefined;
  if (expirationMs === undefined) throw invalid(`Invalid 'expiration' value: ${JSON.stringify(expiration)}`);
  if (!Array.isArray(conditions)) throw invalid('Invalid conditions: not a list.');
  const fieldConditions: FieldCondition[] = [];
  let sizeRange: PostPolicy['sizeRange'];
  for (const condition of conditions) {
    const range = lengthRange(condition);
    if (range === undefined) fieldConditions.push(parseCondition(condition));
    else {
      sizeRange = {
        minimumBytes: Math.max(range.minimumBytes, sizeRange?.minimumBytes ?? 0),
        maximumBytes: Math.min(range.maximumBytes, sizeRange?.maximumBytes ?? range.maximumBytes),
      };
    }
  }
  return { expirationMs, conditions: fieldConditions, sizeRange };
}

/**
 * Every condition must hold, and every field be spoken of by one. `fields` are those before the file, `$bucket` the
 * bucket of the request whatever a field of that name says, `$key` the key that will be written. A policy that does not
 * speak of the bucket is refused, as on AWS: it would be good for every bucket of whoever signed it.
 *
 * @throws S3Error AccessDenied
 */
export function checkPostPolicy(
  policy: PostPolicy,
  form: { fields: FormFields; bucket: string; key: string; nowMs: number },
): void {
  if (form.nowMs > policy.expirationMs) throw denied('Policy expired.');
  const values = new Map(form.fields);
  values.set('bucket', form.bucket);
  values.set('key', form.key);
  for (const { operator, field, value, source } of policy.conditions) {
    // What may be anything may also be missing.
    const given = values.get(field) ?? (operator === 'starts-with' && value === '' ? '' : undefined);
    if (given === undefined || !holds(operator, field, given, value)) {
      throw denied(`Policy Condition failed: ${JSON.stringify(source)}`);
    }
  }
  const covered = new Set(policy.conditions.map(({ field }) => field));
  const extra = [...values.keys()].filter(
    (name) => !covered.has(name) && !UNCOVERED_FIELDS.has(name) && !name.startsWith(IGNORED_PREFIX),
  );
  if (extra.length > 0) throw denied(`Extra input fields: ${extra.join(', ')}`);
}

function holds(operator: FieldCondition['operator'], field: string, given: string, value: string): boolean {
  if (operator === 'eq') return given === value;
  // A list of types must begin so in each of its members.
  const pieces = field === 'content-type' ? given.split(',').map((piece) => piece.trim()) : [given];
  return pieces.every((piece) => piece.startsWith(value));
}

function parseDocument(encoded: string): unknown {
  // Without the spaces first: a pattern that lets them stand in two places tries all ways to share them out.
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded.replaceAll(/\s/g, ''))) throw invalid('Invalid Base64.');
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(encoded, 'base64'));
    return parseStrictJson(text.replaceAll(/\\(.)/gs, unescapeBeyondJson));
  } catch (cause) {
    throw invalid('Invalid JSON.', cause);
  }
}

/** S3 knows two escapes that JSON does not. */
function unescapeBeyondJson(escape: string, character: string): string {
  return character === '$' ? '$' : character === 'v' ? String.raw`\u000b` : escape;
}

function lengthRange(condition: unknown): NonNullable<PostPolicy['sizeRange']> | undefined {
  if (!Array.isArray(condition) || String(condition[0]).toLowerCase() !== LENGTH_RANGE) return undefined;
  const [minimumBytes, maximumBytes] = condition.slice(1).map(byteCount);
  if (condition.length !== 3 || minimumBytes === undefined || maximumBytes === undefined) {
    throw invalid(`Invalid ${LENGTH_RANGE}: ${JSON.stringify(condition)}`);
  }
  if (minimumBytes > maximumBytes) throw invalid(`Invalid ${LENGTH_RANGE}: the minimum is beyond the maximum.`);
  return { minimumBytes, maximumBytes };
}

function byteCount(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

function parseCondition(condition: unknown): FieldCondition {
  if (Array.isArray(condition)) {
    const [operator, name, value] = condition as unknown[];
    const known = String(operator).toLowerCase();
    if (condition.length !== 3 || typeof name !== 'string' || typeof value !== 'string' || !name.startsWith('$')) {
      throw invalid(`Invalid condition: ${JSON.stringify(condition)}`);
    }
    if (known !== 'eq' && known !== 'starts-with') throw invalid(`Invalid operator: ${String(operator)}`);
    return { operator: known, field: name.slice(1).toLowerCase(), value, source: condition };
  }
  if (!isPlainObject(condition)) throw invalid('Invalid condition.');
  const entries = Object.entries(condition);
  const [name, value] = entries[0] ?? [];
  if (entries.length !== 1 || name === undefined) {
    throw invalid('Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.');
  }
  if (typeof value !== 'string') throw invalid('Invalid Simple-Condition: value must be a string.');
  return { operator: 'eq', field: name.toLowerCase(), value, source: ['eq', `$${name}`, value] };
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(reason: string, cause?: unknown): S3Error {
  return new S3Error('InvalidPolicyDocument', {
    message: `Invalid Policy: ${reason}`,
    ...(cause === undefined ? {} : { cause }),
  });
}

function denied(reason: string): S3Error {
  return new S3Error('AccessDenied', { message: `Invalid according to Policy: ${reason}` });
}
