import { S3Error } from '../errors/s3-error.ts';
import type { ObjectLock } from '../model/object-lock.ts';
import type { BucketRecord } from '../model/object-record.ts';
import type { RequestBody } from '../streams/request-body.ts';

/** Object Lock is never taken from a bucket again, so this holds until the commit. @throws S3Error InvalidRequest */
export function requireObjectLock({ configuration }: BucketRecord): void {
  if (configuration.objectLock !== undefined) return;
  throw new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' });
}

/**
 * An upload that will be locked must say what its bytes hash to: nobody could put it right later.
 *
 * @param lock as the client asked for it; the bucket's default counts as well
 * @throws S3Error InvalidRequest
 */
export function checkLockedUpload(bucket: BucketRecord, lock: ObjectLock | undefined, body: RequestBody): void {
  if (lock !== undefined) requireObjectLock(bucket);
  else if (bucket.configuration.objectLock?.defaultRetention === undefined) return;
  requireDigest(body);
}

/** @throws S3Error InvalidRequest */
export function requireDigest({ expectations }: RequestBody): void {
  if (expectations.some(({ kind }) => kind !== 'payload-sha256')) return;
  throw new S3Error('InvalidRequest', {
    message:
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
  });
}
