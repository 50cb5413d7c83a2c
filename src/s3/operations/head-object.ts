import { readReadPermit } from '../headers/encryption.ts';
import { addGuardedHeaders } from '../headers/guarded-headers.ts';
import { addExpiration } from '../headers/lifecycle-headers.ts';
import { objectAnswer, readAnswerOverrides, selectBytes, wantsChecksum } from '../headers/object-answer.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import type { S3Services } from '../../service/services.ts';

/**
 * Answers what GetObject would, without the bytes.
 *
 * @throws S3Error as GetObject; the pipeline sends errors of HEAD without a body
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
 */
export async function headObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const overrides = readAnswerOverrides(request);
  const bucket = await services.buckets.requireBucket(request.bucket);
  const versionId = request.query.get('versionId');
  const address = { bucket, key: request.key, versionId, ...readReadPermit(request, services) };
  const object = await services.objects.inspectObject(address, wantsChecksum(request));
  const answer = objectAnswer(request, object, selectBytes(request, object), overrides);
  await addGuardedHeaders(answer.headers, object, request);
  addVersionId(answer.headers, bucket, object.versionId);
  if (!request.query.has('versionId')) addExpiration(answer.headers, bucket, object);
  return answer;
}
