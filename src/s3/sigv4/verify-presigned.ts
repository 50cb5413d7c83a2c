import { S3Error } from '../../errors/s3-error.ts';
import type { VerifiedSignature } from './authenticated-request.ts';
import { canonicalQuery } from './canonical-request.ts';
import { ALGORITHM, parseCredential } from './parse-authorization.ts';
import type { RawRequest } from './raw-request.ts';
import { requireSignedHeaders } from './signed-headers.ts';
import type { CredentialScope } from './signing-key-cache.ts';
import { MAXIMUM_SKEW_MS, parseBasicTimestamp } from './timestamp.ts';
import type { VerificationContext } from './verify-header.ts';
import { verifySignature } from './verify-signature.ts';

/** Seven days. */
const MAXIMUM_EXPIRES_SECONDS = 604_800;

/** Any of them makes a request a presigned one; the others must then be there too. */
export function isPresigned(query: ReadonlyMap<string, string>): boolean {
  return query.has('X-Amz-Signature') || query.has('X-Amz-Algorithm') || query.has('X-Amz-Credential');
}

/**
 * A signature in the query.
 * @throws S3Error AuthorizationQueryParametersError | AccessDenied (expired, not yet valid, unsigned headers) |
 *   InvalidAccessKeyId | SignatureDoesNotMatch
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
export function verifyPresigned(raw: RawRequest, payloadHash: string, context: VerificationContext): VerifiedSignature {
  const { query } = raw;
  const algorithm = query.get('X-Amz-Algorithm');
  const credentialText = query.get('X-Amz-Credential');
  const timestamp = query.get('X-Amz-Date');
  const expires = query.get('X-Amz-Expires');
  const signedHeaders = query.get('X-Amz-SignedHeaders');
  const signature = query.get('X-Amz-Signature');
  if (!algorithm || !credentialText || !timestamp || expires === undefined || !signedHeaders || !signature) {
    throw new S3Error('AuthorizationQueryParametersError');
  }
  if (algorithm === 'AWS4-ECDSA-P256-SHA256') {
    throw new S3Error('NotImplemented', { message: 'AWS4-ECDSA-P256-SHA256 is not implemented.' });
  }
  if (algorithm !== ALGORITHM) throw refused('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  const credential = parseCredential(credentialText);
  if (credential === undefined) {
    throw refused(
      'Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  const signedAtMs = parseBasicTimestamp(timestamp);
  if (signedAtMs === undefined) {
    throw refused("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  }
  const { region, service } = context;
  checkScope(credential.scope, { region, service, date: timestamp.slice(0, 8) });
  checkValidity({ signedAtMs, expiresSeconds: parseExpires(expires), nowMs: context.nowMs });
  const signedHeaderNames = signedHeaders.split(';');
  requireSignedHeaders(raw.headers, signedHeaderNames);
  return verifySignature(
    {
      raw,
      parts: {
        method: raw.method,
        canonicalPath: raw.canonicalPath,
        canonicalQuery: canonicalQuery(raw.queryPairs, 'X-Amz-Signature'),
        signedHeaders: signedHeaderNames,
        headers: raw.headers,
        payloadHash,
      },
      accessKeyId: credential.accessKeyId,
      scope: credential.scope,
      timestamp,
      signature,
    },
    context,
  );
}

function refused(message: string, details: Record<string, string> = {}): S3Error {
  return new S3Error('AuthorizationQueryParametersError', { message, details });
}

function parseExpires(text: string): number {
  if (/^-\d+$/.test(text)) throw refused('X-Amz-Expires must be non-negative');
  if (!/^\d{1,12}$/.test(text)) throw refused('X-Amz-Expires should be a number');
  const seconds = Number(text);
  if (seconds > MAXIMUM_EXPIRES_SECONDS) {
    throw refused(
      `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${MAXIMUM_EXPIRES_SECONDS} seconds`,
    );
  }
  return seconds;
}

function checkScope(
  scope: CredentialScope,
  expected: { region: string | undefined; service: string; date: string },
): void {
  const prefix = 'Error parsing the X-Amz-Credential parameter;';
  if (scope.date !== expected.date) {
    throw refused(
      `${prefix} Invalid credential date "${scope.date}". This date is not the same as X-Amz-Date: "${expected.date}".`,
    );
  }
  if (scope.service !== expected.service) {
    throw refused(`${prefix} incorrect service "${scope.service}". This endpoint belongs to "${expected.service}".`);
  }
  if (expected.region !== undefined && scope.region !== expected.region) {
    throw refused(`${prefix} the region '${scope.region}' is wrong; expecting '${expected.region}'`, {
      Region: expected.region,
    });
  }
}

function checkValidity(times: { signedAtMs: number; expiresSeconds: number; nowMs: number }): void {
  if (times.signedAtMs - times.nowMs > MAXIMUM_SKEW_MS) {
    throw new S3Error('AccessDenied', { message: 'Request is not valid yet' });
  }
  const expiresAtMs = times.signedAtMs + times.expiresSeconds * 1000;
  if (times.nowMs <= expiresAtMs) return;
  throw new S3Error('AccessDenied', {
    message: 'Request has expired',
    details: {
      'X-Amz-Expires': times.expiresSeconds,
      Expires: new Date(expiresAtMs).toISOString(),
      ServerTime: new Date(times.nowMs).toISOString(),
    },
  });
}
