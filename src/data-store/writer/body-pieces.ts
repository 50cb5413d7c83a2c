import { assert } from '../../errors/assert.ts';
import { copyBytes } from '../../memory/copy-bytes.ts';
import type { BufferPool, Slot } from '../../memory/buffer-pool.ts';
import type { StreamSource } from './large-stripe-writer.ts';

/** A pooled buffer with body bytes that are in no stripe yet. */
interface Piece {
  readonly slot: Slot;
  /** First byte that is in no stripe. */
  start: number;
  end: number;
  /** End of what `observe` was given, and its promises. */
  observedEnd: number;
  readonly observing: Promise<unknown>[];
}

/**
 * The bytes of a body that have arrived and are in no stripe yet, in buffers of the shared budget. Every byte is shown
 * to `observe` once, in order, before its buffer goes back; a buffer goes back when its bytes are in a stripe and the
 * promises of `observe` have settled.
 */
export class BodyPieces {
  readonly #pool: BufferPool;
  readonly #observe: ((view: Buffer) => Promise<void> | undefined) | undefined;
  readonly #onObserveFailure: (error: unknown) => void;
  readonly #pieces: Piece[] = [];
  readonly #observing = new Set<Promise<unknown>>();
  readonly #releasing = new Set<Promise<void>>();
  #bufferedBytes = 0;

  constructor(options: {
    pool: BufferPool;
    observe: ((view: Buffer) => Promise<void> | undefined) | undefined;
    onObserveFailure: (error: unknown) => void;
  }) {
    this.#pool = options.pool;
    this.#observe = options.observe;
    this.#onObserveFailure = options.onObserveFailure;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get hasRoom(): boolean {
    const last = this.#pieces.at(-1);
    return last !== undefined && last.end < last.slot.bytes.length;
  }

  addSlot(slot: Slot): void {
    this.#pieces.push({ slot, start: 0, end: 0, observedEnd: 0, observing: [] });
  }

  /** Copies what fits the last buffer from `chunk` at `offset`; returns how much. */
  append(chunk: Buffer, offset: number): number {
    const piece = this.#pieces.at(-1);
    assert(piece !== undefined && this.hasRoom, 'append needs room');
    const { bytes } = piece.slot;
    const length = Math.min(chunk.length - offset, bytes.length - piece.end);
    copyBytes(chunk.subarray(offset, offset + length), { target: bytes, at: piece.end });
    piece.end += length;
    this.#bufferedBytes += length;
    if (piece.end === piece.slot.bytes.length) this.#show(piece);
    return length;
  }

  /** Shows what is left to `observe`. */
  showAll(): void {
    for (const piece of this.#pieces) this.#show(piece);
  }

  /** Resolves when `observe` has finished with everything it was shown. */
  async observed(): Promise<void> {
    await Promise.all(this.#observing);
  }

  #show(piece: Piece): void {
    if (this.#observe === undefined || piece.observedEnd === piece.end) return;
    const promise = this.#observe(piece.slot.bytes.subarray(piece.observedEnd, piece.end));
    piece.observedEnd = piece.end;
    if (promise === undefined) return;
    const tracked = promise.catch(this.#onObserveFailure).finally(() => this.#observing.delete(tracked));
    piece.observing.push(tracked);
    this.#observing.add(tracked);
  }

  /** The first `bodyBytes`, then `entry`, as a stream; to be copied before `dropFront`. */
  front({ bodyBytes, entry, blobOffset }: { bodyBytes: number; entry: Buffer; blobOffset: number }): StreamSource {
    const parts: Buffer[] = [];
    let rest = bodyBytes;
    for (const { slot, start, end } of this.#pieces) {
      const length = Math.min(rest, end - start);
      if (length > 0) parts.push(slot.bytes.subarray(start, start + length));
      rest -= length;
    }
    assert(rest === 0, 'a stripe takes no more than is there');
    parts.push(entry);
    return {
      streamBytes: bodyBytes + entry.length,
      dataBytes: bodyBytes,
      blobOffset,
      copyTo: (target, targetStart, from, length) => copyParts(parts, { target, targetStart, from, length }),
    };
  }

  /** The first bytes are in a stripe now: buffers that held nothing else go back. */
  dropFront(bodyBytes: number): void {
    let rest = bodyBytes;
    this.#bufferedBytes -= bodyBytes;
    for (let piece = this.#pieces[0]; piece !== undefined && rest > 0; piece = this.#pieces[0]) {
      const count = Math.min(rest, piece.end - piece.start);
      piece.start += count;
      rest -= count;
      if (piece.start < piece.end) return;
      this.#show(piece);
      this.#pieces.shift();
      this.#giveBack(piece);
    }
  }

  /** Gives up what is left; resolves when every buffer is back. */
  async release(): Promise<void> {
    for (const piece of this.#pieces.splice(0)) this.#giveBack(piece);
    this.#bufferedBytes = 0;
    await Promise.all(this.#releasing);
  }

  #giveBack(piece: Piece): void {
    if (piece.observing.length === 0) return this.#pool.release(piece.slot);
    const releasing = Promise.all(piece.observing).then(() => {
      this.#releasing.delete(releasing);
      this.#pool.release(piece.slot);
    });
    this.#releasing.add(releasing);
  }
}

function copyParts(
  parts: readonly Buffer[],
  { target, targetStart, from, length }: { target: Buffer; targetStart: number; from: number; length: number },
): void {
  let position = 0;
  let done = 0;
  for (const part of parts) {
    const skip = from + done - position;
    if (skip < part.length && done < length) {
      const bytes = part.subarray(skip, Math.min(part.length, skip + length - done));
      copyBytes(bytes, { target, at: targetStart + done });
      done += bytes.length;
    }
    position += part.length;
  }
}
