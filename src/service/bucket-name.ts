import { S3Error } from '../errors/s3-error.ts';

const LABELS = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const IP_ADDRESS = /^\d{1,3}(?:\.\d{1,3}){3}$/;
/** Where S3 Control is. */
const RESERVED_NAMES = ['v20180820'];
const RESERVED_PREFIXES = ['xn--', 'sthree-', 'amzn-s3-demo-'];
const RESERVED_SUFFIXES = ['-s3alias', '--ol-s3', '.mrap', '--x-s3', '--table-s3'];

/**
 * S3's rules for general purpose buckets: 3 to 63 of lower-case letters, digits, `-` and `.`; every label between dots
 * begins and ends with a letter or digit; no IPv4 address; no reserved name, prefix or suffix.
 *
 * @throws S3Error InvalidBucketName
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
 */
export function checkBucketName(name: string): void {
  if (
    name.length < 3 ||
    name.length > 63 ||
    !LABELS.test(name) ||
    IP_ADDRESS.test(name) ||
    RESERVED_NAMES.includes(name) ||
    RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix)) ||
    RESERVED_SUFFIXES.some((suffix) => name.endsWith(suffix))
  ) {
    throw new S3Error('InvalidBucketName', { details: { BucketName: name } });
  }
}
