import type { ServerResponse } from 'node:http';
import { assert } from '../errors/assert.ts';
import type { StallWatchdog, WatchedTransfer } from '../streams/stall-watchdog.ts';
import { type AnswerHeaders, headerLines } from './header-lines.ts';
import type { HttpExchange } from './http-exchange.ts';
import { watchUnread } from './watch-unread.ts';

/** Bytes on loan: `release` exactly once, after that they are not touched. The data store's DataPiece is one. */
export interface BodyPiece {
  readonly bytes: Buffer;
  release(): void;
}

/**
 * The header `content-length` must be what `pieces` add up to; without it the answer is sent chunked, for documents whose
 * length is not known when they begin.
 */
export interface StreamedAnswer extends AnswerHeaders {
  readonly status: number;
  readonly pieces: AsyncIterable<BodyPiece>;
}

/**
 * Streams an answer. Nothing is sent before the first piece is there, so an early failure is thrown and can still become
 * an S3 error. After that a failure, or pieces that do not add up, destroys the socket: never a clean end of a short
 * body. A client that goes away, or reads slower than the minimum rate, ends the iteration; every piece is released.
 */
export async function sendBody(exchange: HttpExchange, answer: StreamedAnswer): Promise<void> {
  const { response } = exchange;
  const iterator = answer.pieces[Symbol.asyncIterator]();
  const announced = answer.headers['content-length'];
  const lengthBytes = announced === undefined ? undefined : Number(announced);
  let next = await iterator.next();
  if (response.destroyed) {
    if (next.done !== true) next.value.release();
    await iterator.return?.();
    return;
  }
  const lines = headerLines(exchange, answer);
  if (next.done !== true && next.value.bytes.length === lengthBytes) {
    await sendWhole(exchange, { status: answer.status, lines, piece: next.value, iterator });
    return;
  }
  response.writeHead(answer.status, lines);
  const writer = new PieceWriter(response, exchange.runtime.watchdog);
  try {
    let sentBytes = 0;
    while (next.done !== true) {
      const piece = next.value;
      sentBytes += piece.bytes.length;
      if (lengthBytes !== undefined && sentBytes > lengthBytes) {
        piece.release();
        assert(false, `a body of ${lengthBytes} bytes went on after its end`);
      }
      exchange.access.bytesOut = sentBytes;
      if (!writer.write(piece)) await writer.drained();
      if (response.destroyed) return;
      next = await iterator.next();
    }
    assert(sentBytes === (lengthBytes ?? sentBytes), `a body of ${lengthBytes} bytes ended after ${sentBytes}`);
    response.end();
  } catch (error) {
    response.destroy();
    throw error;
  } finally {
    writer.finish();
    if (next.done !== true) await iterator.return?.();
  }
}

/** The one piece of a small object: no more machinery than a document needs. */
async function sendWhole(
  exchange: HttpExchange,
  answer: {
    status: number;
    lines: (string | number)[];
    piece: BodyPiece;
    iterator: AsyncIterator<BodyPiece>;
  },
): Promise<void> {
  const { response } = exchange;
  const { piece, iterator } = answer;
  try {
    const rest = await iterator.next();
    if (rest.done !== true) rest.value.release();
    assert(rest.done === true, 'a body does not go on after its content-length');
    if (response.destroyed) {
      piece.release();
      return;
    }
    response.writeHead(answer.status, answer.lines);
  } catch (error) {
    piece.release();
    throw error;
  }
  exchange.access.bytesOut = piece.bytes.length;
  response.on('close', () => piece.release());
  response.end(piece.bytes);
  if (response.writableLength > 0) watchUnread(exchange, response.writableLength);
}

/**
 * Bytes handed to a connection before the next piece is waited for: while one piece of a stripe leaves, the next one is
 * there already, and no more of the buffers for reading is held by a client that reads slowly.
 */
const QUEUE_BYTES = 768 * 1024;

/** Writes pieces to a response and gives each back when the system has taken it, or when the connection is gone. */
class PieceWriter implements WatchedTransfer {
  readonly #response: ServerResponse;
  readonly #watchdog: StallWatchdog;
  readonly #lent = new Set<BodyPiece>();
  #wake: (() => void) | undefined;
  #isWatched = false;
  movedBytes = 0;
  unseenBytes = 0;

  constructor(response: ServerResponse, watchdog: StallWatchdog) {
    this.#response = response;
    this.#watchdog = watchdog;
    response.once('close', this.#onClose);
  }

  get isWaitingForPeer(): boolean {
    return this.#wake !== undefined || this.#response.writableEnded;
  }

  onStalled(): void {
    this.#response.destroy();
  }

  /** False: wait for `drained` before the next piece. */
  write(piece: BodyPiece): boolean {
    this.#lent.add(piece);
    this.unseenBytes += piece.bytes.length;
    this.#response.write(piece.bytes, () => this.#giveBack(piece));
    if (this.#response.destroyed) this.#onClose();
    return this.#hasRoom;
  }

  async drained(): Promise<void> {
    if (this.#hasRoom) return;
    if (!this.#isWatched) {
      this.#isWatched = true;
      this.#watchdog.watch(this);
    }
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** No more pieces. Those still lent are released as they leave; the watch ends with the connection's use. */
  finish(): void {
    if (this.#lent.size === 0 || this.#response.destroyed) {
      this.#watchdog.unwatch(this);
    } else if (!this.#isWatched) {
      this.#isWatched = true;
      this.#watchdog.watch(this);
    }
  }

  get #hasRoom(): boolean {
    return this.unseenBytes < QUEUE_BYTES || this.#response.destroyed;
  }

  #giveBack(piece: BodyPiece): void {
    if (!this.#lent.delete(piece)) return;
    this.movedBytes += piece.bytes.length;
    this.unseenBytes -= piece.bytes.length;
    piece.release();
    if (this.#lent.size === 0 && this.#response.writableEnded) this.#watchdog.unwatch(this);
    if (this.#hasRoom) this.#goOn();
  }

  #goOn(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  readonly #onClose = (): void => {
    this.#watchdog.unwatch(this);
    for (const piece of this.#lent) piece.release();
    this.#lent.clear();
    this.#goOn();
  };
}
