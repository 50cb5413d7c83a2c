import { S3Error } from '../../errors/s3-error.ts';
import type { WritePreconditions } from '../metadata-store.ts';

export interface CurrentVersion {
  etag: string;
  lastModifiedMs: number;
  sizeBytes: number;
}

/**
 * `current` is undefined when the key is missing or its current version is a delete marker. Times compare in whole
 * seconds: that is what HTTP carries.
 *
 * @throws S3Error NoSuchKey | PreconditionFailed
 */
export function checkWritePreconditions(
  preconditions: WritePreconditions,
  key: string,
  current: CurrentVersion | undefined,
): void {
  const { ifMatch, ifNoneMatch, ifMatchLastModifiedMs, ifMatchSizeBytes } = preconditions;
  const needsCurrent = ifMatch !== undefined || ifMatchLastModifiedMs !== undefined || ifMatchSizeBytes !== undefined;
  if (current === undefined) {
    if (needsCurrent) throw new S3Error('NoSuchKey', { details: { Key: key } });
    return;
  }
  if (ifMatch !== undefined && !matches(ifMatch, current.etag)) fail('If-Match');
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, current.etag)) fail('If-None-Match');
  if (ifMatchLastModifiedMs !== undefined && seconds(ifMatchLastModifiedMs) !== seconds(current.lastModifiedMs)) {
    fail('x-amz-if-match-last-modified-time');
  }
  if (ifMatchSizeBytes !== undefined && ifMatchSizeBytes !== current.sizeBytes) fail('x-amz-if-match-size');
}

/**
 * Of a delete: of the current version, or of the one that is named. What is not there is deleted already, whatever the
 * conditions (docs/decisions/0015-conditional-deletes.md). A delete marker is there, but is no object: `*` holds, an ETag
 * or a size never does.
 *
 * @throws S3Error PreconditionFailed
 */
export function checkDeletePreconditions(
  preconditions: WritePreconditions,
  version: (CurrentVersion & { isDeleteMarker: boolean }) | undefined,
): void {
  if (version === undefined) return;
  const { ifMatch, ifMatchLastModifiedMs, ifMatchSizeBytes } = preconditions;
  if (ifMatch !== undefined && !matches(ifMatch, version.etag)) fail('If-Match');
  if (ifMatchLastModifiedMs !== undefined && seconds(ifMatchLastModifiedMs) !== seconds(version.lastModifiedMs)) {
    fail('x-amz-if-match-last-modified-time');
  }
  if (ifMatchSizeBytes !== undefined && (version.isDeleteMarker || ifMatchSizeBytes !== version.sizeBytes)) {
    fail('x-amz-if-match-size');
  }
}

function matches(etags: readonly string[], etag: string): boolean {
  return etags.includes('*') || etags.includes(etag);
}

function seconds(timeMs: number): number {
  return Math.floor(timeMs / 1000);
}

function fail(condition: string): never {
  throw new S3Error('PreconditionFailed', { details: { Condition: condition } });
}
