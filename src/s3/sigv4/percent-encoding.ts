import { isUtf8 } from 'node:buffer';

const NEEDS_NO_DECODING = /^[\x21-\x24\x26-\x2a\x2c-\x7e]*$/;
const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;
const LEFT_BY_ENCODE_URI_COMPONENT = /[!'()*]/g;

/**
 * Decodes `%XX` once. `raw` holds one byte per character, as node's HTTP parser hands it over.
 * Returns `undefined` when a percent sign is not followed by two hex digits or the bytes are not UTF-8.
 */
export function decodePercent(raw: string, options: { plusIsSpace: boolean }): string | undefined {
  if (NEEDS_NO_DECODING.test(raw)) return raw;
  const bytes = Buffer.allocUnsafe(raw.length);
  let length = 0;
  for (let index = 0; index < raw.length; index++) {
    let code = raw.charCodeAt(index);
    if (code === 0x25) {
      const high = hexDigit(raw.charCodeAt(index + 1));
      const low = hexDigit(raw.charCodeAt(index + 2));
      if (high < 0 || low < 0) return undefined;
      code = high * 16 + low;
      index += 2;
    } else if (code === 0x2b && options.plusIsSpace) {
      code = 0x20;
    } else if (code > 0xff) {
      return undefined;
    }
    bytes[length++] = code;
  }
  const decoded = bytes.subarray(0, length);
  return isUtf8(decoded) ? decoded.toString('utf8') : undefined;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** SigV4's UriEncode: everything but `A-Z a-z 0-9 - . _ ~` as upper-case `%XX` of its UTF-8 bytes. */
export function encodePercent(value: string): string {
  if (UNRESERVED.test(value)) return value;
  return encodeURIComponent(value).replace(
    LEFT_BY_ENCODE_URI_COMPONENT,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The same, with `/` left as it is: SigV4's form of an object key. */
export function encodePercentPath(value: string): string {
  return encodePercent(value).replaceAll('%2F', '/');
}
