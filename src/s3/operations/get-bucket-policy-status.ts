import { checkBucketPolicy } from '../../access/check-bucket-policy.ts';
import { isPublicPolicy } from '../../access/policy/is-public-policy.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { xmlDocument, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | NoSuchBucketPolicy
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html
 */
export async function getBucketPolicyStatus(request: S3Request, services: S3Services): Promise<S3Response> {
  const { configuration, name } = await services.buckets.requireBucket(request.bucket);
  if (configuration.policy === undefined) {
    throw new S3Error('NoSuchBucketPolicy', { details: { BucketName: request.bucket } });
  }
  const isPublic = isPublicPolicy(checkBucketPolicy(configuration.policy.document, name));
  return xmlResponse(xmlDocument('PolicyStatus', xmlText('IsPublic', isPublic)));
}
