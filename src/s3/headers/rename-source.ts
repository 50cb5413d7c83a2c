import { S3Error } from '../../errors/s3-error.ts';

/**
 * `x-amz-rename-source`: the key of an object of the same bucket, percent-encoded, as AWS's clients send it.
 *
 * @throws S3Error InvalidArgument | KeyTooLongError
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html
 */
export function parseRenameSource(value: string): string {
  let key: string;
  try {
    key = decodeURIComponent(value);
  } catch (cause) {
    throw invalidRenameSource(value, 'The rename source must be URL encoded UTF-8', cause);
  }
  if (key === '') throw invalidRenameSource(value, 'The rename source must be the key of an object');
  if (Buffer.byteLength(key) > 1024) throw new S3Error('KeyTooLongError', { details: { MaxSizeAllowed: 1024 } });
  return key;
}

function invalidRenameSource(value: string, message: string, cause?: unknown): S3Error {
  const details = { ArgumentName: 'x-amz-rename-source', ArgumentValue: value };
  return new S3Error('InvalidArgument', { message, details, ...(cause === undefined ? {} : { cause }) });
}
