import type { BufferPool, Slot } from '../memory/buffer-pool.ts';
import type { CipherPool } from './cipher-pool.ts';
import {
  openPackages,
  PACKAGE_BYTES,
  type PackagePlace,
  SEALED_PACKAGE_BYTES,
  sealPackages,
} from './package-format.ts';

/** Packages that a thread works on at once. */
const BATCH_PACKAGES = 4;
export const BATCH_PLAIN_BYTES = BATCH_PACKAGES * PACKAGE_BYTES;
/** A slot holds a batch in its plain and in its sealed form. */
export const CIPHER_SLOT_BYTES = BATCH_PLAIN_BYTES + BATCH_PACKAGES * SEALED_PACKAGE_BYTES;

/** Threads and shared memory for bodies that are sealed and opened as they stream. */
export interface CipherTools {
  readonly threads: Pick<CipherPool, 'run'>;
  /** Slots of `CIPHER_SLOT_BYTES` at least. Nobody ever waits for one. */
  readonly buffers: Pick<BufferPool, 'tryAcquire' | 'release'>;
}

/**
 * Room for a few packages in both forms. With a slot of the pool a thread does the work; while none is free it is one
 * package in memory of its own, and the calling thread does it: slower, but nobody waits for another's slow client.
 */
export class CipherBatch {
  readonly plain: Buffer;
  readonly sealed: Buffer;
  readonly #tools: CipherTools;
  #slot: Slot | undefined;

  constructor(tools: CipherTools) {
    this.#tools = tools;
    this.#slot = tools.buffers.tryAcquire();
    if (this.#slot === undefined) {
      this.plain = Buffer.allocUnsafe(PACKAGE_BYTES);
      this.sealed = Buffer.allocUnsafe(SEALED_PACKAGE_BYTES);
    } else {
      this.plain = this.#slot.bytes.subarray(0, BATCH_PLAIN_BYTES);
      this.sealed = this.#slot.bytes.subarray(BATCH_PLAIN_BYTES, CIPHER_SLOT_BYTES);
    }
  }

  /** Seals the first bytes of `plain`; answers a view of `sealed`. */
  async seal(streamKey: Buffer, place: PackagePlace, plainBytes: number): Promise<Buffer> {
    const source = this.plain.subarray(0, plainBytes);
    const length =
      this.#slot === undefined
        ? sealPackages(streamKey, place, source, this.sealed)
        : await this.#tools.threads.run({ kind: 'seal', streamKey, place, source, target: this.sealed });
    return this.sealed.subarray(0, length);
  }

  /** Opens the first bytes of `sealed`; answers a view of `plain`. @throws StoreError ShardCorrupt */
  async open(streamKey: Buffer, place: PackagePlace, sealedBytes: number): Promise<Buffer> {
    const source = this.sealed.subarray(0, sealedBytes);
    const length =
      this.#slot === undefined
        ? openPackages(streamKey, place, source, this.plain)
        : await this.#tools.threads.run({ kind: 'open', streamKey, place, source, target: this.plain });
    return this.plain.subarray(0, length);
  }

  /** Exactly once, when nothing works on it any more. */
  release(): void {
    if (this.#slot !== undefined) this.#tools.buffers.release(this.#slot);
    this.#slot = undefined;
  }
}
