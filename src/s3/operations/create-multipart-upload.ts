import { encryptionFacts } from '../../service/encryption/encryption-record.ts';
import type { S3Services } from '../../service/services.ts';
import { readChecksumAlgorithm, readChecksumType } from '../headers/checksums.ts';
import { addEncryptionHeaders, readEncryptionWish } from '../headers/encryption.ts';
import { addAbortion } from '../headers/lifecycle-headers.ts';
import { readObjectHeaders } from '../headers/object-headers.ts';
import { readObjectLock } from '../headers/object-lock-headers.ts';
import { readTaggingHeader } from '../headers/tagging-header.ts';
import { readUserMetadata } from '../headers/user-metadata.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { uploadOwnership } from '../upload-ownership.ts';
import { xmlDocument, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Begins a multipart upload. Headers, metadata, tags, lock and the checksum of the object to come are decided here.
 *
 * @throws S3Error NoSuchBucket | InvalidRequest (checksum, lock) | MetadataTooLarge | InvalidTag | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
 */
export async function createMultipartUpload(request: S3Request, services: S3Services): Promise<S3Response> {
  const { headers } = request;
  const bucket = await services.buckets.requireBucket(request.bucket);
  const upload = await services.multipart.createUpload({
    bucket,
    key: request.key,
    initiator: request.principal.owner,
    headers: readObjectHeaders(headers),
    userMetadata: readUserMetadata(headers),
    tags: readTaggingHeader(headers),
    lock: readObjectLock(request),
    storageClass: services.storageClasses.choose(request.bucket, headers.get('x-amz-storage-class')),
    ownership: uploadOwnership(request, bucket, services),
    checksumAlgorithm: readChecksumAlgorithm(headers),
    checksumType: readChecksumType(headers),
    encryption: readEncryptionWish(request, services),
  });
  const answerHeaders: Record<string, string | number> = {};
  addAbortion(answerHeaders, bucket, upload);
  addEncryptionHeaders(answerHeaders, encryptionFacts(upload.encryption));
  if (upload.checksumAlgorithm) answerHeaders['x-amz-checksum-algorithm'] = upload.checksumAlgorithm;
  if (upload.checksumType) answerHeaders['x-amz-checksum-type'] = upload.checksumType;
  return xmlResponse(
    xmlDocument(
      'InitiateMultipartUploadResult',
      xmlText('Bucket', request.bucket) + xmlText('Key', request.key) + xmlText('UploadId', upload.uploadId),
    ),
    answerHeaders,
  );
}
