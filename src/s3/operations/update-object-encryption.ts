import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import { addVersionId } from '../headers/version-id.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';
import { structure, text } from '../xml/xml-schema.ts';

const OBJECT_ENCRYPTION = structure({ 'SSE-KMS': structure({ KMSKeyArn: text, BucketKeyEnabled: text }) });
const KEY_ARN = /^arn:aws[-a-z0-9]*:kms:[-a-z0-9]*:\d{12}:key\/.+$/;

/**
 * Changes the encryption of a version from SSE-S3 to SSE-KMS, to another KMS key, or to an S3 Bucket Key and back: its data
 * key is sealed anew, its bytes are not touched. Beside the row's action the caller needs `kms:Encrypt`, `kms:Decrypt`,
 * `kms:GenerateDataKey` and `kms:ReEncryptTo` for the new key, `kms:Decrypt` and `kms:ReEncryptFrom` for the former one.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | MethodNotAllowed (a delete marker) | MalformedXML |
 *   InvalidRequest (key ARN, encryption of the source) | AccessDenied (lock, another account's key) | KMS.*
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateObjectEncryption.html
 */
export async function updateObjectEncryption(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const { 'SSE-KMS': wanted } = await readXmlBody(request, OBJECT_ENCRYPTION);
  if (!request.isSigned) {
    throw invalidRequest(
      'Requests that modify an object encryption configuration require AWS Signature Version 4. Modify the request to use AWS Signature Version 4, and then try again.',
    );
  }
  if (wanted === undefined) {
    throw invalidRequest(
      'Requests that modify an object encryption configuration require a valid new encryption type. Valid values are SSEKMS. Modify the request to specify SSE-KMS for the updated encryption type, and then try again.',
    );
  }
  const { versionId } = await services.objects.updateEncryption({
    bucket,
    key: request.key,
    versionId: request.query.get('versionId'),
    keyArn: readKeyArn(wanted.KMSKeyArn),
    bucketKeyEnabled: readBoolean(wanted.BucketKeyEnabled ?? 'false'),
    authorizeKey: (action, keyArn) => request.authorizeKey(action, keyArn),
  });
  const headers = {};
  addVersionId(headers, bucket, versionId);
  return { status: 200, headers };
}

/** Neither ids nor aliases, as AWS has it. */
function readKeyArn(keyArn: string | undefined): string {
  if (keyArn === undefined || keyArn === '') {
    throw invalidRequest(
      "Requests that modify an object's encryption type to SSE-KMS require an AWS KMS key Amazon Resource Name (ARN). Modify the request to specify a KMS key ARN, and then try again.",
    );
  }
  if (!KEY_ARN.test(keyArn)) {
    throw invalidRequest(
      "Requests that modify an object's encryption type to SSE-KMS require a valid AWS KMS key Amazon Resource Name (ARN). Confirm that you have a correctly formatted KMS key ARN in your request, and then try again.",
    );
  }
  return keyArn;
}

function readBoolean(value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  throw invalidRequest(
    "The BucketKeyEnabled value isn't valid. Valid values are true or false. Modify the request to specify a valid value, and then try again.",
  );
}

function invalidRequest(message: string): S3Error {
  return new S3Error('InvalidRequest', { message });
}
