import { createHash, type Hash } from 'node:crypto';
import { S3Error } from '../errors/s3-error.ts';
import { assert } from '../errors/assert.ts';
import { parseTrailers } from './parse-trailers.ts';
import type { ChunkSignatureVerifier } from './payload.ts';

/** Size in hex, `;chunk-signature=` and 64 digits need 98 bytes; a client that sends more means no good. */
const MAXIMUM_CHUNK_HEADER_BYTES = 1024;
const MAXIMUM_TRAILER_BYTES = 8 * 1024;
/** S3's largest single upload: clients may send a body as one chunk. */
const MAXIMUM_CHUNK_BYTES = 5 * 1024 ** 3;

const CHUNK_HEADER = /^([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?$/;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

export interface AwsChunkedOptions {
  /** `x-amz-decoded-content-length`. */
  readonly decodedLengthBytes: number;
  readonly hasTrailer: boolean;
  /** Lower-case names from `x-amz-trailer`; exactly these must come. */
  readonly announcedTrailers: readonly string[];
  readonly verifier: ChunkSignatureVerifier | undefined;
  readonly maximumChunkBytes?: number;
}

/**
 * Takes `aws-chunked` framing off a body, push by push. Pieces of data are views of the input. Bytes of a chunk are
 * handed out before its signature has come, so nobody may make them visible before `finish` has returned: it does so
 * only when the last chunk, the trailers and the length are right. After a throw the decoder is spent.
 *
 * States: header → data → data-end → header … → (size 0) last-end or trailer → done.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
export class AwsChunkedDecoder {
  readonly #options: AwsChunkedOptions;
  #state: 'header' | 'data' | 'data-end' | 'last-end' | 'trailer' = 'header';
  /** Bytes of an incomplete chunk header or of the trailer section. */
  #pending = '';
  #chunkLeftBytes = 0;
  #chunkSignature = '';
  #chunkHash: Hash | undefined;
  #decodedBytes = 0;
  /** Bytes of the line end after data or after the last chunk still to come: 2, 1 or 0. */
  #lineEndLeft = 2;
  #trailers: ReadonlyMap<string, string> = new Map();

  constructor(options: AwsChunkedOptions) {
    this.#options = options;
  }

  /** Known after `finish`; lower-case names, without `x-amz-trailer-signature`. */
  get trailers(): ReadonlyMap<string, string> {
    return this.#trailers;
  }

  /** @throws S3Error InvalidRequest | IncompleteBody | EntityTooLarge | MalformedTrailerError | SignatureDoesNotMatch */
  push(input: Buffer, output: Buffer[]): void {
    let offset = 0;
    while (offset < input.length) {
      switch (this.#state) {
        case 'header':
          offset = this.#readHeader(input, offset);
          break;
        case 'data':
          offset = this.#readData(input, offset, output);
          break;
        case 'data-end':
        case 'last-end':
          offset = this.#readLineEnd(input, offset);
          break;
        case 'trailer':
          this.#pending += input.toString('latin1', offset);
          if (this.#pending.length > MAXIMUM_TRAILER_BYTES) throw new S3Error('MalformedTrailerError');
          offset = input.length;
      }
    }
  }

  /** Call at the end of the body. @throws S3Error as push does */
  finish(): void {
    const { decodedLengthBytes, announcedTrailers, verifier } = this.#options;
    if (this.#state !== 'trailer' && !(this.#state === 'last-end' && this.#lineEndLeft !== 1)) {
      throw new S3Error('IncompleteBody', { message: 'The request body terminated unexpectedly' });
    }
    if (this.#decodedBytes !== decodedLengthBytes) throw wrongLength(decodedLengthBytes, this.#decodedBytes);
    if (this.#state === 'trailer') {
      this.#trailers = parseTrailers(this.#pending, { announced: announcedTrailers, verifier });
    }
  }

  #readHeader(input: Buffer, start: number): number {
    const lineFeed = input.indexOf(LINE_FEED, start);
    const end = lineFeed === -1 ? input.length : lineFeed;
    if (this.#pending.length + end - start > MAXIMUM_CHUNK_HEADER_BYTES) throw malformedChunk();
    this.#pending += input.toString('latin1', start, end);
    if (lineFeed === -1) return input.length;
    if (!this.#pending.endsWith('\r')) throw malformedChunk();
    this.#openChunk(this.#pending.slice(0, -1));
    this.#pending = '';
    return lineFeed + 1;
  }

  #openChunk(header: string): void {
    const { verifier, decodedLengthBytes, maximumChunkBytes = MAXIMUM_CHUNK_BYTES } = this.#options;
    const match = CHUNK_HEADER.exec(header);
    if (match === null) throw malformedChunk();
    const sizeBytes = Number.parseInt(match[1]!, 16);
    if (sizeBytes > maximumChunkBytes) {
      throw new S3Error('EntityTooLarge', { details: { ProposedSize: sizeBytes, MaxSizeAllowed: maximumChunkBytes } });
    }
    if ((match[2] !== undefined) !== (verifier !== undefined)) throw malformedChunk();
    if (this.#decodedBytes + sizeBytes > decodedLengthBytes) {
      throw wrongLength(decodedLengthBytes, this.#decodedBytes + sizeBytes);
    }
    this.#chunkLeftBytes = sizeBytes;
    this.#lineEndLeft = 2;
    if (verifier !== undefined) {
      this.#chunkSignature = match[2]!;
      this.#chunkHash = createHash('sha256');
    }
    if (sizeBytes > 0) {
      this.#state = 'data';
    } else {
      this.#verifyChunk();
      this.#state = this.#options.hasTrailer ? 'trailer' : 'last-end';
    }
  }

  #readData(input: Buffer, start: number, output: Buffer[]): number {
    const lengthBytes = Math.min(input.length - start, this.#chunkLeftBytes);
    const piece = input.subarray(start, start + lengthBytes);
    this.#chunkHash?.update(piece);
    output.push(piece);
    this.#decodedBytes += lengthBytes;
    this.#chunkLeftBytes -= lengthBytes;
    if (this.#chunkLeftBytes === 0) {
      this.#verifyChunk();
      this.#state = 'data-end';
    }
    return start + lengthBytes;
  }

  #verifyChunk(): void {
    if (this.#options.verifier === undefined) return;
    assert(this.#chunkHash !== undefined, 'a signed chunk has a hash');
    const dataSha256Hex = this.#chunkHash.digest('hex');
    this.#options.verifier.verifyChunk({ dataSha256Hex, signature: this.#chunkSignature });
  }

  #readLineEnd(input: Buffer, start: number): number {
    if (this.#lineEndLeft === 0) throw malformedChunk();
    if (input[start] !== (this.#lineEndLeft === 2 ? CARRIAGE_RETURN : LINE_FEED)) throw malformedChunk();
    this.#lineEndLeft -= 1;
    if (this.#lineEndLeft === 0 && this.#state === 'data-end') this.#state = 'header';
    return start + 1;
  }
}

function malformedChunk(): S3Error {
  return new S3Error('InvalidRequest', { message: 'The aws-chunked encoding of the request body is not well-formed.' });
}

function wrongLength(expectedBytes: number, providedBytes: number): S3Error {
  return new S3Error('IncompleteBody', {
    message: 'You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header',
    details: { NumberBytesExpected: expectedBytes, NumberBytesProvided: providedBytes },
  });
}
