import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Afterwards nothing is blocked. That is remembered: a bucket of which nothing was said blocks everything.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeletePublicAccessBlock.html
 */
export async function deletePublicAccessBlock(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  await services.buckets.putConfiguration(bucket, { name: 'publicAccessBlock', value: 'none' });
  return { status: 204 };
}
