import { requireDigest, requireObjectLock } from '../../service/lock-rules.ts';
import type { S3Services } from '../../service/services.ts';
import { bypassesGovernance } from '../headers/object-lock-headers.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { bodyLockConditions } from '../request-conditions.ts';
import { readRetention } from '../xml/object-lock-xml.ts';

/**
 * Sets, extends or, by an empty document, removes the retention of a version, as far as its lock allows it.
 *
 * @throws S3Error NoSuchBucket | InvalidRequest (no Object Lock, no digest) | NoSuchKey | NoSuchVersion |
 *   MethodNotAllowed (a delete marker) | InvalidArgument (date, version id) | MalformedXML | AccessDenied (locked)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html
 */
export async function putObjectRetention(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  requireDigest(request.body);
  const retention = await readRetention(request);
  await request.authorizeWithBody(bodyLockConditions(retention === undefined ? {} : { retention }, request.nowMs));
  requireObjectLock(bucket);
  const address = { bucket, key: request.key, versionId: request.query.get('versionId') };
  const { versionId } = await services.objects.changeVersion(address, {
    member: 'retention',
    retention,
    bypassesGovernance: bypassesGovernance(request.headers),
  });
  const headers = {};
  addVersionId(headers, bucket, versionId);
  return { status: 200, headers };
}
