import { fixedDocument } from '../unset-configuration.ts';

/**
 * No bucket can have anything else: answers as AWS does while nothing is set.
 *
 * @throws S3Error NoSuchBucket
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
 */
export const getBucketNotificationConfiguration = fixedDocument('NotificationConfiguration', {});
