import { S3Error } from '../errors/s3-error.ts';
import { encodeKeyForUrl } from './xml/write-xml.ts';

const PAGE_LIMIT = 1000;
const INTEGER = /^-?\d{1,15}$/;
const INTEGER_LIMIT = 2 ** 31 - 1;

/**
 * `max-keys` and its like: absent or empty means 1,000; more than that is cut to it, as S3 does.
 *
 * @throws S3Error InvalidArgument
 */
export function readPageLimit(query: ReadonlyMap<string, string>, name: string): number {
  const value = query.get(name);
  if (value === undefined || value === '') return PAGE_LIMIT;
  const limit = INTEGER.test(value) ? Number(value) : Number.NaN;
  if (Number.isNaN(limit) || limit > INTEGER_LIMIT) {
    throw invalidArgument(name, value, `Provided ${name} not an integer or within integer range`);
  }
  if (limit < 0) {
    throw invalidArgument(name, value, `Argument ${name} must be an integer between 0 and ${INTEGER_LIMIT}`);
  }
  return Math.min(limit, PAGE_LIMIT);
}

export interface KeyEncoding {
  /** For the `EncodingType` element. */
  readonly encodingType: 'url' | undefined;
  /** Of keys, prefixes, delimiters and markers in the answer; the XML writer escapes what is left. */
  encode(text: string): string;
}

const PLAIN: KeyEncoding = { encodingType: undefined, encode: (text) => text };
const URL_ENCODED: KeyEncoding = { encodingType: 'url', encode: encodeKeyForUrl };

/** `encoding-type`: `url` or nothing. @throws S3Error InvalidArgument */
export function readKeyEncoding(query: ReadonlyMap<string, string>): KeyEncoding {
  const value = query.get('encoding-type');
  if (value === undefined || value === '') return PLAIN;
  if (value.toLowerCase() === 'url') return URL_ENCODED;
  throw invalidArgument('encoding-type', value, 'Invalid Encoding Method specified in Request');
}

/**
 * `x-amz-optional-object-attributes`: RestoreStatus is the only one, and only objects restored from an archive have it:
 * none here.
 *
 * @throws S3Error InvalidArgument
 */
export function checkOptionalAttributes(headers: ReadonlyMap<string, string>): void {
  const value = headers.get('x-amz-optional-object-attributes');
  if (value === undefined) return;
  for (const name of value.split(',')) {
    if (name.trim() !== 'RestoreStatus') {
      throw invalidArgument('x-amz-optional-object-attributes', value, 'Invalid attribute name specified');
    }
  }
}

export function invalidArgument(name: string, value: string, message: string): S3Error {
  return new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}
