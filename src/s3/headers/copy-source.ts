import { S3Error } from '../../errors/s3-error.ts';

export interface CopySource {
  bucket: string;
  key: string;
  versionId: string | undefined;
}

const VERSION_ID = '?versionId=';

/**
 * `x-amz-copy-source`: `/bucket/key` or `bucket/key`, percent-encoded (also the slashes), optionally followed by
 * `?versionId=`. As on AWS a `+` stands for a space: clients that mean a plus sign send `%2B`, and programs that encode
 * with Java's URLEncoder send spaces that way.
 *
 * @throws S3Error InvalidArgument for anything that does not name a bucket and a key
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
 */
export function parseCopySource(value: string): CopySource {
  const versionStart = value.lastIndexOf(VERSION_ID);
  const path = decode(versionStart === -1 ? value : value.slice(0, versionStart), value);
  const versionId = versionStart === -1 ? undefined : decode(value.slice(versionStart + VERSION_ID.length), value);
  if (versionId === '') throw invalidCopySource(value, 'Version id cannot be the empty string');
  const start = path.startsWith('/') ? 1 : 0;
  const slash = path.indexOf('/', start);
  if (slash <= start || slash === path.length - 1) throw invalidCopySource(value);
  const bucket = path.slice(start, slash);
  if (bucket.startsWith('arn:')) throw new S3Error('NotImplemented', { message: 'Access points are not implemented' });
  const key = path.slice(slash + 1);
  if (Buffer.byteLength(key) > 1024) throw new S3Error('KeyTooLongError', { details: { MaxSizeAllowed: 1024 } });
  return { bucket, key, versionId };
}

function decode(text: string, whole: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw invalidCopySource(whole, 'Copy Source must be URL encoded UTF-8', cause);
  }
}

function invalidCopySource(
  value: string,
  message = 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
  cause?: unknown,
): S3Error {
  return new S3Error('InvalidArgument', {
    message,
    details: { ArgumentName: 'x-amz-copy-source', ArgumentValue: value },
    ...(cause === undefined ? {} : { cause }),
  });
}
