import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readCors } from '../xml/cors-xml.ts';

/**
 * @throws S3Error NoSuchBucket | MalformedXML | InvalidRequest | MissingRequestBodyError | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
 */
export async function putBucketCors(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  await services.buckets.putConfiguration(bucket, { name: 'cors', value: await readCors(request) });
  return { status: 200 };
}
