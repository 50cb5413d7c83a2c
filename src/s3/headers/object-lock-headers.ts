import { S3Error } from '../../errors/s3-error.ts';
import type { RetentionMode } from '../../model/bucket-configuration.ts';
import type { LegalHold, ObjectLock, Retention } from '../../model/object-lock.ts';
import type { S3Request } from '../operation.ts';
import { parseIsoTimestamp } from './iso-timestamp.ts';

export const LOCK_HEADERS = {
  mode: 'x-amz-object-lock-mode',
  retainUntil: 'x-amz-object-lock-retain-until-date',
  legalHold: 'x-amz-object-lock-legal-hold',
} as const;
const BYPASS = 'x-amz-bypass-governance-retention';

/** What an upload may say of its version's lock. */
export const OBJECT_LOCK_HEADERS: readonly string[] = Object.values(LOCK_HEADERS);

const { mode: MODE, retainUntil: RETAIN_UNTIL, legalHold: LEGAL_HOLD } = LOCK_HEADERS;

/**
 * The lock that PutObject, CopyObject or CreateMultipartUpload asks for; `undefined`: none, and the bucket's default
 * holds. The pipeline has asked for the permissions.
 *
 * @throws S3Error InvalidArgument
 */
export function readObjectLock(request: S3Request): ObjectLock | undefined {
  const { headers } = request;
  const retention = readRetention(headers, request.nowMs);
  const legalHold = readLegalHold(headers.get(LEGAL_HOLD));
  if (retention === undefined && legalHold === undefined) return undefined;
  if (!request.isSigned) {
    throw new S3Error('InvalidArgument', {
      message: 'Put Object requests with Object Lock parameters require AWS Signature Version 4',
      details: { ArgumentName: 'Authorization' },
    });
  }
  return { ...(retention ? { retention } : {}), ...(legalHold ? { legalHold } : {}) };
}

function readRetention(headers: ReadonlyMap<string, string>, nowMs: number): Retention | undefined {
  const mode = headers.get(MODE);
  const date = headers.get(RETAIN_UNTIL);
  if (mode === undefined && date === undefined) return undefined;
  if (mode === undefined || date === undefined) {
    throw new S3Error('InvalidArgument', {
      message: `${RETAIN_UNTIL} and ${MODE} must both be supplied`,
      details: { ArgumentName: mode === undefined ? MODE : RETAIN_UNTIL },
    });
  }
  if (!isRetentionMode(mode)) throw invalidArgument(MODE, mode, 'Unknown wormMode directive.');
  const retainUntilMs = parseIsoTimestamp(date);
  if (retainUntilMs === undefined) {
    throw invalidArgument(RETAIN_UNTIL, date, 'The retain until date must be provided in ISO 8601 format');
  }
  checkRetainUntil(retainUntilMs, nowMs, { name: RETAIN_UNTIL, value: date });
  return { mode, retainUntilMs };
}

function readLegalHold(value: string | undefined): LegalHold | undefined {
  if (value === undefined || value === 'ON' || value === 'OFF') return value;
  throw invalidArgument(LEGAL_HOLD, value, "Legal Hold must be either of 'ON' or 'OFF'");
}

export function isRetentionMode(mode: string | undefined): mode is RetentionMode {
  return mode === 'GOVERNANCE' || mode === 'COMPLIANCE';
}

/** @throws S3Error InvalidArgument */
export function checkRetainUntil(
  retainUntilMs: number,
  nowMs: number,
  argument: { name: string; value: string },
): void {
  if (retainUntilMs > nowMs) return;
  throw invalidArgument(argument.name, argument.value, 'The retain until date must be in the future!');
}

/** The permission was asked for by the pipeline, or is for each key. */
export function bypassesGovernance(headers: ReadonlyMap<string, string>): boolean {
  return headers.get(BYPASS)?.toLowerCase() === 'true';
}

function invalidArgument(name: string, value: string, message: string): S3Error {
  return new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}
