/**
 * The sealed form of a body: AES-256-GCM in packages of 64 KiB, each followed by its 16-byte tag (docs/ON-DISK-FORMAT.md).
 *
 * One body is one stream with a key of its own (data-key.ts), so a nonce is no secret and needs no room: 3 zero bytes,
 * the package's index as 8 bytes big-endian, and one byte that is 1 for the last package, else 0. What is changed,
 * moved, left out, doubled or cut off therefore fails a tag. Every package but the last holds exactly 64 KiB, so that
 * the place of each follows from its index. An empty body has no packages.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';

/** Plain bytes of every package but the last. */
export const PACKAGE_BYTES = 64 * 1024;
export const TAG_BYTES = 16;
export const SEALED_PACKAGE_BYTES = PACKAGE_BYTES + TAG_BYTES;
const NONCE_BYTES = 12;
const CIPHER = 'aes-256-gcm';

/** Where packages stand in their stream. */
export interface PackagePlace {
  /** Index of the first of them, from 0. */
  firstIndex: number;
  /** The last of them is the last of the stream. */
  isEnd: boolean;
}

/** Bytes that a body of this length occupies when it is sealed. */
export function sealedSizeBytes(plainSizeBytes: number): number {
  return plainSizeBytes + TAG_BYTES * Math.ceil(plainSizeBytes / PACKAGE_BYTES);
}

/** The length of the body that was sealed. @throws StoreError ShardCorrupt: no body is sealed into so many bytes */
export function plainSizeBytes(sealedBytes: number): number {
  const plain = sealedBytes - TAG_BYTES * Math.ceil(sealedBytes / SEALED_PACKAGE_BYTES);
  if (plain < 0 || sealedSizeBytes(plain) !== sealedBytes) {
    throw new StoreError('ShardCorrupt', `a sealed body cannot be ${sealedBytes} bytes long`);
  }
  return plain;
}

/** The packages that hold a range of a body. */
export interface PackageSpan extends PackagePlace {
  /** Where they lie in the sealed stream. */
  sealedStart: number;
  sealedLength: number;
  /** Plain bytes of the first package before the range. */
  skipBytes: number;
}

/** `length` > 0, the range within the body. */
export function packagesOf(range: { start: number; length: number }, plainSize: number): PackageSpan {
  const end = range.start + range.length;
  assert(range.start >= 0 && range.length > 0 && end <= plainSize, 'range outside the sealed body');
  const firstIndex = Math.floor(range.start / PACKAGE_BYTES);
  const afterLast = Math.ceil(end / PACKAGE_BYTES);
  const sealedStart = firstIndex * SEALED_PACKAGE_BYTES;
  const sealedEnd = Math.min(afterLast * SEALED_PACKAGE_BYTES, sealedSizeBytes(plainSize));
  return {
    firstIndex,
    isEnd: afterLast * PACKAGE_BYTES >= plainSize,
    sealedStart,
    sealedLength: sealedEnd - sealedStart,
    skipBytes: range.start - firstIndex * PACKAGE_BYTES,
  };
}

/**
 * Seals `plain` into `target`, which must not overlap it and holds `sealedSizeBytes(plain.length)` at least. `plain` is
 * a whole number of packages unless it is the end. A place is sealed once under one key, never twice. Answers the
 * number of bytes written.
 */
export function sealPackages(streamKey: Buffer, place: PackagePlace, plain: Buffer, target: Buffer): number {
  assert(place.isEnd || plain.length % PACKAGE_BYTES === 0, 'only the last package of a stream may be short');
  const key = createSecretKey(streamKey);
  let written = 0;
  for (let start = 0, index = place.firstIndex; start < plain.length; start += PACKAGE_BYTES, index++) {
    const end = Math.min(start + PACKAGE_BYTES, plain.length);
    const nonce = nonceOf(index, place.isEnd && end === plain.length);
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    written += cipher.update(plain.subarray(start, end)).copy(target, written);
    cipher.final();
    written += cipher.getAuthTag().copy(target, written);
  }
  return written;
}

/**
 * Opens whole packages; nothing of a package is in `target` before its tag was verified. `target` may be the beginning
 * of `sealed` itself. Answers the number of plain bytes.
 *
 * @throws StoreError ShardCorrupt: a package is not the one that was sealed at its place under this key
 */
export function openPackages(streamKey: Buffer, place: PackagePlace, sealed: Buffer, target: Buffer): number {
  const key = createSecretKey(streamKey);
  let written = 0;
  for (let start = 0, index = place.firstIndex; start < sealed.length; start += SEALED_PACKAGE_BYTES, index++) {
    const end = Math.min(start + SEALED_PACKAGE_BYTES, sealed.length);
    const isFinal = place.isEnd && end === sealed.length;
    if (end - start <= TAG_BYTES || (!isFinal && end - start !== SEALED_PACKAGE_BYTES)) throw broken(index);
    written += openPackage(key, { index, isFinal }, sealed.subarray(start, end)).copy(target, written);
  }
  return written;
}

function openPackage(key: KeyObject, place: { index: number; isFinal: boolean }, sealed: Buffer): Buffer {
  const nonce = nonceOf(place.index, place.isFinal);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(Buffer.from(sealed.subarray(sealed.length - TAG_BYTES)));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    plain.fill(0);
    throw broken(place.index, cause);
  }
  return plain;
}

function nonceOf(index: number, isFinal: boolean): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(index, 5, 6);
  nonce[NONCE_BYTES - 1] = isFinal ? 1 : 0;
  return nonce;
}

function broken(index: number, cause?: unknown): StoreError {
  return new StoreError('ShardCorrupt', `package ${index} of an encrypted body is not what was sealed there`, {
    hint: 'The bytes on the disks, or the record of the object, were changed by something else than this server.',
    cause,
  });
}
