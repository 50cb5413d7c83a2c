import type { ChecksumAlgorithm, ChecksumType } from '../model/object-record.ts';

export interface ChecksumAlgorithmFacts {
  readonly algorithm: ChecksumAlgorithm;
  /** Header and trailer that carry a value of it. */
  readonly headerName: string;
  readonly lengthBytes: number;
  /** What a multipart object's checksum may be, the default first. Only CRCs can be combined from those of the parts. */
  readonly multipartTypes: readonly ChecksumType[];
}

const FACTS = [
  fact('CRC32', 4, 'COMPOSITE', 'FULL_OBJECT'),
  fact('CRC32C', 4, 'COMPOSITE', 'FULL_OBJECT'),
  fact('CRC64NVME', 8, 'FULL_OBJECT'),
  fact('SHA1', 20, 'COMPOSITE'),
  fact('SHA256', 32, 'COMPOSITE'),
  fact('SHA512', 64, 'COMPOSITE'),
  fact('MD5', 16, 'COMPOSITE'),
  fact('XXHASH64', 8, 'COMPOSITE'),
  fact('XXHASH3', 8, 'COMPOSITE'),
  fact('XXHASH128', 16, 'COMPOSITE'),
];

function fact(
  algorithm: ChecksumAlgorithm,
  lengthBytes: number,
  ...multipartTypes: ChecksumType[]
): ChecksumAlgorithmFacts {
  return { algorithm, headerName: `x-amz-checksum-${algorithm.toLowerCase()}`, lengthBytes, multipartTypes };
}

/** Every checksum that S3 knows, in the order it documents them. */
export const CHECKSUM_ALGORITHMS: ReadonlyMap<ChecksumAlgorithm, ChecksumAlgorithmFacts> = new Map(
  FACTS.map((facts) => [facts.algorithm, facts]),
);

const BY_HEADER: ReadonlyMap<string, ChecksumAlgorithmFacts> = new Map(FACTS.map((facts) => [facts.headerName, facts]));

/** By the name of a header or trailer, lower-case; `undefined` for any other, `x-amz-checksum-mode` included. */
export function checksumOfHeader(headerName: string): ChecksumAlgorithmFacts | undefined {
  return BY_HEADER.get(headerName);
}

/** S3's name of an algorithm in any case, as in `x-amz-sdk-checksum-algorithm`; `undefined` when there is none. */
export function parseChecksumAlgorithm(text: string): ChecksumAlgorithm | undefined {
  return CHECKSUM_ALGORITHMS.get(text.toUpperCase() as ChecksumAlgorithm)?.algorithm;
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** True for the base64 text of exactly `lengthBytes` bytes, padded, without white space. */
export function isBase64OfLength(text: string, lengthBytes: number): boolean {
  return (
    text.length === 4 * Math.ceil(lengthBytes / 3) && BASE64.test(text) && byteLengthOfBase64(text) === lengthBytes
  );
}

function byteLengthOfBase64(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return (text.length / 4) * 3 - padding;
}
