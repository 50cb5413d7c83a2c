/** What went wrong in the environment of a store; the pipeline maps each to one S3 code (`store-error-to-s3.ts`). */
export type StoreErrorCode =
  | 'ShardCorrupt' // a checksum did not match; fewer than k good shards when it reaches a client
  | 'DiskFull' // below the reserve line, or ENOSPC
  | 'DiskFailed' // an I/O error or an ejected disk
  | 'DiskTimeout' // the deadline of a call passed; the call may still be under way
  | 'QuorumLost' // fewer than m + 1 usable disks: no write can be acknowledged
  | 'TooFewShards' // fewer than k readable shards
  | 'BlobGone' // a blob is no longer live: look the location up once more
  | 'Undecided' // a batch was synced on fewer than m + 1 disks; its outcome is decided by the next epoch
  | 'NotReady' // recovering, rebuilding the index or stopping
  | 'Overloaded' // a limit of memory or queue was reached
  | 'IndexFailed' // SQLite failed; the index is rebuilt
  | 'DiskMissing' // the path does not name the directory that was opened
  | 'KeysUnavailable' // the key ring cannot be opened, or the key service does not answer
  | 'FormatRefused' // an identity file is missing, foreign, duplicate or of an unknown version
  | 'JournalCorrupt'; // a frame that is not the last one fails its checksum on too many disks

/** An error of the environment, not of the client. `hint` tells the operator what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly hint: string | undefined;

  constructor(code: StoreErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'StoreError';
    this.code = code;
    this.hint = options.hint;
  }
}

export function isStoreError(error: unknown, ...codes: StoreErrorCode[]): error is StoreError {
  return error instanceof StoreError && (codes.length === 0 || codes.includes(error.code));
}
