import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { buildXml } from '../xml/build-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Answers `Enabled` or `Suspended`; nothing while versioning was never enabled.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html
 */
export async function getBucketVersioning(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  const { versioning } = configuration;
  return xmlResponse(
    buildXml('VersioningConfiguration', versioning === undefined ? {} : { Status: versioning.status }),
  );
}
