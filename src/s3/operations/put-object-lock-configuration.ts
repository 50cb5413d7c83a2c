import { requireDigest } from '../../service/lock-rules.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readObjectLockConfiguration } from '../xml/object-lock-xml.ts';

/**
 * Enables Object Lock of a versioned bucket, for ever, and sets or removes the retention that new versions get.
 *
 * @throws S3Error NoSuchBucket | InvalidRequest (no digest) | MalformedXML | InvalidArgument (period) |
 *   InvalidBucketState (versioning is not enabled)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html
 */
export async function putObjectLockConfiguration(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  requireDigest(request.body);
  const value = await readObjectLockConfiguration(request);
  await services.buckets.putConfiguration(bucket, { name: 'objectLock', value });
  return { status: 200 };
}
