import { S3Error } from '../../errors/s3-error.ts';
import type { S3Request, S3Response } from '../operation.ts';
import type { S3Services } from '../../service/services.ts';

/**
 * No bucket has Object Lock: answers as AWS does for an object in such a bucket.
 *
 * @throws S3Error NoSuchBucket | InvalidRequest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html
 */
export async function getObjectLegalHold(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.buckets.requireBucket(request.bucket);
  throw new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' });
}
