import { IamError, type IamErrorCode } from '../errors/iam-error.ts';
import { S3Error } from '../errors/s3-error.ts';
import type { S3ErrorCode } from '../errors/s3-errors.ts';
import { toS3Error } from '../s3/store-error-to-s3.ts';

/** What the authenticator and the reader of bodies say in S3's words, in those of IAM and STS. */
const CODES: Partial<Record<S3ErrorCode, IamErrorCode>> = {
  AccessDenied: 'AccessDenied',
  AuthorizationHeaderMalformed: 'IncompleteSignature',
  AuthorizationQueryParametersError: 'IncompleteSignature',
  EntityTooLarge: 'RequestEntityTooLarge',
  ExpiredToken: 'ExpiredToken',
  InternalError: 'InternalFailure',
  InvalidAccessKeyId: 'InvalidClientTokenId',
  InvalidToken: 'InvalidClientTokenId',
  NotImplemented: 'NotImplemented',
  RequestTimeTooSkewed: 'SignatureDoesNotMatch',
  ServiceUnavailable: 'ServiceUnavailable',
  InsufficientStorage: 'ServiceUnavailable',
  SignatureDoesNotMatch: 'SignatureDoesNotMatch',
  SlowDown: 'Throttling',
};

/** These say more in IAM's own words than in S3's. */
const OWN_WORDS: ReadonlySet<IamErrorCode> = new Set([
  'ExpiredToken',
  'InternalFailure',
  'InvalidClientTokenId',
  'RequestEntityTooLarge',
]);

/** Any error of a request as the one that is sent. What is neither IAM's, S3's nor a store's is a bug: InternalFailure. */
export function toIamError(error: unknown): IamError {
  if (error instanceof IamError) return error;
  const s3Error = error instanceof S3Error ? error : toS3Error(error);
  const code = CODES[s3Error.code] ?? 'InvalidInput';
  return new IamError(code, OWN_WORDS.has(code) ? undefined : s3Error.message, {
    headers: s3Error.headers,
    ...(s3Error.hint === undefined ? {} : { hint: s3Error.hint }),
    cause: s3Error.cause ?? s3Error,
  });
}
