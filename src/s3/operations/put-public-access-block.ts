import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { PUBLIC_ACCESS_BLOCK, readPublicAccessBlock } from '../xml/public-access-block-xml.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';

/**
 * Replaces all four settings; one that is not named is off.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | MissingRequestBodyError | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html
 */
export async function putPublicAccessBlock(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const value = readPublicAccessBlock(await readXmlBody(request, PUBLIC_ACCESS_BLOCK));
  await services.buckets.putConfiguration(bucket, { name: 'publicAccessBlock', value });
  return { status: 200 };
}
