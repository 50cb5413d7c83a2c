import type { S3Services } from '../../service/services.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { bodyTagConditions } from '../request-conditions.ts';
import { readTagging } from '../xml/tagging-xml.ts';

/**
 * Replaces the tags of a version; an empty set deletes them. Nothing else of it changes.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | MethodNotAllowed (a delete marker) | InvalidArgument |
 *   MalformedXML | InvalidTag | BadRequest (more than ten)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html
 */
export async function putObjectTagging(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const tags = await readTagging(request, 'object');
  await request.authorizeWithBody(bodyTagConditions(tags));
  const address = { bucket, key: request.key, versionId: request.query.get('versionId') };
  const { versionId } = await services.objects.changeVersion(address, { member: 'tags', tags });
  const headers = {};
  addVersionId(headers, bucket, versionId);
  return { status: 200, headers };
}
