import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { taggingXml } from '../xml/tagging-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | NoSuchTagSet
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketTagging.html
 */
export async function getBucketTagging(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  if (configuration.tagging === undefined) {
    throw new S3Error('NoSuchTagSet', { details: { BucketName: request.bucket } });
  }
  return xmlResponse(taggingXml(configuration.tagging));
}
