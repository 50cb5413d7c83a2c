import { S3Error } from '../../errors/s3-error.ts';
import type { BucketRecord, Tag } from '../../model/object-record.ts';
import type { S3Services } from '../../service/services.ts';
import { checkTags } from '../../service/tag-rules.ts';
import { bodyTagConditions } from '../request-conditions.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readVerifiedBody } from '../xml/read-xml-body.ts';
import { readXml } from '../xml/read-xml.ts';
import { readTagSet, TAG_SET } from '../xml/tagging-xml.ts';
import { xmlGroup, xmlText } from '../xml/write-xml.ts';
import { structure } from '../xml/xml-schema.ts';
import { CONTROL_NAMESPACE, controlDocument, requireAccountId } from './control-request.ts';

const REQUEST = structure({ Tags: TAG_SET });
const PATH = /\/tags\/([^/]+)$/;
const BUCKET_ARN = /^arn:aws:s3:::([a-z0-9.-]+)$/;

/**
 * @throws S3Error NoSuchBucket | AccessDenied | InvalidRequest (no bucket's ARN)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListTagsForResource.html
 */
export async function listTagsForResource(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await authorizedBucket(request, services);
  const tags = (bucket.configuration.tagging ?? []).map(({ key, value }) =>
    xmlGroup('Tag', xmlText('Key', key) + xmlText('Value', value)),
  );
  return controlDocument('ListTagsForResourceResult', xmlGroup('Tags', tags.join('')));
}

/**
 * Adds tags to those that are there; one of the same key is replaced.
 *
 * @throws S3Error NoSuchBucket | AccessDenied | InvalidRequest | MalformedXML | InvalidTag | BadRequest | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_TagResource.html
 */
export async function tagResource(request: S3Request, services: S3Services): Promise<S3Response> {
  const bytes = await readVerifiedBody(request);
  const { Tags: tagSet } = readXml(bytes, REQUEST, { root: 'TagResourceRequest', namespace: CONTROL_NAMESPACE });
  if (tagSet === undefined) throw new S3Error('MalformedXML');
  const added = readTagSet(tagSet, 'bucket');
  const bucket = await authorizedBucket(request, services, added);
  const kept = (bucket.configuration.tagging ?? []).filter(({ key }) => added.every((tag) => tag.key !== key));
  await setTags(bucket, [...kept, ...added], services);
  return { status: 204 };
}

/**
 * @throws S3Error NoSuchBucket | AccessDenied | InvalidRequest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_UntagResource.html
 */
export async function untagResource(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await authorizedBucket(request, services);
  const removed = new Set(request.queryPairs.filter(({ name }) => name === 'tagKeys').map(({ value }) => value));
  const before = bucket.configuration.tagging ?? [];
  await setTags(
    bucket,
    before.filter(({ key }) => !removed.has(key)),
    services,
  );
  return { status: 204 };
}

async function setTags(bucket: BucketRecord, tags: readonly Tag[], { buckets }: S3Services): Promise<void> {
  checkTags(tags, 'bucket');
  if (tags.length > 0) await buckets.putConfiguration(bucket, { name: 'tagging', value: tags });
  else if (bucket.configuration.tagging !== undefined) await buckets.deleteConfiguration(bucket, 'tagging');
}

/** The bucket that the path names, once the caller may do this to it. It must be of the account that is named. */
async function authorizedBucket(
  request: S3Request,
  { buckets }: S3Services,
  added: readonly Tag[] = [],
): Promise<BucketRecord> {
  const accountId = requireAccountId(request);
  const arn = decodeArn(PATH.exec(request.resource)?.[1] ?? '');
  const name = BUCKET_ARN.exec(arn)?.[1];
  if (name === undefined) {
    throw new S3Error('InvalidRequest', { message: 'Only buckets have tags here: arn:aws:s3:::BUCKET' });
  }
  await request.authorize(request.operation.action, { bucket: name }, bodyTagConditions(added));
  const bucket = await buckets.requireBucket(name);
  if (bucket.owner.accountId !== accountId) throw new S3Error('AccessDenied');
  return bucket;
}

function decodeArn(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new S3Error('InvalidURI');
  }
}
