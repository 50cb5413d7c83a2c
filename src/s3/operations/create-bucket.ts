import { S3Error } from '../../errors/s3-error.ts';
import { OBJECT_OWNERSHIPS, type ObjectOwnership } from '../../model/access-control.ts';
import type { BucketConfiguration } from '../../model/bucket-configuration.ts';
import type { S3Services } from '../../service/services.ts';
import { readAclHeaders } from '../headers/acl-headers.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readOptionalXmlBody } from '../xml/read-xml-body.ts';
import { readTagSet, TAG_SET } from '../xml/tagging-xml.ts';
import { structure, text } from '../xml/xml-schema.ts';

const CREATE_BUCKET_CONFIGURATION = structure({ LocationConstraint: text, Tags: TAG_SET });
const OWNERSHIP = 'x-amz-object-ownership';
const OBJECT_LOCK_ENABLED = 'x-amz-bucket-object-lock-enabled';

/**
 * Makes a bucket; with Object Lock it is versioned, too. Lock and tags need a permission of their own.
 *
 * @throws S3Error InvalidBucketName | BucketAlreadyExists | BucketAlreadyOwnedByYou | InvalidLocationConstraint |
 *   IllegalLocationConstraintException | MalformedXML | InvalidTag | InvalidArgument |
 *   InvalidBucketAclWithObjectOwnership | InvalidBucketAclWithBlockPublicAccessError
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
 */
export async function createBucket(request: S3Request, services: S3Services): Promise<S3Response> {
  const body = await readOptionalXmlBody(request, CREATE_BUCKET_CONFIGURATION);
  const tagging = body?.Tags === undefined ? [] : readTagSet(body.Tags, 'bucket');
  const hasObjectLock = readBoolean(request.headers.get(OBJECT_LOCK_ENABLED));
  if (tagging.length > 0) await request.authorize('s3:TagResource', { bucket: request.bucket });
  const configuration: BucketConfiguration = {
    ...(tagging.length > 0 ? { tagging } : {}),
    ...(hasObjectLock ? { versioning: { status: 'Enabled' }, objectLock: {} } : {}),
  };
  const { owner } = request.principal;
  const access = services.accessControl.ofNewBucket(
    owner,
    readOwnership(request.headers.get(OWNERSHIP)),
    readAclHeaders(request.headers),
    services.buckets.blockOfNewBuckets,
  );
  await services.buckets.createBucket({
    name: request.bucket,
    owner,
    locationConstraint: body?.LocationConstraint?.trim(),
    configuration: { ...configuration, ...access },
  });
  return { status: 200, headers: { location: `/${request.bucket}` } };
}

function readOwnership(value: string | undefined): ObjectOwnership | undefined {
  const known = OBJECT_OWNERSHIPS.find((ownership) => ownership === value);
  if (value === undefined || known !== undefined) return known;
  throw new S3Error('InvalidArgument', { details: { ArgumentName: OWNERSHIP, ArgumentValue: value } });
}

function readBoolean(value = 'false'): boolean {
  const lower = value.toLowerCase();
  if (lower === 'true' || lower === 'false') return lower === 'true';
  throw new S3Error('InvalidArgument', {
    details: { ArgumentName: OBJECT_LOCK_ENABLED, ArgumentValue: value },
  });
}
