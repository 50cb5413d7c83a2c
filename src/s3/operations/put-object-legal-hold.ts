import { requireDigest, requireObjectLock } from '../../service/lock-rules.ts';
import type { S3Services } from '../../service/services.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { bodyLockConditions } from '../request-conditions.ts';
import { readLegalHold } from '../xml/object-lock-xml.ts';

/**
 * Places or removes the legal hold of a version.
 *
 * @throws S3Error NoSuchBucket | InvalidRequest (no Object Lock, no digest) | NoSuchKey | NoSuchVersion |
 *   MethodNotAllowed (a delete marker) | InvalidArgument | MalformedXML
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html
 */
export async function putObjectLegalHold(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  requireDigest(request.body);
  const legalHold = await readLegalHold(request);
  await request.authorizeWithBody(bodyLockConditions({ legalHold }, request.nowMs));
  requireObjectLock(bucket);
  const address = { bucket, key: request.key, versionId: request.query.get('versionId') };
  const { versionId } = await services.objects.changeVersion(address, { member: 'legalHold', legalHold });
  const headers = {};
  addVersionId(headers, bucket, versionId);
  return { status: 200, headers };
}
