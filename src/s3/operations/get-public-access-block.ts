import { fixedDocument } from '../unset-configuration.ts';

/**
 * Nothing can be made public: all four blocks hold for every bucket, as AWS gives them to new ones.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetPublicAccessBlock.html
 */
export const getPublicAccessBlock = fixedDocument('PublicAccessBlockConfiguration', {
  BlockPublicAcls: true,
  IgnorePublicAcls: true,
  BlockPublicPolicy: true,
  RestrictPublicBuckets: true,
});
