import { checkBucketPolicy } from '../../access/check-bucket-policy.ts';
import { isPublicPolicy } from '../../access/policy/is-public-policy.ts';
import type { Policy } from '../../access/policy/policy-document.ts';
import { PolicyError } from '../../access/policy/policy-error.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readPolicyBody } from '../read-policy-body.ts';

/**
 * @throws S3Error NoSuchBucket | MalformedPolicy | AccessDenied (a public policy where those are blocked) |
 *   MissingRequestBodyError | MaxMessageLengthExceeded | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
 */
export async function putBucketPolicy(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const document = await readPolicyBody(request);
  const policy = readPolicy(document, request.bucket);
  if (services.accessControl.blocksPublicPolicy(bucket) && isPublicPolicy(policy)) {
    throw new S3Error('AccessDenied', {
      message: 'The policy is public, and public policies are blocked by the BlockPublicPolicy setting.',
    });
  }
  const bindsOwner = request.headers.get('x-amz-confirm-remove-self-bucket-access')?.toLowerCase() === 'true';
  await services.buckets.putConfiguration(bucket, { name: 'policy', value: { document, bindsOwner } });
  return { status: 204 };
}

function readPolicy(document: string, bucketName: string): Policy {
  try {
    return checkBucketPolicy(document, bucketName);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new S3Error('MalformedPolicy', { message: error.message, cause: error });
  }
}
