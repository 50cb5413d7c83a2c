import { S3Error } from '../errors/s3-error.ts';
import type { S3ErrorCode } from '../errors/s3-errors.ts';
import { isStoreError, type StoreErrorCode } from '../errors/store-error.ts';

interface Mapping {
  readonly code: S3ErrorCode;
  /** Sent as Retry-After where waiting helps. */
  readonly retryAfterSeconds?: number;
}

/** What a client is told when the environment fails. The one place that says so. */
const MAPPING: Readonly<Record<StoreErrorCode, Mapping>> = {
  // Fewer than k good shards: nothing a client can do, and nothing that waiting is sure to mend.
  ShardCorrupt: { code: 'InternalError' },
  TooFewShards: { code: 'InternalError' },
  JournalCorrupt: { code: 'InternalError' },
  FormatRefused: { code: 'InternalError' },
  // docs/decisions/0005-full-disk-answer.md
  DiskFull: { code: 'InsufficientStorage' },
  DiskFailed: { code: 'ServiceUnavailable', retryAfterSeconds: 2 },
  DiskTimeout: { code: 'ServiceUnavailable', retryAfterSeconds: 2 },
  DiskMissing: { code: 'ServiceUnavailable', retryAfterSeconds: 2 },
  QuorumLost: { code: 'ServiceUnavailable', retryAfterSeconds: 5 },
  Undecided: { code: 'ServiceUnavailable', retryAfterSeconds: 2 },
  NotReady: { code: 'ServiceUnavailable', retryAfterSeconds: 2 },
  IndexFailed: { code: 'ServiceUnavailable', retryAfterSeconds: 5 },
  BlobGone: { code: 'ServiceUnavailable', retryAfterSeconds: 1 },
  KeysUnavailable: { code: 'ServiceUnavailable', retryAfterSeconds: 5 },
  Overloaded: { code: 'SlowDown', retryAfterSeconds: 1 },
};

/** Any error of a request as the S3Error that is sent; what is neither S3's nor a store's is a bug: InternalError. */
export function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (!isStoreError(error)) return new S3Error('InternalError', { cause: error });
  const { code, retryAfterSeconds } = MAPPING[error.code];
  return new S3Error(code, {
    ...(retryAfterSeconds === undefined ? {} : { headers: { 'retry-after': String(retryAfterSeconds) } }),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    cause: error,
  });
}
