import { unsetConfiguration } from '../unset-configuration.ts';

/**
 * No bucket can have this configuration: answers as AWS does while nothing is set.
 *
 * @throws S3Error NoSuchBucket | NoSuchLifecycleConfiguration
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
 */
export const getBucketLifecycleConfiguration = unsetConfiguration('NoSuchLifecycleConfiguration');
