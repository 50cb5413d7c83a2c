import { S3Error } from '../../errors/s3-error.ts';
import type { BucketRecord, UploadRecord } from '../../model/object-record.ts';
import { encryptionFacts } from './encryption-record.ts';
import { customerKeysBlocked, type EncryptionService } from './encryption-service.ts';
import type { ReadPermit } from './read-sealed.ts';
import type { VersionSealing } from './version-sealing.ts';

/**
 * The data key of an upload, for a part or its completion; `undefined`: it is not encrypted. Every request of an upload
 * with a customer's key brings the same key.
 *
 * @throws S3Error InvalidRequest (no key, another key, or one that is not wanted) | AccessDenied (SSE-C was blocked
 *   meanwhile) | KMS.*
 * @throws StoreError KeysUnavailable
 */
export async function openUpload(
  service: EncryptionService,
  { upload, bucket }: { upload: UploadRecord; bucket: BucketRecord },
  { customerKey, authorizeKey }: ReadPermit,
): Promise<VersionSealing | undefined> {
  const { encryption, bucketId, key } = upload;
  const isCustomers = encryptionFacts(encryption)?.mode === 'SSE-C';
  if (isCustomers !== (customerKey !== undefined)) {
    throw new S3Error('InvalidRequest', {
      message:
        'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.',
    });
  }
  if (encryption === undefined) return undefined;
  if (isCustomers && bucket.configuration.encryption?.blocksCustomerKeys === true)
    throw customerKeysBlocked(bucket.name);
  try {
    return await service.open({ bucketId, key, versionId: undefined, encryption, customerKey, authorizeKey });
  } catch (error) {
    if (!isCustomers || !(error instanceof S3Error) || error.code !== 'AccessDenied') throw error;
    throw new S3Error('InvalidRequest', {
      message: 'The provided encryption parameters did not match the ones used originally.',
      cause: error,
    });
  }
}
