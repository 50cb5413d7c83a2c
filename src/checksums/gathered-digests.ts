import type { BufferPool, Slot } from '../memory/buffer-pool.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import { digestsOf } from './digest-of.ts';
import type { DigestPool } from './digest-pool.ts';

type Digests = ReadonlyMap<ChecksumAlgorithm, Buffer>;

interface WaitingBody {
  readonly bytes: Buffer;
  readonly resolve: (digests: Digests) => void;
  readonly reject: (error: unknown) => void;
}

/** Bodies of one list of algorithms that wait for one another. */
interface Gathering {
  readonly algorithms: readonly ChecksumAlgorithm[];
  bodies: WaitingBody[];
  lengthBytes: number;
  /** Messages without an answer. */
  underWay: number;
}

/** Fewer are hashed here: a message to another thread and its answer cost as much as three or four bodies. */
const TOGETHER_MINIMUM = 4;

/**
 * Digests of small bodies. Those that come together are copied side by side into shared memory and hashed by a worker
 * thread with one message, MD5 four at a time: that takes a tenth of what a small upload costs off the main thread. One
 * message is under way; what comes meanwhile goes into the next. A body that comes alone is hashed at once.
 */
export class GatheredDigests {
  readonly #pool: Pick<DigestPool, 'digestsTogether'>;
  readonly #buffers: Pick<BufferPool, 'slotSizeBytes' | 'tryAcquire' | 'release'>;
  readonly #gatherings = new Map<string, Gathering>();
  #isScheduled = false;

  constructor(
    pool: Pick<DigestPool, 'digestsTogether'>,
    buffers: Pick<BufferPool, 'slotSizeBytes' | 'tryAcquire' | 'release'>,
  ) {
    this.#pool = pool;
    this.#buffers = buffers;
  }

  /** `bytes` must not change before it resolves. Rejects when the worker thread dies. */
  digestsOf(algorithms: readonly ChecksumAlgorithm[], bytes: Buffer): Promise<Digests> {
    return new Promise((resolve, reject) => {
      const gathering = this.#gatheringOf(algorithms);
      if (gathering.lengthBytes + bytes.length > this.#buffers.slotSizeBytes) this.#hash(gathering);
      gathering.bodies.push({ bytes, resolve, reject });
      gathering.lengthBytes += bytes.length;
      if (gathering.underWay === 0) this.#schedule();
    });
  }

  #gatheringOf(algorithms: readonly ChecksumAlgorithm[]): Gathering {
    const name = algorithms.join();
    let gathering = this.#gatherings.get(name);
    if (gathering === undefined) {
      gathering = { algorithms, bodies: [], lengthBytes: 0, underWay: 0 };
      this.#gatherings.set(name, gathering);
    }
    return gathering;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Those that arrive in the same turn of the event loop come together.
    setImmediate(() => {
      this.#isScheduled = false;
      for (const gathering of this.#gatherings.values()) if (gathering.underWay === 0) this.#hash(gathering);
    });
  }

  #hash(gathering: Gathering): void {
    const { algorithms, bodies } = gathering;
    if (bodies.length === 0) return;
    gathering.bodies = [];
    gathering.lengthBytes = 0;
    const slot = bodies.length < TOGETHER_MINIMUM ? undefined : this.#buffers.tryAcquire();
    if (slot === undefined) {
      for (const { bytes, resolve } of bodies) resolve(digestsOf(algorithms, bytes));
      return;
    }
    void this.#hashTogether(gathering, bodies, slot);
  }

  /** Never rejects. */
  async #hashTogether(gathering: Gathering, bodies: readonly WaitingBody[], slot: Slot): Promise<void> {
    gathering.underWay += 1;
    try {
      const lengths = bodies.map(({ bytes }) => bytes.length);
      let filled = 0;
      for (const { bytes } of bodies) filled += bytes.copy(slot.bytes, filled);
      const digests = await this.#pool.digestsTogether(gathering.algorithms, slot.bytes, lengths);
      for (const [i, { resolve }] of bodies.entries()) resolve(digests[i]!);
    } catch (error) {
      for (const { reject } of bodies) reject(error);
    } finally {
      this.#buffers.release(slot);
      gathering.underWay -= 1;
      if (gathering.underWay === 0) this.#hash(gathering);
    }
  }
}
