/**
 * How a version, an upload or a part is encrypted, in the form in which the metadata store and the descriptors in the
 * stripes keep it, without reading it (docs/ON-DISK-FORMAT.md).
 *
 *     u8 format = 1 · u8 mode · 12 bytes versionSeed · bytes sealedDataKey · streams, then by mode
 *     1 AES256   varint keyVersion                          of the server's key in the key ring
 *     2 aws:kms  string keyArn · bytes sealedWrappingKey · string context (JSON, list of pairs) · u8 bucketKeyEnabled
 *     3 SSE-C    16 bytes MD5 of the customer's key
 *
 *     streams    varint count · 16 bytes salt each, in the order of the blobs that have bytes; an upload has none
 *
 * `bytes`: varint length and the bytes. A part keeps the salt of its one stream and nothing else.
 */
import { STREAM_SALT_BYTES } from '../../encryption/data-key.ts';
import { StoreError } from '../../errors/store-error.ts';
import { VERSION_SEED_BYTES } from '../../model/version-seed.ts';
import { ByteReader, ByteWriter } from '../byte-codec.ts';
import type { EncryptionFacts } from './encryption-modes.ts';

const FORMAT = 1;
const MODE = { AES256: 1, 'aws:kms': 2, 'SSE-C': 3 } as const;
const MD5_BYTES = 16;

/** How the wrapping key is found again. */
export type WrappingKeySource =
  | { readonly mode: 'AES256'; readonly keyVersion: number }
  | {
      readonly mode: 'aws:kms';
      readonly keyArn: string;
      readonly sealedWrappingKey: Buffer;
      /** With which the key service sealed it: a list of pairs as JSON. */
      readonly context: string;
      readonly bucketKeyEnabled: boolean;
    }
  | { readonly mode: 'SSE-C'; readonly keyMd5: string };

export interface EncryptionRecord {
  readonly source: WrappingKeySource;
  /** Of the write; a version's id begins with it. */
  readonly seed: Buffer;
  readonly sealedDataKey: Buffer;
  readonly salts: readonly Buffer[];
}

export function encodeEncryption({ source, seed, sealedDataKey, salts }: EncryptionRecord): Buffer {
  const writer = new ByteWriter();
  writer.byte(FORMAT);
  writer.byte(MODE[source.mode]);
  writer.raw(seed);
  writer.bytes(sealedDataKey);
  writer.varint(salts.length);
  for (const salt of salts) writer.raw(salt);
  switch (source.mode) {
    case 'AES256':
      writer.varint(source.keyVersion);
      break;
    case 'aws:kms':
      writer.string(source.keyArn);
      writer.bytes(source.sealedWrappingKey);
      writer.string(source.context);
      writer.byte(source.bucketKeyEnabled ? 1 : 0);
      break;
    case 'SSE-C':
      writer.raw(Buffer.from(source.keyMd5, 'base64'));
  }
  return writer.finish();
}

/** @throws StoreError ShardCorrupt */
export function decodeEncryption(bytes: Buffer): EncryptionRecord {
  try {
    const reader = new ByteReader(bytes);
    const format = reader.byte();
    if (format !== FORMAT) throw new RangeError(`unknown format ${format}`);
    const mode = reader.byte();
    const seed = reader.raw(VERSION_SEED_BYTES);
    const sealedDataKey = reader.bytes();
    const salts = reader.list(() => reader.raw(STREAM_SALT_BYTES));
    return { source: readSource(mode, reader), seed, sealedDataKey, salts };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new StoreError('ShardCorrupt', `the record of an encryption cannot be read: ${cause.message}`, { cause });
  }
}

function readSource(mode: number, reader: ByteReader): WrappingKeySource {
  switch (mode) {
    case MODE.AES256:
      return { mode: 'AES256', keyVersion: reader.varint() };
    case MODE['aws:kms']:
      return {
        mode: 'aws:kms',
        keyArn: reader.string(),
        sealedWrappingKey: reader.bytes(),
        context: reader.string(),
        bucketKeyEnabled: reader.byte() === 1,
      };
    case MODE['SSE-C']:
      return { mode: 'SSE-C', keyMd5: reader.raw(MD5_BYTES).toString('base64') };
    default:
      throw new RangeError(`unknown mode ${mode}`);
  }
}

/** What may be shown. `undefined`: not encrypted. */
export function encryptionFacts(encryption: Buffer | undefined): EncryptionFacts | undefined {
  return encryption === undefined ? undefined : factsOf(decodeEncryption(encryption).source);
}

export function factsOf(source: WrappingKeySource): EncryptionFacts {
  if (source.mode !== 'aws:kms') return source.mode === 'AES256' ? { mode: 'AES256' } : source;
  const { mode, keyArn, bucketKeyEnabled } = source;
  return { mode, keyArn, bucketKeyEnabled };
}
