import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readAcl } from '../xml/access-control-xml.ts';

/**
 * Replaces the bucket's ACL. Where ACLs are disabled only one that holds anyway can be put.
 *
 * @throws S3Error NoSuchBucket | AccessControlListNotSupported | AccessDenied | MalformedACLError | InvalidArgument |
 *   InvalidRequest | UnexpectedContent | UnresolvableGrantByEmailAddress | MissingSecurityHeader
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html
 */
export async function putBucketAcl(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const acl = services.accessControl.ofBucket(bucket, await readAcl(request));
  if (acl !== undefined) await services.buckets.putConfiguration(bucket, { name: 'acl', value: acl });
  else if (bucket.configuration.acl !== undefined) await services.buckets.deleteConfiguration(bucket, 'acl');
  return { status: 200 };
}
