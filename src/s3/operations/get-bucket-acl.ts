import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { ownersAclDocument } from '../xml/access-control-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Nothing can set an ACL: the bucket's owner has full control and nobody else has anything.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html
 */
export async function getBucketAcl(request: S3Request, services: S3Services): Promise<S3Response> {
  const { owner } = await services.buckets.requireBucket(request.bucket);
  return xmlResponse(ownersAclDocument(owner));
}
