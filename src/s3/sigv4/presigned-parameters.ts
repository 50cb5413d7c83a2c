import { S3Error } from '../../errors/s3-error.ts';
import type { RawRequest } from './raw-request.ts';

/** Parameters that are the signature itself, in both versions. */
const SIGNATURE_PARAMETERS: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-content-sha256',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-security-token',
  'x-amz-signature',
  'x-amz-signedheaders',
]);
const V2_PARAMETERS: ReadonlySet<string> = new Set(['AWSAccessKeyId', 'Expires', 'Signature']);

/** A URL that is made before the body is known cannot speak of its checksum: S3 ignores these there. */
function isIgnored(name: string): boolean {
  return name.startsWith('x-amz-checksum-') || name === 'x-amz-sdk-checksum-algorithm';
}

/** @throws S3Error InvalidRequest when a parameter of the signature, or one that counts as a header, comes twice */
export function refuseRepeatedParameters(raw: RawRequest): void {
  const seen = new Set<string>();
  for (const { name } of raw.queryPairs) {
    const lower = name.toLowerCase();
    if (!lower.startsWith('x-amz-') && !V2_PARAMETERS.has(name)) continue;
    if (seen.has(lower)) {
      throw new S3Error('InvalidRequest', { message: `The query parameter ${name} must not be sent more than once.` });
    }
    seen.add(lower);
  }
}

/**
 * Headers and query of a verified presigned request: signed `x-amz-*` parameters count as the headers of that name.
 * @throws S3Error InvalidRequest when a header and a parameter of one name disagree
 */
export function foldPresignedParameters(
  raw: RawRequest,
  version: 2 | 4,
): { headers: ReadonlyMap<string, string>; query: ReadonlyMap<string, string> } {
  const headers = new Map(raw.headers);
  const query = new Map<string, string>();
  for (const [name, value] of raw.query) {
    const lower = name.toLowerCase();
    if (version === 2 && V2_PARAMETERS.has(name)) continue;
    if (!lower.startsWith('x-amz-')) {
      query.set(name, value);
    } else if (!SIGNATURE_PARAMETERS.has(lower) && !isIgnored(lower)) {
      const bytes = Buffer.from(value, 'utf8').toString('latin1');
      const header = headers.get(lower);
      if (header !== undefined && header !== bytes) {
        throw new S3Error('InvalidRequest', {
          message: `The header ${lower} and the query parameter of that name disagree.`,
        });
      }
      headers.set(lower, bytes);
    }
  }
  return { headers, query };
}
