/**
 * How the body of an authenticated request is framed and what was signed of it. Follows `x-amz-content-sha256` alone,
 * never Content-Encoding.
 */
export type Payload =
  | { readonly kind: 'unsigned' }
  /** The whole body's SHA-256 was signed. Lower-case hex. */
  | { readonly kind: 'signed'; readonly sha256Hex: string }
  /** `aws-chunked` framing; with `verifier` each chunk carries a signature, else none may. */
  | {
      readonly kind: 'aws-chunked';
      readonly hasTrailer: boolean;
      readonly verifier: ChunkSignatureVerifier | undefined;
    };

/** The chain of chunk signatures. Each call checks one link and makes it the base of the next. */
export interface ChunkSignatureVerifier {
  /** @throws S3Error SignatureDoesNotMatch */
  verifyChunk(chunk: { dataSha256Hex: string; signature: string }): void;
  /** `canonicalTrailers`: `name:value\n` of each trailer but the signature. @throws S3Error SignatureDoesNotMatch */
  verifyTrailer(trailer: { canonicalTrailers: string; signature: string }): void;
}
