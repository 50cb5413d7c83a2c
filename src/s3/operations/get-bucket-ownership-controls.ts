import { fixedDocument } from '../unset-configuration.ts';

/**
 * There are no ACLs to own objects by: what AWS gives new buckets is what holds for every bucket here.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketOwnershipControls.html
 */
export const getBucketOwnershipControls = fixedDocument('OwnershipControls', {
  Rule: { ObjectOwnership: 'BucketOwnerEnforced' },
});
