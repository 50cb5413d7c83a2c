import { createHmac, hash } from 'node:crypto';
import { S3Error } from '../../errors/s3-error.ts';
import type { ChunkSignatureVerifier } from '../../streams/payload.ts';
import { equalSignatures } from './equal-signatures.ts';
import { signatureMismatch } from './signature-mismatch.ts';

const EMPTY_SHA256 = hash('sha256', '', 'hex');

/**
 * Signatures of `aws-chunked` uploads: each covers the one before, the first one the request's own. A chunk that is
 * changed, dropped, doubled or moved breaks the chain there.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 */
export class ChunkSignatureChain implements ChunkSignatureVerifier {
  readonly #signingKey: Buffer;
  readonly #accessKeyId: string;
  /** `timestamp \n scope`. */
  readonly #context: string;
  #previous: string;

  constructor(seed: {
    signingKey: Buffer;
    accessKeyId: string;
    timestamp: string;
    scope: string;
    /** The request's own signature. */
    signature: string;
  }) {
    this.#signingKey = seed.signingKey;
    this.#accessKeyId = seed.accessKeyId;
    this.#context = `${seed.timestamp}\n${seed.scope}`;
    this.#previous = seed.signature;
  }

  verifyChunk({ dataSha256Hex, signature }: { dataSha256Hex: string; signature: string }): void {
    this.#verify(
      `AWS4-HMAC-SHA256-PAYLOAD\n${this.#context}\n${this.#previous}\n${EMPTY_SHA256}\n${dataSha256Hex}`,
      signature,
    );
  }

  verifyTrailer({ canonicalTrailers, signature }: { canonicalTrailers: string; signature: string }): void {
    const trailerHash = hash('sha256', Buffer.from(canonicalTrailers, 'latin1'), 'hex');
    this.#verify(`AWS4-HMAC-SHA256-TRAILER\n${this.#context}\n${this.#previous}\n${trailerHash}`, signature);
  }

  /** @throws S3Error SignatureDoesNotMatch */
  #verify(text: string, provided: string): void {
    const expected = createHmac('sha256', this.#signingKey).update(text, 'latin1').digest('hex');
    if (!equalSignatures(expected, provided)) {
      throw new S3Error('SignatureDoesNotMatch', {
        details: signatureMismatch({ accessKeyId: this.#accessKeyId, stringToSign: text, provided }),
        hint: 'The signature of the request itself was right; a chunk or the trailer of its body was changed on the way.',
      });
    }
    this.#previous = expected;
  }
}
