import { unsetConfiguration } from '../unset-configuration.ts';

/**
 * No bucket can have this configuration: answers as AWS does while nothing is set.
 *
 * @throws S3Error NoSuchBucket | NoSuchCORSConfiguration
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketCors.html
 */
export const getBucketCors = unsetConfiguration('NoSuchCORSConfiguration');
