import { S3Error } from '../../errors/s3-error.ts';
import { publicAccessBlockOf } from '../../model/bucket-access.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { publicAccessBlockXml } from '../xml/public-access-block-xml.ts';
import { xmlDocument } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * All four hold in a bucket of which nothing was said.
 *
 * @throws S3Error NoSuchBucket | NoSuchPublicAccessBlockConfiguration
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetPublicAccessBlock.html
 */
export async function getPublicAccessBlock(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  const block = publicAccessBlockOf(configuration.publicAccessBlock);
  if (block === undefined) {
    throw new S3Error('NoSuchPublicAccessBlockConfiguration', { details: { BucketName: request.bucket } });
  }
  return xmlResponse(xmlDocument('PublicAccessBlockConfiguration', publicAccessBlockXml(block)));
}
