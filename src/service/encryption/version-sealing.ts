import { createHash } from 'node:crypto';
import type { CipherTools } from '../../encryption/cipher-buffers.ts';
import {
  deriveStreamKey,
  openText,
  sealDataKey,
  sealText,
  STREAM_SALT_BYTES,
  versionBinding,
  type VersionName,
  WrongWrappingKeyError,
} from '../../encryption/data-key.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { Randomness } from '../../model/clock.ts';
import type { EncryptionFacts } from './encryption-modes.ts';
import { encodeEncryption, factsOf, type WrappingKeySource } from './encryption-record.ts';

const ETAG_BYTES = 16;

/**
 * The data key of one version or upload while a request works with it. The key is zeroed by `end`; a read, whose bytes
 * are opened long after its handler has returned, leaves that to the collector of garbage.
 */
export class VersionSealing {
  readonly source: WrappingKeySource;
  readonly name: VersionName;
  readonly tools: CipherTools;
  readonly #sealedDataKey: Buffer;
  readonly #dataKey: Buffer;
  readonly #randomness: Randomness;

  constructor(options: {
    source: WrappingKeySource;
    name: VersionName;
    dataKey: Buffer;
    sealedDataKey: Buffer;
    tools: CipherTools;
    randomness: Randomness;
  }) {
    this.source = options.source;
    this.name = options.name;
    this.tools = options.tools;
    this.#dataKey = options.dataKey;
    this.#sealedDataKey = options.sealedDataKey;
    this.#randomness = options.randomness;
  }

  get facts(): EncryptionFacts {
    return factsOf(this.source);
  }

  /** Under SSE-C and SSE-KMS the ETag says nothing of the bytes. */
  get hasOpaqueEtag(): boolean {
    return this.source.mode !== 'AES256';
  }

  makeOpaqueEtag(): string {
    return this.#randomness.bytes(ETAG_BYTES).toString('hex');
  }

  /** For one body, never for another. */
  makeSalt(): Buffer {
    return this.#randomness.bytes(STREAM_SALT_BYTES);
  }

  streamKey(salt: Buffer): Buffer {
    return deriveStreamKey(this.#dataKey, salt);
  }

  /** Checksums say too much of the plain bytes to lie beside the sealed ones. */
  sealChecksum<C extends { value: string }>(checksum: C): C {
    return { ...checksum, value: sealText(checksum.value, this.#dataKey, this.#randomness) };
  }

  /** @throws StoreError ShardCorrupt: sealed for another version */
  openChecksum(value: string): string {
    try {
      return openText(value, this.#dataKey);
    } catch (cause) {
      if (!(cause instanceof WrongWrappingKeyError)) throw cause;
      throw new StoreError('ShardCorrupt', 'a checksum was sealed for another version', { cause });
    }
  }

  /** As it is stored. `salts`: of its bodies, in their order. */
  encode(salts: readonly Buffer[]): Buffer {
    return encodeEncryption({
      source: this.source,
      seed: this.name.seed,
      sealedDataKey: this.#sealedDataKey,
      salts,
    });
  }

  /** The same data key under another wrapping key or name. */
  rewrapped(wrapping: { source: WrappingKeySource; wrappingKey: Buffer; name: VersionName }): VersionSealing {
    const { source, wrappingKey, name } = wrapping;
    const dataKey = Buffer.from(this.#dataKey);
    const sealedDataKey = sealDataKey(dataKey, wrappingKey, versionBinding(name), this.#randomness);
    return new VersionSealing({
      source,
      name,
      dataKey,
      sealedDataKey,
      tools: this.tools,
      randomness: this.#randomness,
    });
  }

  /** Only when nothing will be sealed or opened any more. */
  end(): void {
    this.#dataKey.fill(0);
  }
}

export function customerKeyMd5(key: Buffer): string {
  return createHash('md5').update(key).digest('base64');
}
