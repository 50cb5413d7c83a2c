import { readWriteConditions } from '../headers/conditions.ts';
import { bypassesGovernance } from '../headers/object-lock-headers.ts';
import type { S3Request, S3Response } from '../operation.ts';
import type { S3Services } from '../../service/services.ts';

/**
 * Deletes an object. Deleting what is not there is 204 as well, unless a condition asks for it.
 *
 * @throws S3Error NoSuchBucket | PreconditionFailed | NoSuchKey (If-Match on a missing key) | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
 */
export async function deleteObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const deleted = await services.objects.deleteObject(bucket, {
    key: request.key,
    versionId: request.query.get('versionId'),
    bypassesGovernance: bypassesGovernance(request.headers),
    preconditions: readWriteConditions(request.headers),
  });
  const headers: Record<string, string> = {};
  if (deleted.versionId !== undefined) headers['x-amz-version-id'] = deleted.versionId;
  if (deleted.isDeleteMarker) headers['x-amz-delete-marker'] = 'true';
  return { status: 204, headers };
}
