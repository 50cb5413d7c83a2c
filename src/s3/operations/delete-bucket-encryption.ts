import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Takes the bucket's own default away: the server's counts again. Objects stay as they are encrypted.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketEncryption.html
 */
export async function deleteBucketEncryption(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.bucketEncryption.delete(await services.buckets.requireBucket(request.bucket));
  return { status: 204 };
}
