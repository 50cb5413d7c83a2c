import { S3Error } from '../../errors/s3-error.ts';
import { requireObjectLock } from '../../service/lock-rules.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { legalHoldXml } from '../xml/object-lock-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | InvalidRequest (no Object Lock) | NoSuchKey | NoSuchVersion | MethodNotAllowed (a
 *   delete marker) | InvalidArgument | NoSuchObjectLockConfiguration (there never was a hold)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html
 */
export async function getObjectLegalHold(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  requireObjectLock(bucket);
  const versionId = request.query.get('versionId');
  const { legalHold } = await services.objects.headObject({ bucket, key: request.key, versionId });
  if (legalHold === undefined) throw new S3Error('NoSuchObjectLockConfiguration');
  return xmlResponse(legalHoldXml(legalHold));
}
