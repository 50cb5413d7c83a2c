import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { objectLockConfigurationXml } from '../xml/object-lock-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | ObjectLockConfigurationNotFoundError
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html
 */
export async function getObjectLockConfiguration(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  if (configuration.objectLock === undefined) {
    throw new S3Error('ObjectLockConfigurationNotFoundError', { details: { BucketName: request.bucket } });
  }
  return xmlResponse(objectLockConfigurationXml(configuration.objectLock));
}
