import { S3Error } from '../../errors/s3-error.ts';

const PREFIX = 'x-amz-meta-';

/** Names without the prefix and values, together, in bytes of UTF-8. */
const USER_METADATA_LIMIT_BYTES = 2048;

/**
 * User metadata of an upload: names without `x-amz-meta-`, lower-case. Header values arrive as one character a byte
 * (Latin-1); bytes that are UTF-8 are read as that. RFC 2047 words are ASCII and stay as they came. The result has no
 * prototype, so a name like `__proto__` is a name like any other.
 *
 * @throws S3Error MetadataTooLarge
 */
export function readUserMetadata(headers: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const metadata = Object.create(null) as Record<string, string>;
  let sizeBytes = 0;
  for (const [name, rawValue] of headers) {
    if (!name.startsWith(PREFIX)) continue;
    const value = isAscii(rawValue) ? rawValue : decodeHeaderBytes(rawValue);
    const key = name.slice(PREFIX.length);
    sizeBytes += key.length + Buffer.byteLength(value);
    metadata[key] = value;
  }
  if (sizeBytes > USER_METADATA_LIMIT_BYTES) {
    throw new S3Error('MetadataTooLarge', {
      details: { Size: sizeBytes, MaxSizeAllowed: USER_METADATA_LIMIT_BYTES },
    });
  }
  return metadata;
}

/**
 * Adds `x-amz-meta-*` to the headers of an answer. Values that are not printable ASCII go out as an RFC 2047 encoded
 * word, as S3 sends them, so no stored value can end a header.
 */
export function addUserMetadata(
  responseHeaders: Record<string, string | number>,
  metadata: Readonly<Record<string, string>>,
): void {
  for (const key in metadata) {
    const value = metadata[key]!;
    responseHeaders[PREFIX + key] = isPrintableAscii(value)
      ? value
      : `=?UTF-8?B?${Buffer.from(value).toString('base64')}?=`;
  }
}

function decodeHeaderBytes(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  const decoded = bytes.toString('utf8');
  return decoded.includes('\ufffd') && !Buffer.from(decoded).equals(bytes) ? latin1 : decoded;
}

function isAscii(value: string): boolean {
  for (let index = 0; index < value.length; index++) if (value.charCodeAt(index) > 0x7e) return false;
  return true;
}

function isPrintableAscii(value: string): boolean {
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code > 0x7e || (code < 0x20 && code !== 0x09)) return false;
  }
  return true;
}
