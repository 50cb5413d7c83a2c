import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import { CRC64_INITIAL, crc64DigestOf, crc64Engine } from './crc64-nvme.ts';
import { wasmHasher } from './wasm-hashers.ts';

/**
 * One digest of bytes in memory, synchronously: for small bodies. CRCs and XXHashes come in big-endian byte order, the
 * XXHashes with seed 0, as S3 wants them.
 */
export function digestOf(algorithm: ChecksumAlgorithm, bytes: Buffer): Buffer {
  switch (algorithm) {
    case 'MD5':
      return hashOf('md5', bytes);
    case 'SHA1':
      return hashOf('sha1', bytes);
    case 'SHA256':
      return hashOf('sha256', bytes);
    case 'SHA512':
      return hashOf('sha512', bytes);
    case 'CRC32':
      return bigEndian32(crc32(bytes));
    case 'CRC32C':
      return bigEndian32(crc32c(bytes));
    case 'CRC64NVME':
      return crc64DigestOf(crc64Engine().update(CRC64_INITIAL, bytes));
    case 'XXHASH64':
    case 'XXHASH3':
    case 'XXHASH128':
      return Buffer.from(wasmHasher(algorithm).init().update(bytes).digest('binary'));
  }
}

/** By way of a string: as a buffer node makes the result outside of its pool, which costs two microseconds. */
function hashOf(name: string, bytes: Buffer): Buffer {
  return Buffer.from(hash(name, bytes, 'binary'), 'binary');
}

/** Several at once. */
export function digestsOf(
  algorithms: Iterable<ChecksumAlgorithm>,
  bytes: Buffer,
): ReadonlyMap<ChecksumAlgorithm, Buffer> {
  const digests = new Map<ChecksumAlgorithm, Buffer>();
  for (const algorithm of algorithms) if (!digests.has(algorithm)) digests.set(algorithm, digestOf(algorithm, bytes));
  return digests;
}

export function bigEndian32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
