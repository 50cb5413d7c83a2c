import type { S3Services } from '../../service/services.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { accessControlDocument } from '../xml/access-control-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html
 */
export async function getObjectAcl(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const versionId = request.query.get('versionId');
  const object = await services.objects.headObject({ bucket, key: request.key, versionId });
  const { owner, grants } = services.accessControl.shown(bucket, object);
  const headers: Record<string, string | number> = {};
  addVersionId(headers, bucket, object.versionId);
  return xmlResponse(accessControlDocument(owner, grants), headers);
}
