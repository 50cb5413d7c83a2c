import type { BucketRecord, Tag } from '../../model/object-record.ts';
import { compileLifecycle } from '../../service/lifecycle/compiled-lifecycle.ts';
import { announcedExpiration, uploadAbortion } from '../../service/lifecycle/evaluate-lifecycle.ts';
import { CALENDAR_DAY_MS } from '../../service/lifecycle/lifecycle-days.ts';
import { formatHttpDate } from './http-date.ts';

/** What decides when an object expires. */
export interface ExpiringObject {
  key: string;
  sizeBytes: number;
  tags?: readonly Tag[] | undefined;
  lastModifiedMs: number;
}

/**
 * `x-amz-expiration` of a current version, where a rule of the bucket ends it; as on AWS not when it is asked for by its id. The date is that of the calendar, also
 * while a test clock makes days shorter.
 */
export function addExpiration(
  headers: Record<string, string | number>,
  { configuration }: Pick<BucketRecord, 'configuration'>,
  { key, sizeBytes, tags = [], lastModifiedMs }: ExpiringObject,
): void {
  if (configuration.lifecycle === undefined) return;
  const lifecycle = compileLifecycle(configuration.lifecycle);
  const expiration = announcedExpiration(lifecycle, { key, sizeBytes, tags, lastModifiedMs });
  if (expiration === undefined) return;
  const { atMs, ruleId } = expiration;
  headers['x-amz-expiration'] = `expiry-date="${formatHttpDate(atMs)}", rule-id="${headerText(ruleId)}"`;
}

/** `x-amz-abort-date` and `x-amz-abort-rule-id` of an upload, where a rule of the bucket aborts it. */
export function addAbortion(
  headers: Record<string, string | number>,
  { configuration }: Pick<BucketRecord, 'configuration'>,
  upload: { key: string; initiatedAtMs: number },
): void {
  if (configuration.lifecycle === undefined) return;
  const abortion = uploadAbortion(compileLifecycle(configuration.lifecycle), upload, CALENDAR_DAY_MS);
  if (abortion === undefined) return;
  headers['x-amz-abort-date'] = formatHttpDate(abortion.atMs);
  headers['x-amz-abort-rule-id'] = headerText(abortion.ruleId);
}

/** As it is, where a header can carry it. */
function headerText(ruleId: string): string {
  return /^[\u0020-\u007e]*$/.test(ruleId) ? ruleId : encodeURIComponent(ruleId);
}
