import { S3Error } from '../../errors/s3-error.ts';
import { ownershipOf } from '../../model/access-control.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { xmlDocument, xmlGroup, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * A bucket of which nothing was said has what AWS gives new ones.
 *
 * @throws S3Error NoSuchBucket | OwnershipControlsNotFoundError (they were deleted)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketOwnershipControls.html
 */
export async function getBucketOwnershipControls(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  if (configuration.ownershipControls === 'none') {
    throw new S3Error('OwnershipControlsNotFoundError', { details: { BucketName: request.bucket } });
  }
  const rule = xmlGroup('Rule', xmlText('ObjectOwnership', ownershipOf(configuration.ownershipControls)));
  return xmlResponse(xmlDocument('OwnershipControls', rule));
}
