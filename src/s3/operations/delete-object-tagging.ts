import type { S3Services } from '../../service/services.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Deletes the tags of a version; succeeds when it has none.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | MethodNotAllowed (a delete marker) | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html
 */
export async function deleteObjectTagging(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const address = { bucket, key: request.key, versionId: request.query.get('versionId') };
  const { versionId } = await services.objects.changeVersion(address, { member: 'tags', tags: [] });
  const headers = {};
  addVersionId(headers, bucket, versionId);
  return { status: 204, headers };
}
