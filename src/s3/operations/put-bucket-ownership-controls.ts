import { S3Error } from '../../errors/s3-error.ts';
import { OBJECT_OWNERSHIPS } from '../../model/access-control.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';
import { list, structure, text } from '../xml/xml-schema.ts';

const CONTROLS = structure({ Rule: list(structure({ ObjectOwnership: text })) });

/**
 * Who owns what is uploaded from now on. ACLs can be disabled only when the bucket's own gives nothing to others.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | InvalidBucketAclWithObjectOwnership | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html
 */
export async function putBucketOwnershipControls(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const { Rule: rules } = await readXmlBody(request, CONTROLS);
  const value = OBJECT_OWNERSHIPS.find((ownership) => ownership === rules[0]?.ObjectOwnership);
  if (rules.length !== 1 || value === undefined) throw new S3Error('MalformedXML');
  if (value === 'BucketOwnerEnforced' && bucket.configuration.acl !== undefined) {
    throw new S3Error('InvalidBucketAclWithObjectOwnership');
  }
  await services.buckets.putConfiguration(bucket, { name: 'ownershipControls', value });
  return { status: 200 };
}
