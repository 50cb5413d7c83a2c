import { readReadPermit } from '../headers/encryption.ts';
import { addGuardedHeaders } from '../headers/guarded-headers.ts';
import { addExpiration } from '../headers/lifecycle-headers.ts';
import { objectAnswer, readAnswerOverrides, selectBytes } from '../headers/object-answer.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import type { S3Services } from '../../service/services.ts';

/**
 * Answers an object's bytes: all, a single `Range`, or one part. The first piece has been read and verified before the
 * status is sent; what fails later breaks the connection.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | InvalidArgument | PreconditionFailed | NotModified |
 *   InvalidRange | InvalidPartNumber | InvalidRequest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 */
export async function getObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const overrides = readAnswerOverrides(request);
  const bucket = await services.buckets.requireBucket(request.bucket);
  const versionId = request.query.get('versionId');
  const address = { bucket, key: request.key, versionId, ...readReadPermit(request, services) };
  const { object, selection, body } = await services.objects.getObject(address, (found) => selectBytes(request, found));
  const { status, headers } = objectAnswer(request, object, selection, overrides);
  try {
    await addGuardedHeaders(headers, object, request);
  } catch (error) {
    if (!Buffer.isBuffer(body)) await body.return?.();
    throw error;
  }
  addVersionId(headers, bucket, object.versionId);
  if (address.versionId === undefined) addExpiration(headers, bucket, object);
  return { status, headers, body };
}
