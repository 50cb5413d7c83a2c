import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * @throws S3Error NoSuchBucket | BucketNotEmpty
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html
 */
export async function deleteBucket(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.buckets.deleteBucket(request.bucket);
  return { status: 204 };
}
