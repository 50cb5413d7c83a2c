import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readTagging } from '../xml/tagging-xml.ts';

/**
 * Replaces the tags of a bucket; an empty set deletes them.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | InvalidTag | BadRequest (more than fifty)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html
 */
export async function putBucketTagging(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const tags = await readTagging(request, 'bucket');
  if (tags.length === 0) await services.buckets.deleteConfiguration(bucket, 'tagging');
  else await services.buckets.putConfiguration(bucket, { name: 'tagging', value: tags });
  return { status: 204 };
}
