import { S3Error } from '../../errors/s3-error.ts';
import type { BucketEncryption } from '../../model/bucket-encryption.ts';
import type { BucketEncryptionRule } from '../../service/bucket-encryption.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';
import { list, structure, text, type XmlResult } from '../xml/xml-schema.ts';

const RULE = structure({
  ApplyServerSideEncryptionByDefault: structure({ SSEAlgorithm: text, KMSMasterKeyID: text }),
  BlockedEncryptionTypes: structure({ EncryptionType: list(text) }),
  BucketKeyEnabled: text,
});
const CONFIGURATION = structure({ Rule: list(RULE) });

/**
 * Says how objects are encrypted that do not say it themselves, and whether uploads with SSE-C are refused. As on AWS
 * nobody looks whether the KMS key exists: uploads will.
 *
 * @throws S3Error NoSuchBucket | MalformedXML | InvalidArgument | NotImplemented (aws:kms:dsse)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html
 */
export async function putBucketEncryption(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const { Rule: rules } = await readXmlBody(request, CONFIGURATION);
  const [rule] = rules;
  if (rule === undefined || rules.length > 1) throw new S3Error('MalformedXML');
  await services.bucketEncryption.put(bucket, readRule(rule));
  return { status: 200 };
}

function readRule(rule: XmlResult<typeof RULE>): BucketEncryptionRule {
  const { ApplyServerSideEncryptionByDefault: byDefault, BlockedEncryptionTypes: blocked } = rule;
  if (byDefault === undefined && blocked === undefined && rule.BucketKeyEnabled === undefined) {
    throw new S3Error('MalformedXML');
  }
  return {
    default: byDefault && readDefault(byDefault),
    bucketKeyEnabled: readBoolean(rule.BucketKeyEnabled ?? 'false'),
    blocksCustomerKeys: blocked && readBlocked(blocked.EncryptionType),
  };
}

function readDefault(byDefault: { SSEAlgorithm?: string; KMSMasterKeyID?: string }): BucketEncryption['default'] {
  const { SSEAlgorithm: algorithm, KMSMasterKeyID: keyId } = byDefault;
  switch (algorithm) {
    case 'aws:kms':
      return { algorithm, ...(keyId === undefined || keyId === '' ? {} : { keyId }) };
    case 'AES256':
      if (keyId === undefined) return { algorithm };
      throw new S3Error('InvalidArgument', {
        message: 'a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse',
        details: { ArgumentName: 'ApplyServerSideEncryptionByDefault' },
      });
    case 'aws:kms:dsse':
    case 'aws:fsx':
    case 'aws:backup':
      throw new S3Error('NotImplemented', {
        message: `The default encryption ${algorithm} is not implemented`,
        details: { SSEAlgorithm: algorithm },
      });
    default:
      throw new S3Error('MalformedXML');
  }
}

function readBoolean(value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new S3Error('MalformedXML');
}

function readBlocked(types: readonly string[]): boolean {
  if (types.length === 0 || types.some((type) => type !== 'NONE' && type !== 'SSE-C'))
    throw new S3Error('MalformedXML');
  if (types.length > 1 && types.includes('NONE')) {
    throw new S3Error('InvalidArgument', { message: 'NONE cannot stand beside other encryption types.' });
  }
  return types.includes('SSE-C');
}
