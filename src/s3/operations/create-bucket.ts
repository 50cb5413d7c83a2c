import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readOptionalXmlBody } from '../xml/read-xml-body.ts';
import { structure, text } from '../xml/xml-schema.ts';

const CREATE_BUCKET_CONFIGURATION = structure({ LocationConstraint: text });

/**
 * @throws S3Error InvalidBucketName | BucketAlreadyExists | BucketAlreadyOwnedByYou | InvalidLocationConstraint |
 *   IllegalLocationConstraintException | MalformedXML
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
 */
export async function createBucket(request: S3Request, services: S3Services): Promise<S3Response> {
  const configuration = await readOptionalXmlBody(request, CREATE_BUCKET_CONFIGURATION);
  await services.buckets.createBucket({
    name: request.bucket,
    owner: request.principal.owner,
    locationConstraint: configuration?.LocationConstraint?.trim(),
  });
  return { status: 200, headers: { location: `/${request.bucket}` } };
}
