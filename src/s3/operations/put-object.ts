import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { storeObject } from '../store-object.ts';

/**
 * Stores the body of the request under a key.
 *
 * What happens to the bytes: the pipeline has authenticated and authorized the request, and `request.body` decodes the
 * framing as it is read. `ObjectService.putObject` streams it into erasure-coded stripes on the disks while it is
 * hashed, compares every digest the client claimed, waits until every disk of the volume has synced, and then commits
 * the object's row, with its conditions, to the journals of at least m + 1 disks. Only then is it answered 200.
 * If anything fails before that, the key keeps what it had and the bytes written so far are garbage to be collected.
 *
 * @throws S3Error NoSuchBucket | MissingContentLength | EntityTooLarge | IncompleteBody | BadDigest |
 *   XAmzContentSHA256Mismatch | MetadataTooLarge | InvalidTag | InvalidArgument | InvalidRequest (lock) | PreconditionFailed | NoSuchKey
 *   (If-Match on a missing key) | InvalidWriteOffset | TooManyParts | EncryptionTypeMismatch | ConditionalRequestConflict |
 *   NotImplemented (an append to a bucket with versions)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
 */
export async function putObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const { headers } = await storeObject(request, services);
  return { status: 200, headers };
}
