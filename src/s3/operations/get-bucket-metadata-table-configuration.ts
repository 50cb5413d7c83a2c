import { unsetConfiguration } from '../unset-configuration.ts';

/**
 * No bucket can have this configuration: answers as AWS does while nothing is set.
 *
 * @throws S3Error NoSuchBucket | MetadataConfigurationNotFound
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketMetadataTableConfiguration.html
 */
export const getBucketMetadataTableConfiguration = unsetConfiguration('MetadataConfigurationNotFound');
