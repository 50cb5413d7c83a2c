/**
 * The data key of a version, and how it is kept: sealed under a wrapping key that comes from the server's key ring, from
 * a key service or from the client.
 *
 *     wrapping key, salt (32 random bytes), binding ── HMAC-SHA-512 ──► 32 bytes sealing key, 32 bytes commitment
 *     sealed data key = salt 32 · commitment 32 · AES-256-GCM of the data key, nonce of zeros (the key is used once): 48
 *
 * The commitment says whether it is the right wrapping key for this bucket and key before anything is decrypted (GCM alone
 * does not: a ciphertext can be made that opens under two keys), and serves as the salted HMAC by which a customer's key
 * is recognized. It cannot be turned back into the key.
 */
import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import { assert } from '../errors/assert.ts';
import type { Randomness } from '../model/clock.ts';

export const KEY_BYTES = 32;
export const SEALED_DATA_KEY_BYTES = 32 + 32 + KEY_BYTES + 16;
export const STREAM_SALT_BYTES = 16;
const SALT_BYTES = 32;
const COMMITMENT_END = 64;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const CIPHER = 'aes-256-gcm';
const ZERO_NONCE = Buffer.alloc(NONCE_BYTES);

/** What an object's sealed data key belongs to. Under any other name it does not open. */
export interface VersionName {
  bucketId: number;
  key: string;
  /** Random, of this very write, and part of the id of the version that it made (model/version-seed.ts). */
  seed: Buffer;
}

/** `VersionName` as a binding. */
export function versionBinding({ bucketId, seed, key }: VersionName): Buffer {
  return Buffer.from(`version\0${bucketId}\0${seed.toString('hex')}\0${key}`);
}

/** It is another wrapping key than the one it was sealed with, or it belongs to another object. */
export class WrongWrappingKeyError extends Error {
  constructor(options: { cause?: unknown } = {}) {
    super('the data key does not open under this wrapping key and name', options);
    this.name = 'WrongWrappingKeyError';
  }
}

export function makeDataKey(randomness: Randomness): Buffer {
  return randomness.bytes(KEY_BYTES);
}

/** `binding`: what else must be the same for it to open. */
export function sealDataKey(dataKey: Buffer, wrappingKey: Buffer, binding: Buffer, randomness: Randomness): Buffer {
  assert(dataKey.length === KEY_BYTES && wrappingKey.length === KEY_BYTES, 'keys have 32 bytes');
  const salt = randomness.bytes(SALT_BYTES);
  const derived = derive(wrappingKey, salt, binding);
  const cipher = createCipheriv(CIPHER, derived.subarray(0, KEY_BYTES), ZERO_NONCE, { authTagLength: TAG_BYTES });
  const sealed = Buffer.concat([
    salt,
    derived.subarray(KEY_BYTES),
    cipher.update(dataKey),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
  derived.fill(0);
  return sealed;
}

/** @throws WrongWrappingKeyError: never answers another key than the one that was sealed */
export function openDataKey(sealed: Buffer, wrappingKey: Buffer, binding: Buffer): Buffer {
  if (sealed.length !== SEALED_DATA_KEY_BYTES) throw new WrongWrappingKeyError();
  const derived = derive(wrappingKey, sealed.subarray(0, SALT_BYTES), binding);
  try {
    if (!timingSafeEqual(derived.subarray(KEY_BYTES), sealed.subarray(SALT_BYTES, COMMITMENT_END))) {
      throw new WrongWrappingKeyError();
    }
    return openBox(derived.subarray(0, KEY_BYTES), ZERO_NONCE, sealed.subarray(COMMITMENT_END));
  } finally {
    derived.fill(0);
  }
}

function derive(wrappingKey: Buffer, salt: Buffer, binding: Buffer): Buffer {
  return createHmac('sha512', wrappingKey).update('holdfast data key v1\0').update(salt).update(binding).digest();
}

/** The key of one stream. Salts are random and never used twice under one data key, so neither is a key for two streams. */
export function deriveStreamKey(dataKey: Buffer, salt: Buffer): Buffer {
  assert(salt.length === STREAM_SALT_BYTES, 'a stream has a salt of 16 bytes');
  return createHmac('sha256', dataKey).update('holdfast stream v1\0').update(salt).digest();
}

/** Seals a short text, as a checksum of the plain bytes, under a data key. Base64: nonce 12, ciphertext, tag 16. */
export function sealText(text: string, dataKey: Buffer, randomness: Randomness): string {
  const nonce = randomness.bytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, textKey(dataKey), nonce, { authTagLength: TAG_BYTES });
  const sealed = [nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()];
  return Buffer.concat(sealed).toString('base64');
}

/** @throws WrongWrappingKeyError */
export function openText(sealed: string, dataKey: Buffer): string {
  const bytes = Buffer.from(sealed, 'base64');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new WrongWrappingKeyError();
  return openBox(textKey(dataKey), bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES)).toString();
}

function textKey(dataKey: Buffer): Buffer {
  return createHmac('sha256', dataKey).update('holdfast checksums v1\0').digest();
}

function openBox(key: Buffer, nonce: Buffer, box: Buffer): Buffer {
  const end = box.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(box.subarray(end));
  const plain = decipher.update(box.subarray(0, end));
  try {
    decipher.final();
  } catch (cause) {
    plain.fill(0);
    throw new WrongWrappingKeyError({ cause });
  }
  return plain;
}
