import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { lifecycleXml } from '../xml/lifecycle-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | NoSuchLifecycleConfiguration
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
 */
export async function getBucketLifecycleConfiguration(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  const { lifecycle } = configuration;
  if (lifecycle === undefined) {
    throw new S3Error('NoSuchLifecycleConfiguration', { details: { BucketName: request.bucket } });
  }
  return xmlResponse(lifecycleXml(lifecycle), {
    'x-amz-transition-default-minimum-object-size': lifecycle.transitionMinimumSize,
  });
}
