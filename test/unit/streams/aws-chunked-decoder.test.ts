import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AwsChunkedDecoder } from '../../../src/streams/aws-chunked-decoder.ts';
import type { ChunkSignatureVerifier } from '../../../src/streams/payload.ts';
import { ChunkSignatureChain } from '../../../src/s3/sigv4/chunk-signature-chain.ts';
import { deriveSigningKey } from '../../../src/s3/sigv4/signing-key-cache.ts';
import { awsChunked, type ChunkSigner } from '../../support/signed-client.ts';
import { CREDENTIAL, s3Error, TIMESTAMP } from '../s3/sigv4/fixtures.ts';

const SIGNER: ChunkSigner = { seed: '5'.repeat(64), timestamp: TIMESTAMP, region: 'us-east-1', credential: CREDENTIAL };
const SCOPE = { date: '20130524', region: 'us-east-1', service: 's3' };
const CRC = 'x-amz-checksum-crc32c';

function verifier(): ChunkSignatureVerifier {
  return new ChunkSignatureChain({
    signingKey: deriveSigningKey(CREDENTIAL.secretAccessKey, SCOPE),
    accessKeyId: CREDENTIAL.accessKeyId,
    timestamp: TIMESTAMP,
    scope: '20130524/us-east-1/s3/aws4_request',
    signature: SIGNER.seed,
  });
}

interface Case {
  body: Buffer;
  decodedLengthBytes: number;
  isSigned?: boolean;
  trailers?: readonly string[];
  maximumChunkBytes?: number;
  /** Bytes of each push; default: all at once. */
  step?: number;
}

function decode({ body, decodedLengthBytes, isSigned = true, trailers, step, ...rest }: Case): Buffer {
  const decoder = new AwsChunkedDecoder({
    decodedLengthBytes,
    hasTrailer: trailers !== undefined,
    announcedTrailers: trailers ?? [],
    verifier: isSigned ? verifier() : undefined,
    ...rest,
  });
  const output: Buffer[] = [];
  for (let start = 0; start < body.length; start += step ?? body.length) {
    decoder.push(body.subarray(start, start + (step ?? body.length)), output);
  }
  decoder.finish();
  return Buffer.concat(output);
}

const A = Buffer.alloc(100, 'a');
const B = Buffer.alloc(100, 'b');
const C = Buffer.alloc(50, 'c');
const DATA = Buffer.concat([A, B, C]);
const text = (body: Buffer): string => body.toString('latin1');
const bytes = (body: string): Buffer => Buffer.from(body, 'latin1');
const signed = (): Buffer => awsChunked({ chunks: [A, B, C], signer: SIGNER });
const withTrailer = (): Buffer => awsChunked({ chunks: [A, B, C], signer: SIGNER, trailers: { [CRC]: 'sOO8/Q==' } });
const unsignedTrailer = (): Buffer => awsChunked({ chunks: [A, B, C], trailers: { [CRC]: 'sOO8/Q==' } });
/** The framed chunks: header, data, line end. */
const framed = (body: Buffer): string[] =>
  text(body).match(/[0-9a-f]+;chunk-signature=[0-9a-f]{64}\r\n(?:[abc]+\r\n)?/g)!;

describe('AwsChunkedDecoder', () => {
  it('decodes signed chunks, signed trailers and unsigned trailers, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 500 }),
        fc.boolean(),
        fc.boolean(),
        (chunks, step, isSigned, hasTrailer) => {
          const buffers = chunks.map((chunk) => Buffer.from(chunk));
          const body = awsChunked({
            chunks: buffers,
            ...(isSigned ? { signer: SIGNER } : {}),
            ...(hasTrailer ? { trailers: { [CRC]: 'sOO8/Q==' } } : {}),
          });
          const data = Buffer.concat(buffers);
          const decoded = decode({
            body,
            decodedLengthBytes: data.length,
            isSigned,
            step,
            ...(hasTrailer ? { trailers: [CRC] } : {}),
          });
          expect(decoded.equals(data)).toBe(true);
        },
      ),
    );
  });

  it('accepts the line ends of AWS’s own trailer example', () => {
    const body = bytes(text(withTrailer()).replace('sOO8/Q==\r\n', 'sOO8/Q==\n\r\n'));
    expect(decode({ body, decodedLengthBytes: 250, trailers: [CRC] }).equals(DATA)).toBe(true);
  });

  it('hands out views of the input, not copies', () => {
    const output: Buffer[] = [];
    const body = signed();
    new AwsChunkedDecoder({
      decodedLengthBytes: 250,
      hasTrailer: false,
      announcedTrailers: [],
      verifier: verifier(),
    }).push(body, output);
    expect(output[0]!.buffer).toBe(body.buffer);
  });

  const attacks: [name: string, attack: () => Partial<Case> & { body: Buffer }, code: string][] = [
    [
      'a flipped byte in chunk 2',
      () => ({ body: bytes(text(signed()).replace('bbbbbbbb', 'bbbbbbbx')) }),
      'SignatureDoesNotMatch',
    ],
    [
      'two chunks swapped',
      () => {
        const [a, b, ...rest] = framed(signed());
        return { body: bytes([b, a, ...rest, '\r\n'].join('')) };
      },
      'SignatureDoesNotMatch',
    ],
    [
      'a chunk twice',
      () => {
        const [a, ...rest] = framed(signed());
        return { body: bytes([a, a, ...rest, '\r\n'].join('')), decodedLengthBytes: 350 };
      },
      'SignatureDoesNotMatch',
    ],
    [
      'the signature of chunk 1 used again for an equal chunk 2',
      () => {
        const body = awsChunked({ chunks: [A, A], signer: SIGNER });
        const [a, , end] = framed(body);
        return { body: bytes([a, a, end, '\r\n'].join('')), decodedLengthBytes: 200 };
      },
      'SignatureDoesNotMatch',
    ],
    [
      'the last data chunk dropped, length adjusted',
      () => {
        const [a, b, , end] = framed(signed());
        return { body: bytes([a, b, end, '\r\n'].join('')), decodedLengthBytes: 200 };
      },
      'SignatureDoesNotMatch',
    ],
    [
      'the last data chunk dropped',
      () => {
        const [a, b] = framed(signed());
        return { body: bytes([a, b].join('')) };
      },
      'IncompleteBody',
    ],
    ['the 0-chunk dropped', () => ({ body: bytes(framed(signed()).slice(0, 3).join('')) }), 'IncompleteBody'],
    ['the 0-chunk cut in its header', () => ({ body: signed().subarray(0, -10) }), 'IncompleteBody'],
    ['a body cut in a chunk', () => ({ body: signed().subarray(0, 150) }), 'IncompleteBody'],
    ['an empty body', () => ({ body: Buffer.alloc(0) }), 'IncompleteBody'],
    [
      'an extra chunk behind the 0-chunk',
      () => ({ body: Buffer.concat([signed(), bytes(framed(signed())[0]!)]) }),
      'InvalidRequest',
    ],
    [
      'a chunk size one too small',
      () => ({ body: bytes(text(signed()).replace('64;', '63;')) }),
      'SignatureDoesNotMatch',
    ],
    [
      'a chunk size one too large',
      () => ({ body: bytes(text(signed()).replace('64;', '65;')) }),
      'SignatureDoesNotMatch',
    ],
    ['a decoded length one too small', () => ({ body: signed(), decodedLengthBytes: 249 }), 'IncompleteBody'],
    ['a decoded length one too large', () => ({ body: signed(), decodedLengthBytes: 251 }), 'IncompleteBody'],
    ['a chunk above the limit', () => ({ body: signed(), maximumChunkBytes: 99 }), 'EntityTooLarge'],
    [
      'a chunk size of sixteen digits',
      () => ({ body: bytes(`${'f'.repeat(16)};chunk-signature=${'0'.repeat(64)}\r\n`) }),
      'EntityTooLarge',
    ],
    ['a chunk size of seventeen digits', () => ({ body: bytes(`${'0'.repeat(17)}\r\n`) }), 'InvalidRequest'],
    ['a negative chunk size', () => ({ body: bytes('-1\r\n') }), 'InvalidRequest'],
    ['a chunk size with 0x', () => ({ body: bytes('0x1\r\n') }), 'InvalidRequest'],
    ['a chunk header above 1 KiB', () => ({ body: bytes(`64;${'x'.repeat(1100)}\r\n`) }), 'InvalidRequest'],
    [
      'a chunk header above 1 KiB without an end',
      () => ({ body: bytes('6'.repeat(2000)), step: 100 }),
      'InvalidRequest',
    ],
    ['another chunk extension', () => ({ body: bytes(text(signed()).replace('64;', '64;a=b;')) }), 'InvalidRequest'],
    ['a bare LF behind the header', () => ({ body: bytes(text(signed()).replace('\r\n', '\n')) }), 'InvalidRequest'],
    ['no line end behind the data', () => ({ body: bytes(text(signed()).replace('a\r\n', 'a')) }), 'InvalidRequest'],
    ['chunks without signatures', () => ({ body: awsChunked({ chunks: [A, B, C] }) }), 'InvalidRequest'],
    ['signatures where none belong', () => ({ body: signed(), isSigned: false }), 'InvalidRequest'],
    [
      'a trailer without its signature',
      () => ({ body: bytes(text(withTrailer()).replace(/x-amz-trailer-signature:.*\r\n/, '')), trailers: [CRC] }),
      'MalformedTrailerError',
    ],
    [
      'a changed trailer',
      () => ({ body: bytes(text(withTrailer()).replace('sOO8', 'sOO9')), trailers: [CRC] }),
      'SignatureDoesNotMatch',
    ],
    [
      'a trailer signature of another chain',
      () => ({
        body: bytes(text(withTrailer()).replace(/(trailer-signature:)[0-9a-f]{64}/, `$1${'0'.repeat(64)}`)),
        trailers: [CRC],
      }),
      'SignatureDoesNotMatch',
    ],
    ['a trailer that was not announced', () => ({ body: withTrailer(), trailers: [] }), 'MalformedTrailerError'],
    [
      'an announced trailer that does not come',
      () => ({ body: unsignedTrailer(), isSigned: false, trailers: [CRC, 'x-amz-checksum-crc32'] }),
      'MalformedTrailerError',
    ],
    [
      'a second trailer of the same name',
      () => ({
        body: bytes(text(unsignedTrailer()).replace(/(x-amz-checksum-crc32c:.*\r\n)/, '$1$1')),
        isSigned: false,
        trailers: [CRC],
      }),
      'MalformedTrailerError',
    ],
    [
      'a trailer behind its signature',
      () => ({
        body: bytes(text(withTrailer()).replace(/(x-amz-checksum-crc32c:.*\r\n)(.*\r\n)/, '$2$1')),
        trailers: [CRC],
      }),
      'MalformedTrailerError',
    ],
    [
      'a trailer before the 0-chunk',
      () => ({
        body: bytes(`64\r\n${text(A)}\r\n${CRC}:sOO8/Q==\r\n0\r\n\r\n`),
        decodedLengthBytes: 100,
        isSigned: false,
        trailers: [CRC],
      }),
      'InvalidRequest',
    ],
    [
      'a trailer signature where none belongs',
      () => ({ body: withTrailer().subarray(0), isSigned: false, trailers: [CRC] }),
      'InvalidRequest',
    ],
    [
      'a trailer without a colon',
      () => ({ body: bytes(text(unsignedTrailer()).replace(':', ' ')), isSigned: false, trailers: [CRC] }),
      'MalformedTrailerError',
    ],
    [
      'a trailer section above its bound',
      () => ({
        body: bytes(`0\r\n${CRC}:${'x'.repeat(9000)}\r\n\r\n`),
        decodedLengthBytes: 0,
        isSigned: false,
        trailers: [CRC],
        step: 100,
      }),
      'MalformedTrailerError',
    ],
    [
      'no trailer section at all',
      () => ({ body: bytes('0\r\n'), decodedLengthBytes: 0, isSigned: false, trailers: [CRC] }),
      'MalformedTrailerError',
    ],
  ];
  it.each(attacks)('sec_aws_chunked__GHSA_v2ch_c8v8_fgr7: refuses %s', (_name, attack, code) => {
    expect(s3Error(() => decode({ decodedLengthBytes: 250, ...attack() })).code).toBe(code);
  });

  it('sec_chunk_fuzz: any change of one byte of a signed body is refused or changes nothing', () => {
    const original = withTrailer();
    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.nat(255), (index, value) => {
        const body = Buffer.from(original);
        body[index] = value;
        try {
          expect(decode({ body, decodedLengthBytes: 250, trailers: [CRC] }).equals(DATA)).toBe(true);
        } catch (error) {
          expect((error as Error).name).toBe('S3Error');
        }
      }),
      { numRuns: 2000 },
    );
  });
});
