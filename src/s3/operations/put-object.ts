import { checkLockedUpload } from '../../service/lock-rules.ts';
import { addChecksum } from '../headers/checksums.ts';
import { readWriteConditions } from '../headers/conditions.ts';
import { addEncryptionHeaders, readEncryptionWish } from '../headers/encryption.ts';
import { addExpiration } from '../headers/lifecycle-headers.ts';
import { readObjectHeaders } from '../headers/object-headers.ts';
import { readObjectLock } from '../headers/object-lock-headers.ts';
import { readTaggingHeader } from '../headers/tagging-header.ts';
import { readUserMetadata } from '../headers/user-metadata.ts';
import type { S3Request, S3Response } from '../operation.ts';
import type { S3Services } from '../../service/services.ts';

/**
 * Stores the body of the request under a key.
 *
 * What happens to the bytes: the pipeline has authenticated and authorized the request, and `request.body` decodes the
 * framing as it is read. `ObjectService.putObject` streams it into erasure-coded stripes on the disks while it is
 * hashed, compares every digest the client claimed, waits until every disk of the volume has synced, and then commits
 * the object's row, with the conditions below, to the journals of at least m + 1 disks. Only then is it answered 200.
 * If anything fails before that, the key keeps what it had and the bytes written so far are garbage to be collected.
 *
 * @throws S3Error NoSuchBucket | MissingContentLength | EntityTooLarge | IncompleteBody | BadDigest |
 *   XAmzContentSHA256Mismatch | MetadataTooLarge | InvalidTag | InvalidArgument | InvalidRequest (lock) | PreconditionFailed | NoSuchKey
 *   (If-Match on a missing key)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
 */
export async function putObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const bucket = await services.buckets.requireBucket(request.bucket);
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
    preconditions: readWriteConditions(request.headers),
    encryption: readEncryptionWish(request, services),
  });
  const headers: Record<string, string | number> = { etag: `"${written.etag}"` };
  addChecksum(headers, written.checksum);
  addEncryptionHeaders(headers, written.encryption);
  if (written.versionId !== 'null') headers['x-amz-version-id'] = written.versionId;
  const { sizeBytes, lastModifiedMs } = written;
  addExpiration(headers, bucket, { key: request.key, sizeBytes, tags, lastModifiedMs });
  return { status: 200, headers };
}
