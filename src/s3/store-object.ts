import type { S3Services } from '../service/services.ts';
import { checkLockedUpload } from '../service/lock-rules.ts';
import type { PutObjectRequest, WrittenObject } from '../service/objects.ts';
import { addChecksum } from './headers/checksums.ts';
import { readWriteConditions } from './headers/conditions.ts';
import { addEncryptionHeaders, readEncryptionWish } from './headers/encryption.ts';
import { addExpiration } from './headers/lifecycle-headers.ts';
import { readObjectHeaders } from './headers/object-headers.ts';
import { readObjectLock } from './headers/object-lock-headers.ts';
import { readTaggingHeader } from './headers/tagging-header.ts';
import { readUserMetadata } from './headers/user-metadata.ts';
import { readWholeNumber } from './headers/whole-number.ts';
import type { S3Request } from './operation.ts';
import { uploadOwnership } from './upload-ownership.ts';

const WRITE_OFFSET = 'x-amz-write-offset-bytes';

/**
 * What PutObject and PostObject have in common: the body under the key, as the headers say.
 *
 * @throws S3Error as PutObject
 */
export async function storeObject(
  request: S3Request,
  services: S3Services,
): Promise<{ written: WrittenObject; headers: Record<string, string | number> }> {
  const bucket = await services.buckets.requireBucket(request.bucket);
  const ownership = uploadOwnership(request, bucket, services);
  const tags = readTaggingHeader(request.headers);
  const lock = readObjectLock(request);
  checkLockedUpload(bucket, lock, request.body);
  const written = await services.objects.putObject({
    bucket,
    key: request.key,
    body: request.body,
    headers: readObjectHeaders(request.headers),
    userMetadata: readUserMetadata(request.headers),
    tags,
    lock,
    storageClass: services.storageClasses.choose(request.bucket, request.headers.get('x-amz-storage-class')),
    ownership,
    preconditions: readWriteConditions(request.headers),
    encryption: readEncryptionWish(request, services),
    append: readAppend(request.headers),
  });
  const headers: Record<string, string | number> = { etag: `"${written.etag}"` };
  addChecksum(headers, written.checksum, written.partsCount);
  if (request.headers.has(WRITE_OFFSET)) headers['x-amz-object-size'] = written.sizeBytes;
  addEncryptionHeaders(headers, written.encryption);
  if (written.versionId !== 'null') headers['x-amz-version-id'] = written.versionId;
  const { sizeBytes, lastModifiedMs } = written;
  addExpiration(headers, bucket, { key: request.key, sizeBytes, tags: written.tags ?? tags, lastModifiedMs });
  return { written, headers };
}

/** `x-amz-write-offset-bytes`: the body is appended. @throws S3Error InvalidArgument */
function readAppend(headers: ReadonlyMap<string, string>): PutObjectRequest['append'] {
  const offset = headers.get(WRITE_OFFSET);
  if (offset === undefined) return undefined;
  const offsetBytes = readWholeNumber(offset, {
    name: WRITE_OFFSET,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    message: 'The write offset must be a whole number of bytes.',
  });
  return { offsetBytes, namedStorageClass: headers.get('x-amz-storage-class') };
}
