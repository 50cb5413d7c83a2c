import type { CredentialSource } from '../../access/principal.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { Payload } from '../../streams/payload.ts';
import { ANONYMOUS, type AuthenticatedRequest, type VerifiedSignature } from './authenticated-request.ts';
import { ChunkSignatureChain } from './chunk-signature-chain.ts';
import { parsePayloadHash, type PayloadHash } from './payload-hash.ts';
import { foldPresignedParameters, refuseRepeatedParameters } from './presigned-parameters.ts';
import type { RawRequest } from './raw-request.ts';
import { SigningKeyCache } from './signing-key-cache.ts';
import {
  type FormFields,
  type FormSignature,
  isSignedForm,
  isSignedFormV2,
  requireField,
  verifyForm,
  verifyFormV2,
} from './verify-form.ts';
import { type VerificationContext, verifyHeader } from './verify-header.ts';
import { isPresignedV2, verifyPresignedV2 } from './verify-presigned-v2.ts';
import { isPresigned, verifyPresigned } from './verify-presigned.ts';

export interface RequestAuthenticatorOptions {
  readonly credentials: CredentialSource;
  readonly region: string;
  /** Accept Signature Version 2 in presigned queries. In the Authorization header it is always refused. */
  readonly allowSignatureV2: boolean;
  /** Accept bodies whose bytes are not signed, with an Authorization header, over plain HTTP. */
  readonly allowUnsignedPayloadOverHttp: boolean;
}

const UNSIGNED: Payload = { kind: 'unsigned' };
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/**
 * The one authenticator, before any routing. Total over all ways to sign: a request is signed in exactly one of them and
 * the signature is right, or it carries no trace of a signature and is anonymous, or it is refused.
 */
export class RequestAuthenticator {
  readonly #options: RequestAuthenticatorOptions;
  readonly #signingKeys = new SigningKeyCache();

  constructor(options: RequestAuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * Synchronous; reads neither clock nor body. Never logs nor keeps a signature.
   * @throws S3Error as S3 answers: SignatureDoesNotMatch, InvalidAccessKeyId, AccessDenied, RequestTimeTooSkewed,
   *   AuthorizationHeaderMalformed, AuthorizationQueryParametersError, InvalidArgument, InvalidRequest, InvalidToken
   */
  authenticate(raw: RawRequest, nowMs: number): AuthenticatedRequest {
    const hasAuthorization = raw.headers.has('authorization');
    if (raw.queryPairs.length > 0) {
      const inQuery = isPresigned(raw.query);
      const inQueryV2 = isPresignedV2(raw.query);
      if (inQuery || inQueryV2) {
        refuseRepeatedParameters(raw);
        if (hasAuthorization || (inQuery && inQueryV2)) throw twoMechanisms();
        return inQuery ? this.#presigned(raw, nowMs) : this.#presignedV2(raw, nowMs);
      }
    }
    return hasAuthorization ? this.#header(raw, nowMs) : anonymous(raw, anonymousPayload(raw));
  }

  /**
   * The same for the query APIs of IAM and STS: the body is known whole and always signed, in whatever region. Anonymous
   * where nothing is signed. Signature Version 2 is refused.
   * @throws S3Error as `authenticate`
   */
  authenticateForm(
    raw: RawRequest,
    { service, bodySha256Hex, nowMs }: { service: string; bodySha256Hex: string; nowMs: number },
  ): AuthenticatedRequest {
    const hasAuthorization = raw.headers.has('authorization');
    const inQuery = isPresigned(raw.query);
    refuseRepeatedParameters(raw);
    if ((hasAuthorization && inQuery) || isPresignedV2(raw.query)) throw twoMechanisms();
    if (!hasAuthorization && !inQuery) return anonymous(raw, UNSIGNED);
    const context = { ...this.#context(nowMs, sessionTokenOf(raw, inQuery)), region: undefined, service };
    const verified = inQuery ? verifyPresigned(raw, bodySha256Hex, context) : verifyHeader(raw, bodySha256Hex, context);
    return {
      raw,
      principal: verified.principal,
      signatureKind: inQuery ? 'presigned' : 'header',
      isSigned: true,
      ...(inQuery ? foldPresignedParameters(raw, 4) : { headers: raw.headers, query: raw.query }),
      payload: { kind: 'signed', sha256Hex: bodySha256Hex },
    };
  }

  /**
   * Who has signed the policy of a form; what it allows is the caller's to check. A form without any part of a signature
   * is anonymous, and then has no policy either.
   * @throws S3Error InvalidArgument | InvalidRequest | InvalidToken | ExpiredToken | InvalidAccessKeyId | SignatureDoesNotMatch
   */
  authenticatePostForm(raw: RawRequest, fields: FormFields, nowMs: number): FormSignature {
    const isV4 = isSignedForm(fields);
    const isV2 = isSignedFormV2(fields);
    if (raw.headers.has('authorization') || isPresigned(raw.query) || isPresignedV2(raw.query) || (isV4 && isV2)) {
      throw twoMechanisms();
    }
    const sessionToken = fields.get('x-amz-security-token');
    const context = this.#context(nowMs, sessionToken);
    if (isV4) return { principal: verifyForm(fields, context), signatureKind: 'form' };
    if (!isV2) {
      if (sessionToken !== undefined) throw new S3Error('InvalidToken');
      // A policy that nobody signed says that a signature was lost on the way.
      if (fields.has('policy')) requireField(fields, 'signature', 'Signature');
      return { principal: ANONYMOUS, signatureKind: 'none' };
    }
    this.#requireV2();
    return { principal: verifyFormV2(fields, context), signatureKind: 'form-v2' };
  }

  #requireV2(): void {
    if (this.#options.allowSignatureV2) return;
    throw new S3Error('InvalidRequest', {
      message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
      hint: 'Signature Version 2 is turned off in the configuration.',
    });
  }

  #header(raw: RawRequest, nowMs: number): AuthenticatedRequest {
    const payloadValue = raw.headers.get('x-amz-content-sha256');
    const payloadHash = payloadValue === undefined ? undefined : parsePayloadHash(payloadValue);
    const verified = verifyHeader(raw, payloadValue, this.#context(nowMs, sessionTokenOf(raw, false)));
    // verifyHeader has refused a missing one
    const payload = payloadOf(payloadHash!, payloadValue!, verified);
    const bytesAreSigned = payload.kind === 'signed' || (payload.kind === 'aws-chunked' && payload.verifier);
    if (!bytesAreSigned && !raw.isSecure && !this.#options.allowUnsignedPayloadOverHttp) {
      throw new S3Error('AccessDenied', { message: 'Unsigned payloads are not accepted over plain HTTP.' });
    }
    return {
      raw,
      principal: verified.principal,
      signatureKind: 'header',
      isSigned: true,
      headers: raw.headers,
      query: raw.query,
      payload,
    };
  }

  #presigned(raw: RawRequest, nowMs: number): AuthenticatedRequest {
    const payloadValue = presignedPayloadValue(raw);
    const payloadHash = parsePayloadHash(payloadValue);
    if (payloadHash.kind === 'streaming') {
      throw new S3Error('InvalidRequest', {
        message: `x-amz-content-sha256 ${payloadValue} is not supported for presigned requests.`,
      });
    }
    const verified = verifyPresigned(raw, payloadValue, this.#context(nowMs, sessionTokenOf(raw, true)));
    const { headers, query } = foldPresignedParameters(raw, 4);
    return {
      raw,
      principal: verified.principal,
      signatureKind: 'presigned',
      isSigned: true,
      headers,
      query,
      payload: payloadOf(payloadHash, payloadValue, verified),
    };
  }

  #presignedV2(raw: RawRequest, nowMs: number): AuthenticatedRequest {
    this.#requireV2();
    const payload = unsignedOrHash(raw);
    const sessionToken = sessionTokenOf(raw, true);
    const principal = verifyPresignedV2(raw, { credentials: this.#options.credentials, sessionToken, nowMs });
    return {
      raw,
      principal,
      signatureKind: 'presigned-v2',
      isSigned: true,
      ...foldPresignedParameters(raw, 2),
      payload,
    };
  }

  /** No spread of the options: in V8 that costs a microsecond on each request. */
  #context(nowMs: number, sessionToken: string | undefined): VerificationContext {
    const { credentials, region } = this.#options;
    return { credentials, signingKeys: this.#signingKeys, region, service: 's3', nowMs, sessionToken };
  }
}

function anonymousPayload(raw: RawRequest): Payload {
  const value = raw.headers.get('x-amz-content-sha256');
  const payloadHash = value === undefined ? undefined : parsePayloadHash(value);
  let payload: Payload = UNSIGNED;
  if (value !== undefined && payloadHash?.kind === 'hex') payload = { kind: 'signed', sha256Hex: value.toLowerCase() };
  if (payloadHash?.kind === 'streaming') {
    if (payloadHash.isSigned) {
      throw new S3Error('InvalidRequest', { message: `x-amz-content-sha256 ${value} needs a signed request.` });
    }
    payload = { kind: 'aws-chunked', hasTrailer: true, verifier: undefined };
  }
  return payload;
}

/** Of a preflight too, whatever its URL carries: a signature there is that of the request to come. */
export function anonymous(raw: RawRequest, payload: Payload): AuthenticatedRequest {
  return {
    raw,
    principal: ANONYMOUS,
    signatureKind: 'none',
    isSigned: false,
    headers: raw.headers,
    query: raw.query,
    payload,
  };
}

function payloadOf(payloadHash: PayloadHash, value: string, verified: VerifiedSignature): Payload {
  switch (payloadHash.kind) {
    case 'unsigned':
      return UNSIGNED;
    case 'hex':
      return { kind: 'signed', sha256Hex: value.toLowerCase() };
    case 'streaming':
      return {
        kind: 'aws-chunked',
        hasTrailer: payloadHash.hasTrailer,
        verifier: payloadHash.isSigned ? new ChunkSignatureChain(verified) : undefined,
      };
  }
}

function presignedPayloadValue(raw: RawRequest): string {
  const inHeader = raw.headers.get('x-amz-content-sha256');
  const inQuery = raw.query.get('X-Amz-Content-Sha256') ?? raw.query.get('x-amz-content-sha256');
  if (inHeader !== undefined && inQuery !== undefined && inHeader !== inQuery) {
    throw new S3Error('InvalidRequest', {
      message: 'The header x-amz-content-sha256 and the query parameter of that name disagree.',
    });
  }
  return inQuery ?? inHeader ?? UNSIGNED_PAYLOAD;
}

/** Signature Version 2 does not know streaming payloads. */
function unsignedOrHash(raw: RawRequest): Payload {
  const value = raw.headers.get('x-amz-content-sha256');
  const payloadHash = value === undefined ? undefined : parsePayloadHash(value);
  if (value === undefined || payloadHash?.kind === 'unsigned') return UNSIGNED;
  if (payloadHash?.kind === 'hex') return { kind: 'signed', sha256Hex: value.toLowerCase() };
  throw new S3Error('InvalidRequest', {
    message: `x-amz-content-sha256 ${value} is not supported for presigned requests.`,
  });
}

/**
 * The token of temporary credentials, from the header or, of a presigned request, from the query: either is signed.
 * @throws S3Error InvalidToken when it stands where nothing signs it, or two disagree
 */
function sessionTokenOf(raw: RawRequest, isInQuery: boolean): string | undefined {
  let token = raw.headers.get('x-amz-security-token');
  for (const { name, value } of raw.queryPairs) {
    if (name.toLowerCase() !== 'x-amz-security-token') continue;
    if (!isInQuery || (token !== undefined && token !== value)) throw new S3Error('InvalidToken');
    token = value;
  }
  return token;
}

function twoMechanisms(): S3Error {
  return new S3Error('InvalidArgument', {
    message:
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
    details: { ArgumentName: 'Authorization' },
  });
}
