import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import { CRC64_INITIAL, crc64DigestOf, crc64Engine } from './crc64-nvme.ts';
import { bigEndian32 } from './digest-of.ts';
import { wasmHasher, type WasmAlgorithm } from './wasm-hashers.ts';

/** A digest that grows, synchronously, on the thread it lives on. */
export interface IncrementalDigest {
  update(bytes: Buffer): void;
  /** Ends it. The same bytes as `digestOf`. */
  digest(): Buffer;
}

export function createIncrementalDigest(algorithm: ChecksumAlgorithm): IncrementalDigest {
  switch (algorithm) {
    case 'MD5':
    case 'SHA1':
    case 'SHA256':
    case 'SHA512':
      return createHash(algorithm.toLowerCase());
    case 'CRC32':
      return new RunningCrc(crc32);
    case 'CRC32C':
      return new RunningCrc(crc32c);
    case 'CRC64NVME':
      return new RunningCrc64();
    case 'XXHASH64':
    case 'XXHASH3':
    case 'XXHASH128':
      return new WasmDigest(algorithm);
  }
}

class RunningCrc implements IncrementalDigest {
  readonly #crc: (bytes: Buffer, state: number) => number;
  #state = 0;

  constructor(crc: (bytes: Buffer, state: number) => number) {
    this.#crc = crc;
  }

  update(bytes: Buffer): void {
    this.#state = this.#crc(bytes, this.#state);
  }

  digest(): Buffer {
    return bigEndian32(this.#state);
  }
}

class RunningCrc64 implements IncrementalDigest {
  #state = CRC64_INITIAL;

  update(bytes: Buffer): void {
    this.#state = crc64Engine().update(this.#state, bytes);
  }

  digest(): Buffer {
    return crc64DigestOf(this.#state);
  }
}

/** Its state is kept outside the one hasher that all digests of a thread share. */
class WasmDigest implements IncrementalDigest {
  readonly #algorithm: WasmAlgorithm;
  #state: Uint8Array | undefined;

  constructor(algorithm: WasmAlgorithm) {
    this.#algorithm = algorithm;
  }

  update(bytes: Buffer): void {
    this.#state = this.#hasher().update(bytes).save();
  }

  digest(): Buffer {
    return Buffer.from(this.#hasher().digest('binary'));
  }

  #hasher(): ReturnType<typeof wasmHasher> {
    const hasher = wasmHasher(this.#algorithm);
    return this.#state === undefined ? hasher.init() : hasher.load(this.#state);
  }
}
