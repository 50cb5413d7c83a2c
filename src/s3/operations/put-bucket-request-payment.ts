import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';
import { structure, text } from '../xml/xml-schema.ts';

const CONFIGURATION = structure({ Payer: text });

/**
 * With `Requester`, other accounts must say on each request that they pay, and nobody is anonymous. Nothing is billed
 * here: what the server counts by account is the bill's business.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html
 */
export async function putBucketRequestPayment(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const { Payer: payer } = await readXmlBody(request, CONFIGURATION);
  if (payer === 'Requester') {
    await services.buckets.putConfiguration(bucket, { name: 'requestPayment', value: 'Requester' });
  } else if (payer === 'BucketOwner') {
    await services.buckets.deleteConfiguration(bucket, 'requestPayment');
  } else {
    throw new S3Error('MalformedXML');
  }
  return { status: 200 };
}
