import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';
import { structure, text } from '../xml/xml-schema.ts';

const CONFIGURATION = structure({
  BlockPublicAcls: text,
  IgnorePublicAcls: text,
  BlockPublicPolicy: text,
  RestrictPublicBuckets: text,
});

/**
 * Replaces all four settings; one that is not named is off.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | MissingRequestBodyError | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html
 */
export async function putPublicAccessBlock(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const body = await readXmlBody(request, CONFIGURATION);
  const value = {
    blockPublicAcls: readBoolean(body.BlockPublicAcls),
    ignorePublicAcls: readBoolean(body.IgnorePublicAcls),
    blockPublicPolicy: readBoolean(body.BlockPublicPolicy),
    restrictPublicBuckets: readBoolean(body.RestrictPublicBuckets),
  };
  await services.buckets.putConfiguration(bucket, { name: 'publicAccessBlock', value });
  return { status: 200 };
}

function readBoolean(value: string | undefined): boolean {
  const word = value?.trim().toLowerCase() ?? 'false';
  if (word !== 'true' && word !== 'false') throw new S3Error('MalformedXML');
  return word === 'true';
}
