import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { corsXml } from '../xml/cors-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | NoSuchCORSConfiguration
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketCors.html
 */
export async function getBucketCors(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  if (configuration.cors === undefined) {
    throw new S3Error('NoSuchCORSConfiguration', { details: { BucketName: request.bucket } });
  }
  return xmlResponse(corsXml(configuration.cors));
}
