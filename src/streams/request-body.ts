import type { ChecksumAlgorithm } from '../model/object-record.ts';

/**
 * The decoded payload of a request: aws-chunked framing removed, chunk signatures verified as they pass. Consumed once.
 * Iteration throws S3Error (IncompleteBody, SignatureDoesNotMatch, RequestTimeout, MalformedTrailerError …).
 */
export interface RequestBody extends AsyncIterable<Buffer> {
  /** Decoded length; `undefined` only where the client did not say (Transfer-Encoding: chunked without x-amz-decoded-content-length). */
  readonly lengthBytes: number | undefined;
  /** Whoever iterates to the end has seen all of it, although no length was said: the file of a form. */
  readonly tellsItsEnd?: true;
  /**
   * What the bytes must hash to. Algorithms are known at once, so that hashing can begin; values from a trailer are
   * known only after the last byte: read `value()` then. The consumer compares and throws; nothing is visible before.
   */
  readonly expectations: readonly DigestExpectation[];
}

export interface DigestExpectation {
  /** `payload-sha256`: x-amz-content-sha256 (hex, mismatch is XAmzContentSHA256Mismatch). `content-md5`: base64 (BadDigest). `checksum`: x-amz-checksum-* (base64, BadDigest). */
  kind: 'payload-sha256' | 'content-md5' | 'checksum';
  algorithm: ChecksumAlgorithm;
  /** Call after the end of the body. @throws S3Error MalformedTrailerError when the announced trailer did not come. */
  value(): string;
}
