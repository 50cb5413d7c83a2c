import type { S3Services } from '../../service/services.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { taggingXml } from '../xml/tagging-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Answers the tags that PutObject, CopyObject or CreateMultipartUpload gave the object; an empty set when there are none.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html
 */
export async function getObjectTagging(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const versionId = request.query.get('versionId');
  const object = await services.objects.headObject({ bucket, key: request.key, versionId });
  const headers = {};
  addVersionId(headers, bucket, object.versionId);
  return xmlResponse(taggingXml(object.tags ?? []), headers);
}
