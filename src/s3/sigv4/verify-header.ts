import type { CredentialSource } from '../../access/principal.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { VerifiedSignature } from './authenticated-request.ts';
import { canonicalQuery } from './canonical-request.ts';
import { checkHeaderScope, parseAuthorization } from './parse-authorization.ts';
import type { RawRequest } from './raw-request.ts';
import { requireSignedHeaders } from './signed-headers.ts';
import type { SigningKeyCache } from './signing-key-cache.ts';
import { checkSkew, requestTimestamp } from './timestamp.ts';
import { verifySignature } from './verify-signature.ts';

export interface VerificationContext {
  readonly credentials: CredentialSource;
  readonly signingKeys: SigningKeyCache;
  /** `undefined`: any. */
  readonly region: string | undefined;
  readonly service: string;
  readonly nowMs: number;
  /** What came as `x-amz-security-token`. */
  readonly sessionToken: string | undefined;
}

/**
 * A signature in the Authorization header.
 * @throws S3Error AuthorizationHeaderMalformed | AccessDenied | RequestTimeTooSkewed | InvalidAccessKeyId |
 *   SignatureDoesNotMatch and those of parseAuthorization
 */
export function verifyHeader(
  raw: RawRequest,
  payloadHash: string | undefined,
  context: VerificationContext,
): VerifiedSignature {
  const authorization = parseAuthorization(raw.headers.get('authorization')!);
  if (payloadHash === undefined) {
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: x-amz-content-sha256',
    });
  }
  const timestamp = requestTimestamp(raw.headers);
  const { region, service } = context;
  checkHeaderScope(authorization.scope, { region, service, timestamp: timestamp.basic });
  checkSkew(timestamp, context.nowMs);
  requireSignedHeaders(raw.headers, authorization.signedHeaders);
  return verifySignature(
    {
      raw,
      parts: {
        method: raw.method,
        canonicalPath: raw.canonicalPath,
        canonicalQuery: canonicalQuery(raw.queryPairs),
        signedHeaders: authorization.signedHeaders,
        headers: raw.headers,
        payloadHash,
      },
      accessKeyId: authorization.accessKeyId,
      scope: authorization.scope,
      timestamp: timestamp.basic,
      signature: authorization.signature,
    },
    context,
  );
}
