import type { S3Services } from '../../service/services.ts';
import { requireHoldingAcl } from '../holding-acl.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Takes the one ACL that holds for every object, as `x-amz-acl: private` or `bucket-owner-full-control`; every other way
 * to state one is answered 501.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | NotImplemented | MissingSecurityHeader
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
 */
export async function putObjectAcl(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  await services.objects.headObject({ bucket, key: request.key, versionId: request.query.get('versionId') });
  requireHoldingAcl(request);
  return { status: 200 };
}
