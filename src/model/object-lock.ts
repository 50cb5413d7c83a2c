import { S3Error } from '../errors/s3-error.ts';
import type { DefaultRetention, RetentionMode } from './bucket-configuration.ts';

/**
 * The rules of Object Lock, without state: what a lock forbids, and how it may be changed. Whoever removes or changes a
 * version asks these inside the commit that does it.
 *
 * Time is `trustedNowMs`: `undefined` while the clock cannot be believed (it has jumped), and then no date has passed.
 */
export interface ObjectLock {
  retention?: Retention;
  /** Absent: there never was one. */
  legalHold?: LegalHold;
}

/** The same where members are always there. */
export interface LockMembers {
  readonly retention?: Retention | undefined;
  readonly legalHold?: LegalHold | undefined;
}

export interface Retention {
  readonly mode: RetentionMode;
  readonly retainUntilMs: number;
}

export type LegalHold = 'ON' | 'OFF';

/** What the one who asks may do, and when it is. */
export interface LockTime {
  readonly trustedNowMs: number | undefined;
  /** Asked for by header, and permitted. */
  readonly bypassesGovernance: boolean;
}

/** The lock alone, of what carries one. */
export function lockOf({ retention, legalHold }: LockMembers): ObjectLock {
  const lock: ObjectLock = {};
  if (retention !== undefined) lock.retention = retention;
  if (legalHold !== undefined) lock.legalHold = legalHold;
  return lock;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** S3 counts a year as so many days. */
const DAYS_PER_YEAR = 365;

/** What a bucket's default gives a version made now. */
export function retentionByDefault({ mode, days, years }: DefaultRetention, nowMs: number): Retention {
  const dayCount = days ?? (years ?? 0) * DAYS_PER_YEAR;
  return { mode, retainUntilMs: nowMs + dayCount * DAY_MS };
}

function isActive(retention: Retention | undefined, trustedNowMs: number | undefined): retention is Retention {
  return retention !== undefined && (trustedNowMs === undefined || retention.retainUntilMs > trustedNowMs);
}

/** May nobody who asks so remove the version? */
export function isProtected({ retention, legalHold }: LockMembers, time: LockTime): boolean {
  if (legalHold === 'ON') return true;
  if (!isActive(retention, time.trustedNowMs)) return false;
  return retention.mode === 'COMPLIANCE' || !time.bypassesGovernance;
}

/**
 * Retention that still holds is extended in its own mode by anybody; GOVERNANCE is changed or removed at will by who
 * bypasses it, COMPLIANCE by nobody.
 *
 * @param wanted `undefined` removes it
 * @throws S3Error AccessDenied
 */
export function checkRetentionChange(
  retention: Retention | undefined,
  wanted: Retention | undefined,
  { trustedNowMs, bypassesGovernance }: LockTime,
): void {
  if (!isActive(retention, trustedNowMs)) return;
  const isExtended =
    wanted !== undefined && wanted.mode === retention.mode && wanted.retainUntilMs >= retention.retainUntilMs;
  if (isExtended || (retention.mode === 'GOVERNANCE' && bypassesGovernance)) return;
  throw protectedByLock();
}

export function protectedByLock(): S3Error {
  return new S3Error('AccessDenied', { message: 'Access Denied because object protected by object lock.' });
}
