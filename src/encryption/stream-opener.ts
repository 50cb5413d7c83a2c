import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import { copyBytes } from '../memory/copy-bytes.ts';
import { CipherBatch, type CipherTools } from './cipher-buffers.ts';
import { openPackages, SEALED_PACKAGE_BYTES } from './package-format.ts';

/** Sealed bytes up to here are opened at once by the calling thread: a message to another costs more. */
export const INLINE_LIMIT_BYTES = 2 * SEALED_PACKAGE_BYTES;

/** Consecutive packages of one stream. */
export interface SealedRun {
  readonly streamKey: Buffer;
  readonly firstIndex: number;
  /** The last of them is the last of the stream. */
  readonly isEnd: boolean;
  readonly sealedLength: number;
}

/** A range of plain bytes as it lies in the store: runs one after the other, and what of their plain bytes is wanted. */
export interface SealedRange {
  readonly runs: readonly SealedRun[];
  /** Plain bytes before the range. */
  readonly skipBytes: number;
  /** Plain bytes of the range. */
  readonly lengthBytes: number;
}

/** Bytes, and the call that gives their memory back: exactly once. */
export interface Piece {
  readonly bytes: Buffer;
  release(): void;
}

/** Opens all at once. @throws StoreError ShardCorrupt */
export function openWhole({ runs, skipBytes, lengthBytes }: SealedRange, sealed: Buffer): Buffer {
  let start = 0;
  const plains: Buffer[] = [];
  for (const run of runs) {
    const source = sealed.subarray(start, start + run.sealedLength);
    if (source.length !== run.sealedLength) throw endsEarly();
    const plain = Buffer.allocUnsafe(source.length);
    plains.push(plain.subarray(0, openPackages(run.streamKey, run, source, plain)));
    start += run.sealedLength;
  }
  const plain = plains.length === 1 ? plains[0]! : Buffer.concat(plains);
  assert(plain.length >= skipBytes + lengthBytes, 'a sealed range holds less than its plain bytes');
  return plain.subarray(skipBytes, skipBytes + lengthBytes);
}

/** Packages of one run, in one batch. */
interface Filled {
  readonly batch: CipherBatch;
  readonly plain: Promise<Buffer>;
}

/**
 * Opens sealed bytes as they are read: while one batch is on its way to the client, the next is opened and the one after
 * it is read. Nothing comes out before its tag was verified. `return` ends the source as well.
 */
export class StreamOpener implements AsyncIterableIterator<Piece> {
  readonly #source: AsyncIterator<Piece>;
  readonly #tools: CipherTools;
  readonly #runs: readonly SealedRun[];
  #runIndex = 0;
  /** Sealed bytes of the run that are in batches already. */
  #runOffset = 0;
  #skipBytes: number;
  #remaining: number;
  /** A piece of the source that is not used up. */
  #piece: Piece | undefined;
  #pieceOffset = 0;
  /** The batch after the one that was delivered last: being read, then being opened. */
  #ahead: Promise<Filled | undefined> | undefined;
  #prefetched: IteratorResult<Piece, undefined> | undefined;

  constructor(options: { source: AsyncIterator<Piece>; range: SealedRange; tools: CipherTools }) {
    this.#source = options.source;
    this.#tools = options.tools;
    this.#runs = options.range.runs;
    this.#skipBytes = options.range.skipBytes;
    this.#remaining = options.range.lengthBytes;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Opens the first piece; the first `next` delivers it. */
  async prefetch(): Promise<void> {
    this.#prefetched = await this.next();
  }

  /** @throws StoreError ShardCorrupt, and what the source throws; then everything is given back */
  async next(): Promise<IteratorResult<Piece, undefined>> {
    const prefetched = this.#prefetched;
    this.#prefetched = undefined;
    if (prefetched !== undefined) return prefetched;
    try {
      if (this.#remaining === 0) {
        await this.#close();
        return { done: true, value: undefined };
      }
      const filled = await (this.#ahead ?? this.#fill());
      this.#ahead = undefined;
      if (filled === undefined) throw endsEarly();
      return { done: false, value: await this.#deliver(filled) };
    } catch (error) {
      this.#remaining = 0;
      await this.#close();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Piece, undefined>> {
    if (this.#prefetched?.done === false) this.#prefetched.value.release();
    this.#prefetched = undefined;
    this.#remaining = 0;
    await this.#close();
    return { done: true, value: undefined };
  }

  async #deliver({ batch, plain }: Filled): Promise<Piece> {
    let isDelivered = false;
    this.#ahead = this.#fill();
    // Whoever awaits it later sees the error; until then nobody does.
    this.#ahead.catch(() => {});
    try {
      const opened = await plain;
      const end = Math.min(opened.length, this.#skipBytes + this.#remaining);
      const bytes = opened.subarray(this.#skipBytes, end);
      this.#skipBytes = 0;
      this.#remaining -= bytes.length;
      isDelivered = true;
      return { bytes, release: () => batch.release() };
    } finally {
      if (!isDelivered) await releaseAfter({ batch, plain });
    }
  }

  /** Reads the next packages and has them opened; `undefined` after the last. */
  async #fill(): Promise<Filled | undefined> {
    const run = this.#runs[this.#runIndex];
    if (run === undefined) return undefined;
    const batch = new CipherBatch(this.#tools);
    try {
      const wanted = Math.min(batch.sealed.length, run.sealedLength - this.#runOffset);
      await this.#read(batch.sealed.subarray(0, wanted));
      const firstIndex = run.firstIndex + this.#runOffset / SEALED_PACKAGE_BYTES;
      this.#runOffset += wanted;
      const isLast = this.#runOffset === run.sealedLength;
      if (isLast) {
        this.#runIndex++;
        this.#runOffset = 0;
      }
      const plain = batch.open(run.streamKey, { firstIndex, isEnd: run.isEnd && isLast }, wanted);
      plain.catch(() => {});
      return { batch, plain };
    } catch (error) {
      batch.release();
      throw error;
    }
  }

  async #read(target: Buffer): Promise<void> {
    for (let filled = 0; filled < target.length;) {
      if (this.#piece === undefined) {
        const result = await this.#source.next();
        if (result.done) throw endsEarly();
        this.#piece = result.value;
        this.#pieceOffset = 0;
      }
      const copied = this.#piece.bytes.subarray(this.#pieceOffset, this.#pieceOffset + target.length - filled);
      copyBytes(copied, { target, at: filled });
      filled += copied.length;
      this.#pieceOffset += copied.length;
      if (this.#pieceOffset === this.#piece.bytes.length) this.#releasePiece();
    }
  }

  #releasePiece(): void {
    this.#piece?.release();
    this.#piece = undefined;
  }

  async #close(): Promise<void> {
    const ahead = await this.#ahead?.catch(() => undefined);
    this.#ahead = undefined;
    if (ahead !== undefined) await releaseAfter(ahead);
    this.#releasePiece();
    await this.#source.return?.();
  }
}

/** A thread may still be writing into it. */
async function releaseAfter({ batch, plain }: Filled): Promise<void> {
  await Promise.allSettled([plain]);
  batch.release();
}

function endsEarly(): StoreError {
  return new StoreError('TooFewShards', 'an encrypted body ended before its size');
}
