import { S3Error } from '../../errors/s3-error.ts';
import { requireObjectLock } from '../../service/lock-rules.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { retentionXml } from '../xml/object-lock-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * @throws S3Error NoSuchBucket | InvalidRequest (no Object Lock) | NoSuchKey | NoSuchVersion | MethodNotAllowed (a
 *   delete marker) | InvalidArgument | NoSuchObjectLockConfiguration (no retention)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html
 */
export async function getObjectRetention(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  requireObjectLock(bucket);
  const versionId = request.query.get('versionId');
  const { retention } = await services.objects.headObject({ bucket, key: request.key, versionId });
  if (retention === undefined) throw new S3Error('NoSuchObjectLockConfiguration');
  return xmlResponse(retentionXml(retention));
}
