import { S3Error } from '../../errors/s3-error.ts';
import type { BucketEncryption } from '../../model/bucket-encryption.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Answers how objects are encrypted that do not say it themselves. Unlike AWS, which encrypts everything, this server
 * has buckets that encrypt nothing by default; for those it answers what AWS did before.
 *
 * @throws S3Error NoSuchBucket | ServerSideEncryptionConfigurationNotFoundError
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html
 */
export async function getBucketEncryption(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const encryption = services.bucketEncryption.read(bucket);
  if (encryption === undefined) {
    throw new S3Error('ServerSideEncryptionConfigurationNotFoundError', { details: { BucketName: request.bucket } });
  }
  return xmlResponse(xmlDocument('ServerSideEncryptionConfiguration', ruleXml(encryption)));
}

function ruleXml({ default: byDefault, bucketKeyEnabled, blocksCustomerKeys }: BucketEncryption): string {
  const keyId = byDefault?.algorithm === 'aws:kms' ? byDefault.keyId : undefined;
  return xmlGroup(
    'Rule',
    (byDefault === undefined
      ? ''
      : xmlGroup(
          'ApplyServerSideEncryptionByDefault',
          xmlText('SSEAlgorithm', byDefault.algorithm) + xmlOptional('KMSMasterKeyID', keyId),
        )) +
      xmlGroup('BlockedEncryptionTypes', xmlText('EncryptionType', blocksCustomerKeys ? 'SSE-C' : 'NONE')) +
      xmlText('BucketKeyEnabled', bucketKeyEnabled),
  );
}
