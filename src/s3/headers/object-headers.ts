import { S3Error } from '../../errors/s3-error.ts';
import type { ObjectHeaders } from '../../model/object-record.ts';

/** S3's type of an object that came without one. */
const DEFAULT_CONTENT_TYPE = 'binary/octet-stream';

const STORED_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const;

/**
 * The content headers of an upload that are stored and sent back as they came. `aws-chunked` is a property of the
 * transfer and is taken out of Content-Encoding. Content-Type is always present in the result.
 */
export function readObjectHeaders(headers: ReadonlyMap<string, string>): ObjectHeaders {
  const stored: Record<string, string> = {};
  for (const name of STORED_HEADERS) {
    let value = headers.get(name);
    if (name === 'content-encoding' && value !== undefined) value = withoutAwsChunked(value);
    if (value !== undefined && value !== '') stored[name] = value;
  }
  stored['content-type'] ??= DEFAULT_CONTENT_TYPE;
  return stored;
}

function withoutAwsChunked(value: string): string {
  if (!value.toLowerCase().includes('aws-chunked')) return value;
  return value
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked')
    .join(',');
}

const RESPONSE_OVERRIDES: readonly (readonly [parameter: string, header: string])[] = [
  ['response-cache-control', 'cache-control'],
  ['response-content-disposition', 'content-disposition'],
  ['response-content-encoding', 'content-encoding'],
  ['response-content-language', 'content-language'],
  ['response-content-type', 'content-type'],
  ['response-expires', 'expires'],
];

/**
 * Headers that `response-*` query parameters replace in an answer to GET or HEAD, or `undefined` when there are none.
 * The caller refuses them on anonymous requests. A value that cannot stand in a header is refused, so it can never end
 * the header.
 *
 * @throws S3Error InvalidArgument
 */
export function readResponseOverrides(query: ReadonlyMap<string, string>): Record<string, string> | undefined {
  if (query.size === 0) return undefined;
  let overrides: Record<string, string> | undefined;
  for (const [parameter, header] of RESPONSE_OVERRIDES) {
    const value = query.get(parameter);
    if (value === undefined) continue;
    if (!/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value)) {
      throw new S3Error('InvalidArgument', {
        message: 'Header value cannot be represented using ISO-8859-1.',
        details: { ArgumentName: parameter, ArgumentValue: value },
      });
    }
    (overrides ??= {})[header] = value;
  }
  return overrides;
}
