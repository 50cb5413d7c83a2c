import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Takes the bucket's lifecycle rules away; there need not be any.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketLifecycle.html
 */
export async function deleteBucketLifecycle(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.lifecycle.deleteRules(await services.buckets.requireBucket(request.bucket));
  return { status: 204 };
}
