import { CHECKSUM_ALGORITHMS } from '../../checksums/checksum-algorithms.ts';
import type { S3Services } from '../../service/services.ts';
import { addEncryptionHeaders, readUploadPermit } from '../headers/encryption.ts';
import { readPartNumber } from '../headers/whole-number.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * Stores one part of an upload, of at most 5 GiB; one of the same number is replaced. The bytes take the same way as
 * those of PutObject.
 *
 * @throws S3Error NoSuchBucket | NoSuchUpload | InvalidArgument (part number) | InvalidRequest (another checksum than the
 *   upload's) | MissingContentLength | EntityTooLarge | IncompleteBody | BadDigest | XAmzContentSHA256Mismatch
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
 */
export async function uploadPart(request: S3Request, services: S3Services): Promise<S3Response> {
  const part = await services.multipart.uploadPart({
    bucket: await services.buckets.requireBucket(request.bucket),
    key: request.key,
    uploadId: request.query.get('uploadId') ?? '',
    partNumber: readPartNumber(request.query.get('partNumber') ?? ''),
    body: request.body,
    ...readUploadPermit(request, services),
  });
  const headers: Record<string, string | number> = { etag: `"${part.etag}"` };
  addEncryptionHeaders(headers, part.facts);
  if (part.checksum) headers[CHECKSUM_ALGORITHMS.get(part.checksum.algorithm)!.headerName] = part.checksum.value;
  return { status: 200, headers };
}
