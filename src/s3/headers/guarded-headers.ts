import type { ObjectRecord } from '../../model/object-record.ts';
import type { S3Request } from '../operation.ts';
import { LOCK_HEADERS } from './object-lock-headers.ts';
import { formatIsoTimestamp } from './iso-timestamp.ts';

/**
 * Headers of GET and HEAD that only those see who may read what they tell: how many tags there are, retention, legal
 * hold. `undefined`: there is nothing to ask, as for most objects.
 */
export function addGuardedHeaders(
  headers: Record<string, string | number>,
  object: ObjectRecord,
  request: S3Request,
): Promise<void> | undefined {
  const { tags, retention, legalHold } = object;
  const hasTags = tags !== undefined && tags.length > 0;
  return hasTags || retention !== undefined || legalHold !== undefined
    ? addAllowed(headers, object, request)
    : undefined;
}

async function addAllowed(
  headers: Record<string, string | number>,
  { tags = [], retention, legalHold }: ObjectRecord,
  request: S3Request,
): Promise<void> {
  const tagAction = request.query.has('versionId') ? 's3:GetObjectVersionTagging' : 's3:GetObjectTagging';
  if (tags.length > 0 && (await request.mayDo(tagAction))) headers['x-amz-tagging-count'] = tags.length;
  if (retention !== undefined && (await request.mayDo('s3:GetObjectRetention'))) {
    headers[LOCK_HEADERS.mode] = retention.mode;
    headers[LOCK_HEADERS.retainUntil] = formatIsoTimestamp(retention.retainUntilMs);
  }
  if (legalHold !== undefined && (await request.mayDo('s3:GetObjectLegalHold'))) {
    headers[LOCK_HEADERS.legalHold] = legalHold;
  }
}
