import type { S3Services } from '../../service/services.ts';
import { requireHoldingAcl } from '../holding-acl.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Takes the one ACL that holds for every bucket, `x-amz-acl: private`; every other way to state one is answered 501.
 *
 * @throws S3Error NoSuchBucket | NotImplemented | MissingSecurityHeader
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html
 */
export async function putBucketAcl(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.buckets.requireBucket(request.bucket);
  requireHoldingAcl(request);
  return { status: 200 };
}
