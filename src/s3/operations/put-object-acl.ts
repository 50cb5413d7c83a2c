import type { S3Services } from '../../service/services.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readAcl } from '../xml/access-control-xml.ts';

/**
 * Replaces the ACL of a version: no new version, ETag or time. Where ACLs are disabled only one that holds anyway can
 * be put.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | MethodNotAllowed (a delete marker) | AccessDenied |
 *   ConditionalRequestConflict (it was overwritten meanwhile) and as PutBucketAcl
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
 */
export async function putObjectAcl(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const { key } = request;
  const wish = await readAcl(request);
  const object = await services.objects.headObject({ bucket, key, versionId: request.query.get('versionId') });
  // While the body came somebody else may have written here: what was allowed was about the object before.
  await request.authorizeWithBody(() => undefined);
  const acl = services.accessControl.ofObject(bucket, object, wish);
  if (acl !== object.acl) {
    const { order, versionId } = object;
    await services.objects.changeVersion({ bucket, key, versionId }, { member: 'acl', acl }, order);
  }
  const headers: Record<string, string | number> = {};
  addVersionId(headers, bucket, object.versionId);
  return { status: 200, headers };
}
