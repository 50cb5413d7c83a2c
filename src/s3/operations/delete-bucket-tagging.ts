import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Deletes the tags of a bucket; succeeds when there are none.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketTagging.html
 */
export async function deleteBucketTagging(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.buckets.deleteConfiguration(await services.buckets.requireBucket(request.bucket), 'tagging');
  return { status: 204 };
}
