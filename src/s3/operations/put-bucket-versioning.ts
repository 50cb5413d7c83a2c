import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';
import { structure, text } from '../xml/xml-schema.ts';

const VERSIONING_CONFIGURATION = structure({ Status: text, MfaDelete: text });

/**
 * Enables or suspends versioning. From its acknowledgement on every write of the bucket is decided by it. Deletes that
 * ask for a second factor are not implemented: this server has none.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | IllegalVersioningConfigurationException | InvalidBucketState (suspending
 *   under Object Lock) | NotImplemented (MfaDelete)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html
 */
export async function putBucketVersioning(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const { Status: status, MfaDelete: mfaDelete } = await readXmlBody(request, VERSIONING_CONFIGURATION);
  if (mfaDelete === 'Enabled') throw new S3Error('NotImplemented', { message: 'MFA delete is not implemented' });
  if (mfaDelete !== undefined && mfaDelete !== 'Disabled') throw new S3Error('MalformedXML');
  if (status === undefined) throw new S3Error('IllegalVersioningConfigurationException');
  if (status !== 'Enabled' && status !== 'Suspended') throw new S3Error('MalformedXML');
  await services.buckets.putVersioning(bucket, status);
  return { status: 200 };
}
