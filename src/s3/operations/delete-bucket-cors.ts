import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketCors.html
 */
export async function deleteBucketCors(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  await services.buckets.deleteConfiguration(bucket, 'cors');
  return { status: 204 };
}
