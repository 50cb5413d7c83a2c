import { copyBytes } from '../memory/copy-bytes.ts';
import { CipherBatch, type CipherTools } from './cipher-buffers.ts';
import { PACKAGE_BYTES } from './package-format.ts';

/** Batches of one body between its arrival and the store. */
const BATCHES_IN_FLIGHT = 3;

export interface StreamSealerOptions {
  readonly tools: CipherTools;
  readonly streamKey: Buffer;
  /** Sees every plain byte, in order; its promise delays the reuse of the memory. */
  readonly observe: (plain: Buffer) => Promise<void> | undefined;
  /** Takes the sealed bytes in order. The bytes are its own until it resolves. */
  readonly write: (sealed: Buffer) => Promise<void>;
}

interface Filling {
  readonly batch: CipherBatch;
  filled: number;
}

/** Seals a body on its way to the store, a few packages at a time; hashing, sealing and writing overlap. */
export class StreamSealer {
  readonly #options: StreamSealerOptions;
  #current: Filling | undefined;
  #packageIndex = 0;
  /** Ends when all before it is written, in order. */
  #written: Promise<void> = Promise.resolve();
  readonly #inFlight = new Set<Promise<void>>();
  #failure: unknown;

  constructor(options: StreamSealerOptions) {
    this.#options = options;
  }

  /** Copies the chunk; resolves when there is room for more. The last batch waits for `end`, which seals it as such. */
  async push(chunk: Buffer): Promise<void> {
    for (let offset = 0; offset < chunk.length;) {
      this.#throwIfFailed();
      if (this.#current !== undefined && this.#current.filled === this.#current.batch.plain.length) {
        this.#send(this.#current, false);
        this.#current = undefined;
        if (this.#inFlight.size >= BATCHES_IN_FLIGHT) await Promise.race(this.#inFlight);
        continue;
      }
      const current = (this.#current ??= { batch: new CipherBatch(this.#options.tools), filled: 0 });
      const { plain } = current.batch;
      const piece = chunk.subarray(offset, offset + plain.length - current.filled);
      copyBytes(piece, { target: plain, at: current.filled });
      current.filled += piece.length;
      offset += piece.length;
    }
    this.#throwIfFailed();
  }

  /** Resolves when everything is written, after the last `push`. Something was pushed: an empty body has no packages. */
  async end(): Promise<void> {
    this.#throwIfFailed();
    if (this.#current !== undefined) this.#send(this.#current, true);
    this.#current = undefined;
    await Promise.all(this.#inFlight);
    this.#throwIfFailed();
  }

  /** Gives the memory back when nothing works on it any more; after `end` or in its place. */
  async close(): Promise<void> {
    this.#failure ??= new Error('the body was given up');
    this.#current?.batch.release();
    this.#current = undefined;
    await Promise.all(this.#inFlight);
  }

  /** Each step begins at once; only the writes wait for one another. */
  #send({ batch, filled }: Filling, isEnd: boolean): void {
    const place = { firstIndex: this.#packageIndex, isEnd };
    this.#packageIndex += Math.ceil(filled / PACKAGE_BYTES);
    const observed = this.#options.observe(batch.plain.subarray(0, filled));
    const sealed = batch.seal(this.#options.streamKey, place, filled);
    const before = this.#written;
    this.#written = (async () => {
      const bytes = await sealed;
      await before;
      if (this.#failure === undefined) await this.#options.write(bytes);
    })();
    const done: Promise<void> = Promise.allSettled([this.#written, observed]).then((results) => {
      for (const result of results) if (result.status === 'rejected') this.#failure ??= result.reason;
      batch.release();
      this.#inFlight.delete(done);
    });
    this.#inFlight.add(done);
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure as Error;
  }
}
