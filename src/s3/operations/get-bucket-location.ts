import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { buildXml } from '../xml/build-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * The bucket's region; empty for us-east-1, which has no location constraint.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
 */
export async function getBucketLocation(request: S3Request, services: S3Services): Promise<S3Response> {
  const { region } = await services.buckets.requireBucket(request.bucket);
  return xmlResponse(buildXml('LocationConstraint', region === 'us-east-1' ? '' : region));
}
