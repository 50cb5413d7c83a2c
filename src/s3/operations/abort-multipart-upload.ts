import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Gives an upload up; its parts are reclaimed.
 *
 * @throws S3Error NoSuchBucket | NoSuchUpload
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
 */
export async function abortMultipartUpload(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.multipart.abortUpload({
    bucket: await services.buckets.requireBucket(request.bucket),
    key: request.key,
    uploadId: request.query.get('uploadId') ?? '',
  });
  return { status: 204 };
}
