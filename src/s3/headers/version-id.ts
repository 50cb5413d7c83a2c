import type { BucketRecord } from '../../model/object-record.ts';

/** `x-amz-version-id` of an answer that shows a version: there when the bucket has, or had, versioning enabled. */
export function addVersionId(headers: Record<string, string | number>, bucket: BucketRecord, versionId: string): void {
  if (bucket.configuration.versioning !== undefined) headers['x-amz-version-id'] = versionId;
}
