import { S3Error } from '../../errors/s3-error.ts';
import type { BucketConfiguration, BucketConfigurationName } from '../../model/bucket-configuration.ts';

/**
 * What must hold between the members of a bucket's configuration, checked in the commit that changes one: Object Lock
 * stands on versions, and what it protects must not lose them.
 *
 * @throws S3Error InvalidBucketState
 */
export function checkBucketConfiguration(changed: BucketConfigurationName, after: BucketConfiguration): void {
  if (after.objectLock === undefined || after.versioning?.status === 'Enabled') return;
  throw new S3Error('InvalidBucketState', {
    message:
      changed === 'versioning'
        ? 'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.'
        : "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
  });
}
