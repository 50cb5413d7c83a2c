import { S3_ERRORS, type S3ErrorCode } from './s3-errors.ts';

/** Extra elements of the error document and extra response headers, by name. */
export interface S3ErrorOptions {
  /** Replaces the table's message. */
  message?: string;
  /** Extra XML elements in document order, e.g. `{ Key: 'photo.jpg' }`. */
  details?: Readonly<Record<string, string | number>>;
  /** Extra HTTP response headers, lower-case names. */
  headers?: Readonly<Record<string, string>>;
  /** For the operator's log only; never sent. */
  hint?: string;
  cause?: unknown;
}

/**
 * An expected outcome of a request, in S3's words. The pipeline turns it into S3's XML and the status of `S3_ERRORS`.
 * Stores and services throw it as well: it is part of the language of the product, not of the HTTP layer.
 */
export class S3Error extends Error {
  readonly code: S3ErrorCode;
  readonly status: number;
  readonly details: Readonly<Record<string, string | number>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly hint: string | undefined;

  constructor(code: S3ErrorCode, options: S3ErrorOptions = {}) {
    super(options.message ?? S3_ERRORS[code].message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'S3Error';
    this.code = code;
    this.status = S3_ERRORS[code].status;
    this.details = options.details ?? {};
    this.headers = options.headers ?? {};
    this.hint = options.hint;
  }
}
