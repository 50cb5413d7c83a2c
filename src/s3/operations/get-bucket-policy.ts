import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * The document as it was put.
 *
 * @throws S3Error NoSuchBucket | NoSuchBucketPolicy
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
 */
export async function getBucketPolicy(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  if (configuration.policy === undefined) {
    throw new S3Error('NoSuchBucketPolicy', { details: { BucketName: request.bucket } });
  }
  return { status: 200, headers: { 'content-type': 'application/json' }, body: configuration.policy.document };
}
