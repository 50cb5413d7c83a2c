import { S3Error } from '../../errors/s3-error.ts';
import type { CredentialScope } from './signing-key-cache.ts';

export interface ParsedAuthorization {
  readonly accessKeyId: string;
  readonly scope: CredentialScope;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

export const ALGORITHM = 'AWS4-HMAC-SHA256';

type SignerFacts = Omit<ParsedAuthorization, 'signature'>;

/** Of one client only the signature changes: what stands before it is parsed once. Bounded, whatever clients send. */
const knownSigners = new Map<string, SignerFacts>();
const KNOWN_SIGNER_LIMIT = 1024;
const KNOWN_SIGNER_LENGTH = 512;
const SIGNATURE_NAME = 'Signature=';
const SIGNATURE_LENGTH = 64;
const SIGNATURE_VALUE = /^[0-9a-f]{64}$/;

/**
 * `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
 * @throws S3Error InvalidRequest (SigV2 in the header) | NotImplemented (SigV4A) | InvalidArgument (another scheme) |
 *   AuthorizationHeaderMalformed
 */
export function parseAuthorization(value: string): ParsedAuthorization {
  const signatureStart = value.length - SIGNATURE_LENGTH;
  const beginning = value.slice(0, signatureStart);
  const signature = value.slice(signatureStart);
  const isUsual =
    beginning.length <= KNOWN_SIGNER_LENGTH && beginning.endsWith(SIGNATURE_NAME) && SIGNATURE_VALUE.test(signature);
  if (!isUsual) return parseFully(value);
  let signer = knownSigners.get(beginning);
  if (signer === undefined) {
    const parsed = parseFully(value);
    // One with the name of another piece before it is not the signature.
    if (parsed.signature !== signature) return parsed;
    signer = { accessKeyId: parsed.accessKeyId, scope: parsed.scope, signedHeaders: parsed.signedHeaders };
    if (knownSigners.size >= KNOWN_SIGNER_LIMIT) knownSigners.clear();
    knownSigners.set(beginning, signer);
  }
  return { accessKeyId: signer.accessKeyId, scope: signer.scope, signedHeaders: signer.signedHeaders, signature };
}

function parseFully(value: string): ParsedAuthorization {
  if (!value.startsWith(`${ALGORITHM} `)) refuseScheme(value);
  let credential: string | undefined;
  let signedHeaders: string | undefined;
  let signature: string | undefined;
  for (const piece of value.slice(ALGORITHM.length + 1).split(',')) {
    const equals = piece.indexOf('=');
    const name = piece.slice(0, equals).trim();
    const content = piece.slice(equals + 1).trim();
    if (name === 'Credential' && credential === undefined) credential = content;
    else if (name === 'SignedHeaders' && signedHeaders === undefined) signedHeaders = content;
    else if (name === 'Signature' && signature === undefined) signature = content;
    else throw malformed('the authorization header is malformed');
  }
  if (credential === undefined) throw malformed('the authorization header requires three components: Credential');
  if (!signedHeaders) throw malformed('the authorization header requires three components: SignedHeaders');
  if (!signature) throw malformed('the authorization header requires three components: Signature');
  const parsed = parseCredential(credential);
  if (parsed === undefined) {
    throw malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"');
  }
  return {
    accessKeyId: parsed.accessKeyId,
    scope: parsed.scope,
    signedHeaders: signedHeaders.split(';'),
    signature,
  };
}

/** From the right, so that an access key id may contain `/`. `undefined` when it has not this form. */
export function parseCredential(text: string): { accessKeyId: string; scope: CredentialScope } | undefined {
  const pieces = text.split('/');
  if (pieces.length < 5 || pieces.pop() !== 'aws4_request') return undefined;
  const service = pieces.pop()!;
  const region = pieces.pop()!;
  const date = pieces.pop()!;
  const accessKeyId = pieces.join('/');
  if (accessKeyId === '' || !/^\d{8}$/.test(date)) return undefined;
  return { accessKeyId, scope: { date, region, service } };
}

function refuseScheme(value: string): never {
  const scheme = value.trimStart().split(/\s/, 1)[0]!;
  if (scheme === 'AWS') {
    throw new S3Error('InvalidRequest', {
      message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
      hint: 'The client signs with Signature Version 2 in the Authorization header; it is never accepted there.',
    });
  }
  if (scheme === 'AWS4-ECDSA-P256-SHA256') {
    throw new S3Error('NotImplemented', { message: 'AWS4-ECDSA-P256-SHA256 is not implemented.' });
  }
  if (scheme === ALGORITHM) throw malformed('the authorization header requires three components');
  throw new S3Error('InvalidArgument', {
    message: 'Unsupported Authorization Type',
    details: { ArgumentName: 'Authorization' },
  });
}

function malformed(reason: string, details: Record<string, string> = {}): S3Error {
  return new S3Error('AuthorizationHeaderMalformed', {
    message: `The authorization header is malformed; ${reason}.`,
    details,
  });
}

/** What the scope must say. Region and date come from the server and the request's own timestamp. */
export interface ExpectedScope {
  /** `undefined`: any, also the empty one. */
  readonly region: string | undefined;
  readonly service: string;
  /** `YYYYMMDD'T'…` of the request. */
  readonly timestamp: string;
}

/** @throws S3Error AuthorizationHeaderMalformed, which names the expected Region */
export function checkHeaderScope(scope: CredentialScope, expected: ExpectedScope): void {
  if (scope.date !== expected.timestamp.slice(0, 8)) {
    throw malformed(
      `Invalid credential date "${scope.date}". This date is not the same as X-Amz-Date: "${expected.timestamp.slice(0, 8)}"`,
    );
  }
  if (scope.service !== expected.service) {
    throw malformed(`incorrect service "${scope.service}". This endpoint belongs to "${expected.service}"`);
  }
  if (expected.region !== undefined && scope.region !== expected.region) {
    throw malformed(`the region '${scope.region}' is wrong; expecting '${expected.region}'`, {
      Region: expected.region,
    });
  }
}
