import { S3Error } from '../../errors/s3-error.ts';
import type { TransitionMinimumSize } from '../../model/lifecycle-configuration.ts';
import { DEFAULT_TRANSITION_MINIMUM_SIZE } from '../../service/lifecycle/lifecycle-service.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { LIFECYCLE_CONFIGURATION, readLifecycleRules } from '../xml/lifecycle-xml.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';

const MINIMUM_SIZE = 'x-amz-transition-default-minimum-object-size';

/**
 * Replaces the bucket's lifecycle rules.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | InvalidArgument | InvalidRequest (rules that make no sense, no checksum of
 *   the body) | InvalidTag | InvalidStorageClass (a class that this server does not have) | BadDigest | NotImplemented
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
 */
export async function putBucketLifecycleConfiguration(request: S3Request, services: S3Services): Promise<S3Response> {
  if (!request.body.expectations.some(({ kind }) => kind !== 'payload-sha256')) {
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    });
  }
  const transitionMinimumSize = readMinimumSize(request.headers.get(MINIMUM_SIZE));
  const bucket = await services.buckets.requireBucket(request.bucket);
  const rules = readLifecycleRules(await readXmlBody(request, LIFECYCLE_CONFIGURATION));
  await services.lifecycle.putRules(bucket, { rules, transitionMinimumSize });
  return { status: 200, headers: { [MINIMUM_SIZE]: transitionMinimumSize } };
}

function readMinimumSize(value: string | undefined): TransitionMinimumSize {
  if (value === undefined) return DEFAULT_TRANSITION_MINIMUM_SIZE;
  if (value === 'all_storage_classes_128K' || value === 'varies_by_storage_class') return value;
  throw new S3Error('InvalidRequest', { message: `Invalid TransitionDefaultMinimumObjectSize found: ${value}` });
}
