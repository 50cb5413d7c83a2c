import type { Principal } from '../../access/principal.ts';
import type { Payload } from '../../streams/payload.ts';
import type { RawRequest } from './raw-request.ts';

type SignatureKind = 'none' | 'header' | 'presigned' | 'presigned-v2' | 'form' | 'form-v2';

/** Who asks, and what of the request may be believed. The body is still to be verified as `payload` says. */
export interface AuthenticatedRequest {
  readonly raw: RawRequest;
  readonly principal: Principal;
  readonly signatureKind: SignatureKind;
  /** False for anonymous requests. */
  readonly isSigned: boolean;
  /** Lower-case names; presigned: with the signed `x-amz-*` query parameters that count as headers; of a posted form: its fields. */
  readonly headers: ReadonlyMap<string, string>;
  /**
   * First values; presigned: without the parameters of the signature and those that count as headers; of a posted form
   * the fields that say how to answer.
   */
  readonly query: ReadonlyMap<string, string>;
  readonly payload: Payload;
}

/** What a verified signature proves, for the chunk signatures that build on it. */
export interface VerifiedSignature {
  readonly principal: Principal;
  readonly accessKeyId: string;
  readonly signingKey: Buffer;
  readonly timestamp: string;
  readonly scope: string;
  readonly signature: string;
}

/** Requests without credentials. The authorizer denies what is not public. */
export const ANONYMOUS: Principal = Object.freeze({
  type: 'anonymous',
  accessKeyId: '',
  owner: Object.freeze({
    accountId: '',
    canonicalId: '65a011a29cdf8ec533ec3d1ccaae921c',
    displayName: 'anonymous',
  }),
});
