import { assert } from '../errors/assert.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import { createIncrementalDigest, type IncrementalDigest } from './incremental-digest.ts';

/** Some algorithms of one body on one thread. */
export interface DigestLane {
  update(view: Buffer): Promise<void>;
  digests(): Promise<readonly (readonly [ChecksumAlgorithm, Buffer])[]>;
  /** Gives up; after `digests` it does nothing. */
  close(): void;
}

/** Below this a message to another thread costs more than it saves. */
const WORKER_THRESHOLD_BYTES = 32 * 1024;

/**
 * Several digests of one body at once. Where they are computed is decided by its first bytes: on worker threads when
 * they are many and lie in shared memory, else right here. Updates are hashed in the order of the calls, which need not
 * wait for one another.
 */
export class DigestSet {
  readonly #algorithms: readonly ChecksumAlgorithm[];
  readonly #openLanes: (algorithms: readonly ChecksumAlgorithm[]) => DigestLane[];
  #lanes: DigestLane[] | undefined;
  #local: ReadonlyMap<ChecksumAlgorithm, IncrementalDigest> | undefined;
  #isEnded = false;

  constructor(
    algorithms: readonly ChecksumAlgorithm[],
    openLanes: (algorithms: readonly ChecksumAlgorithm[]) => DigestLane[],
  ) {
    this.#algorithms = algorithms;
    this.#openLanes = openLanes;
  }

  /**
   * `undefined`: hashed already. A promise: `view` must not change before it resolves; it rejects when the thread died.
   * Shared memory is hashed without a copy.
   */
  update(view: Buffer): Promise<void> | undefined {
    assert(!this.#isEnded, 'a digest set is not updated after its end');
    if (view.length === 0 || this.#algorithms.length === 0) return undefined;
    if (this.#lanes === undefined && this.#local === undefined) this.#choose(view);
    if (this.#lanes !== undefined) {
      return Promise.all(this.#lanes.map((lane) => lane.update(view))).then(() => undefined);
    }
    for (const digest of this.#local!.values()) digest.update(view);
    return undefined;
  }

  /** Raw digests as `digestOf` returns them. Call once, after the last update; waits for those under way. */
  async digests(): Promise<ReadonlyMap<ChecksumAlgorithm, Buffer>> {
    assert(!this.#isEnded, 'digests are asked for once');
    this.#isEnded = true;
    if (this.#lanes !== undefined) {
      const digests = await Promise.all(this.#lanes.map((lane) => lane.digests()));
      return new Map(digests.flat());
    }
    this.#local ??= this.#createLocal();
    return new Map([...this.#local].map(([algorithm, digest]) => [algorithm, digest.digest()]));
  }

  /** Frees what a body holds that is given up. Idempotent, also after `digests`. */
  close(): void {
    this.#isEnded = true;
    for (const lane of this.#lanes ?? []) lane.close();
  }

  #choose(first: Buffer): void {
    if (first.length >= WORKER_THRESHOLD_BYTES && first.buffer instanceof SharedArrayBuffer) {
      this.#lanes = this.#openLanes(this.#algorithms);
    } else {
      this.#local = this.#createLocal();
    }
  }

  #createLocal(): Map<ChecksumAlgorithm, IncrementalDigest> {
    return new Map(this.#algorithms.map((algorithm) => [algorithm, createIncrementalDigest(algorithm)]));
  }
}
