import { createHmac } from 'node:crypto';
import type { Credential, CredentialSource } from '../../access/principal.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { VerifiedSignature } from './authenticated-request.ts';
import { canonicalRequest, stringToSign, type CanonicalRequestParts } from './canonical-request.ts';
import { equalSignatures } from './equal-signatures.ts';
import { explainMismatch } from './mismatch-hint.ts';
import type { RawRequest } from './raw-request.ts';
import { signatureMismatch } from './signature-mismatch.ts';
import { scopeText, type CredentialScope, type SigningKeyCache } from './signing-key-cache.ts';

export interface SignatureClaim {
  readonly raw: RawRequest;
  readonly parts: CanonicalRequestParts;
  readonly accessKeyId: string;
  readonly scope: CredentialScope;
  /** `YYYYMMDD'T'HHMMSS'Z'`. */
  readonly timestamp: string;
  readonly signature: string;
}

/** Stands in for an unknown access key, so that guessing one costs the same work as a wrong signature. */
export const NOBODY: Pick<Credential, 'accessKeyId' | 'secretAccessKey'> = {
  accessKeyId: '',
  secretAccessKey: 'no-such-credential-no-such-credential-no',
};

/** @throws S3Error InvalidAccessKeyId | SignatureDoesNotMatch | ExpiredToken | InvalidToken */
export function verifySignature(
  claim: SignatureClaim,
  context: {
    credentials: CredentialSource;
    signingKeys: SigningKeyCache;
    sessionToken: string | undefined;
    nowMs: number;
  },
): VerifiedSignature {
  const { credentials, signingKeys, sessionToken, nowMs } = context;
  const credential = credentials.find(claim.accessKeyId, sessionToken);
  const signingKey = signingKeys.get(credential ?? NOBODY, claim.scope);
  const scope = scopeText(claim.scope);
  const canonical = canonicalRequest(claim.parts);
  const text = stringToSign({ timestamp: claim.timestamp, scope, canonical });
  const expected = createHmac('sha256', signingKey).update(text, 'latin1').digest('hex');
  if (equalSignatures(expected, claim.signature) && credential !== undefined) {
    refuseExpired(credential, nowMs);
    return {
      principal: credential.principal,
      accessKeyId: credential.accessKeyId,
      signingKey,
      timestamp: claim.timestamp,
      scope,
      signature: expected,
    };
  }
  const hint = explainMismatch({
    raw: claim.raw,
    parts: claim.parts,
    signingKey,
    timestamp: claim.timestamp,
    scope,
    provided: claim.signature,
  });
  const details = signatureMismatch({
    accessKeyId: claim.accessKeyId,
    stringToSign: text,
    provided: claim.signature,
    canonicalRequest: canonical,
  });
  if (credential === undefined) throw unknownAccessKey(claim.accessKeyId);
  throw new S3Error('SignatureDoesNotMatch', { details, hint });
}

/** Temporary credentials end, and with them every presigned URL that was made with them. @throws S3Error ExpiredToken */
export function refuseExpired({ expiresAtMs }: Credential, nowMs: number): void {
  if (expiresAtMs !== undefined && nowMs >= expiresAtMs) throw new S3Error('ExpiredToken');
}

export function unknownAccessKey(accessKeyId: string): S3Error {
  return new S3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: accessKeyId } });
}
