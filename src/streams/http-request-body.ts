import type { Readable } from 'node:stream';
import { assert } from '../errors/assert.ts';
import { S3Error } from '../errors/s3-error.ts';
import { AwsChunkedDecoder } from './aws-chunked-decoder.ts';
import { parseExpectations } from './digest-expectations.ts';
import type { Payload } from './payload.ts';
import type { DigestExpectation, RequestBody } from './request-body.ts';
import type { StallWatchdog, WatchedTransfer } from './stall-watchdog.ts';

export interface RequestBodyOptions {
  /** The IncomingMessage. Not touched before the body is consumed, and left paused when that ends early. */
  readonly readable: Readable;
  /** Lower-case names, as authenticated. */
  readonly headers: ReadonlyMap<string, string>;
  readonly payload: Payload;
  readonly watchdog: StallWatchdog;
  /** An upload must say its length: without any it is MissingContentLength, in bare HTTP chunks NotImplemented. */
  readonly requiresLength?: boolean;
  /** Most decoded bytes; more is EntityTooLarge, at once when the length is known. */
  readonly limitBytes?: number;
  /** Default true. False for CompleteMultipartUpload, whose checksum headers are the object's. */
  readonly checksumHeadersDescribeBody?: boolean;
  /** Sends `100 Continue`; called once, when a client that waits for it is first read from. */
  readonly sendContinue?: () => void;
}

/**
 * Decoded bytes kept for a consumer that is slower than the client, before the socket is paused: for each body its part of
 * the budget of all that are under way, within bounds. What a socket delivers at once (64 KiB) may come on top.
 */
const QUEUE_BUDGET_BYTES = 16 * 1024 * 1024;
const LONGEST_QUEUE_BYTES = 256 * 1024;
const SHORTEST_QUEUE_BYTES = 32 * 1024;

/**
 * The body of an authenticated request.
 * @throws S3Error of what the headers alone show: MissingContentLength | NotImplemented | EntityTooLarge | InvalidDigest |
 *   InvalidRequest | InvalidArgument
 */
export function createRequestBody(options: RequestBodyOptions): HttpRequestBody {
  return new HttpRequestBody(options);
}

export class HttpRequestBody implements RequestBody, WatchedTransfer {
  readonly lengthBytes: number | undefined;
  readonly expectations: readonly DigestExpectation[];
  readonly #readable: Readable;
  readonly #watchdog: StallWatchdog;
  readonly #sendContinue: (() => void) | undefined;
  readonly #decoder: AwsChunkedDecoder | undefined;
  #limitBytes: number;
  readonly #pieces: Buffer[] = [];
  #queuedBytes = 0;
  #decodedBytes = 0;
  #receivedBytes = 0;
  #state: 'untouched' | 'open' | 'ended' | 'failed' | 'abandoned' = 'untouched';
  #failure: unknown;
  #isPaused = false;
  /** Collects everything: `readAll` has no consumer to wait for. */
  #isCollecting = false;
  #wake: (() => void) | undefined;

  constructor(options: RequestBodyOptions) {
    this.#readable = options.readable;
    this.#watchdog = options.watchdog;
    this.#limitBytes = options.limitBytes ?? Number.MAX_SAFE_INTEGER;
    const { headers, payload } = options;
    if (headers.get('expect')?.toLowerCase() === '100-continue') this.#sendContinue = options.sendContinue;
    const parsed = parseExpectations({
      headers,
      payload,
      checksumHeadersDescribeBody: options.checksumHeadersDescribeBody ?? true,
      trailer: (name) => this.#decoder?.trailers.get(name),
    });
    this.expectations = parsed.expectations;
    this.lengthBytes = decodedLength(headers, payload, options.requiresLength ?? false);
    if (this.lengthBytes !== undefined && this.lengthBytes > this.#limitBytes) throw this.#tooLarge(this.lengthBytes);
    if (payload.kind === 'aws-chunked') {
      assert(this.lengthBytes !== undefined, 'aws-chunked bodies have a decoded length');
      this.#decoder = new AwsChunkedDecoder({
        decodedLengthBytes: this.lengthBytes,
        hasTrailer: payload.hasTrailer,
        announcedTrailers: parsed.announcedTrailers,
        verifier: payload.verifier,
      });
    }
  }

  /** Bytes taken from the connection so far, framing included. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get movedBytes(): number {
    return this.#receivedBytes;
  }

  get isWaitingForPeer(): boolean {
    return this.#state === 'open' && !this.#isPaused;
  }

  get unseenBytes(): number {
    return 0;
  }

  onStalled(): void {
    this.#fail(new S3Error('RequestTimeout'));
  }

  /** True once the body was read to its end and found right. */
  get isComplete(): boolean {
    return this.#state === 'ended';
  }

  get #highWaterBytes(): number {
    const share = QUEUE_BUDGET_BYTES / Math.max(1, this.#watchdog.watchedCount);
    return Math.min(LONGEST_QUEUE_BYTES, Math.max(SHORTEST_QUEUE_BYTES, share));
  }

  /** The whole decoded body; see `readPieces`. */
  async readAll(limitBytes = this.#limitBytes): Promise<Buffer> {
    return Buffer.concat(await this.readPieces(limitBytes));
  }

  /**
   * The whole decoded body, in the pieces it came in.
   * @throws S3Error EntityTooLarge beyond `limitBytes`, before it is buffered, and as iteration does
   */
  async readPieces(limitBytes = this.#limitBytes): Promise<readonly Buffer[]> {
    this.#limitBytes = Math.min(limitBytes, this.#limitBytes);
    if (this.lengthBytes !== undefined && this.lengthBytes > this.#limitBytes) throw this.#tooLarge(this.lengthBytes);
    this.#isCollecting = true;
    this.#open();
    if (this.#state === 'open') await this.#change();
    if (this.#state === 'failed') throw this.#failure;
    return this.#pieces;
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    this.#open();
    return {
      next: async () => {
        for (;;) {
          if (this.#state === 'failed') throw this.#failure;
          const piece = this.#pieces.shift();
          if (piece !== undefined) {
            this.#taken(piece.length);
            return { done: false, value: piece };
          }
          if (this.#state !== 'open') return { done: true, value: undefined };
          await this.#change();
        }
      },
      return: () => {
        this.#abandon();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #open(): void {
    assert(this.#state === 'untouched', 'a request body is consumed once');
    if (this.lengthBytes === 0 && this.#decoder === undefined) {
      this.#state = 'ended';
      return;
    }
    this.#state = 'open';
    this.#sendContinue?.();
    const readable = this.#readable;
    if (readable.destroyed && !readable.readableEnded) {
      this.#fail(incompleteBody());
      return;
    }
    readable.on('data', this.#onData);
    readable.on('end', this.#onEnd);
    readable.on('error', this.#onError);
    readable.on('close', this.#onClose);
    this.#watchdog.watch(this);
  }

  #close(): void {
    const readable = this.#readable;
    readable.off('data', this.#onData);
    readable.off('end', this.#onEnd);
    readable.off('close', this.#onClose);
    // 'error' stays handled: a socket that breaks while the rest is discarded must not end the process
    this.#watchdog.unwatch(this);
    this.#wakeConsumer();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#receivedBytes += chunk.length;
    if (this.#decoder === undefined) {
      this.#deliver(chunk);
    } else {
      const before = this.#pieces.length;
      try {
        this.#decoder.push(chunk, this.#pieces);
      } catch (error) {
        this.#fail(error);
        return;
      }
      for (let index = before; index < this.#pieces.length; index++) this.#count(this.#pieces[index]!.length);
    }
    if (this.#decodedBytes > this.#limitBytes) {
      this.#fail(this.#tooLarge(this.#decodedBytes));
      return;
    }
    if (!this.#isCollecting && this.#queuedBytes >= this.#highWaterBytes) {
      this.#isPaused = true;
      this.#readable.pause();
    }
    if (!this.#isCollecting) this.#wakeConsumer();
  };

  readonly #onEnd = (): void => {
    try {
      this.#decoder?.finish();
      if (this.lengthBytes !== undefined && this.#decodedBytes !== this.lengthBytes) throw incompleteBody();
    } catch (error) {
      this.#fail(error);
      return;
    }
    // the listeners stay: the stream is over, and taking them off costs more than leaving them
    this.#state = 'ended';
    this.#watchdog.unwatch(this);
    this.#wakeConsumer();
  };

  readonly #onError = (error: Error): void => {
    this.#fail(incompleteBody(error));
  };

  readonly #onClose = (): void => {
    // every good body closes too: no error is made for it, a stack trace costs microseconds
    if (this.#state === 'open') this.#fail(incompleteBody());
  };

  #deliver(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#count(piece.length);
  }

  #count(lengthBytes: number): void {
    this.#decodedBytes += lengthBytes;
    this.#queuedBytes += lengthBytes;
  }

  #taken(lengthBytes: number): void {
    this.#queuedBytes -= lengthBytes;
    if (this.#isPaused && this.#queuedBytes < this.#highWaterBytes / 2 && this.#state === 'open') {
      this.#isPaused = false;
      this.#readable.resume();
    }
  }

  #fail(error: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    this.#failure = error;
    this.#pieces.length = 0;
    this.#readable.pause();
    this.#close();
  }

  #abandon(): void {
    this.#pieces.length = 0;
    if (this.#state !== 'open') return;
    this.#state = 'abandoned';
    this.#readable.pause();
    this.#close();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeConsumer(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #tooLarge(proposedBytes: number): S3Error {
    return new S3Error('EntityTooLarge', {
      details: { ProposedSize: proposedBytes, MaxSizeAllowed: this.#limitBytes },
    });
  }
}

function incompleteBody(cause?: unknown): S3Error {
  return new S3Error('IncompleteBody', cause === undefined ? {} : { cause });
}

/** @throws S3Error MissingContentLength | NotImplemented | InvalidArgument */
function decodedLength(
  headers: ReadonlyMap<string, string>,
  payload: Payload,
  requiresLength: boolean,
): number | undefined {
  const decoded = headers.get('x-amz-decoded-content-length');
  if (payload.kind === 'aws-chunked') {
    if (decoded === undefined) throw new S3Error('MissingContentLength');
    return parseLength(decoded, 'x-amz-decoded-content-length');
  }
  const contentLength = headers.get('content-length');
  if (contentLength !== undefined) return parseLength(contentLength, 'content-length');
  if (headers.has('transfer-encoding')) {
    if (decoded !== undefined) return parseLength(decoded, 'x-amz-decoded-content-length');
    // What S3 says of an upload in chunks of HTTP whose length nothing tells.
    if (requiresLength) throw new S3Error('NotImplemented', { details: { Header: 'Transfer-Encoding' } });
    return undefined;
  }
  if (requiresLength) throw new S3Error('MissingContentLength');
  return 0;
}

function parseLength(text: string, name: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new S3Error('InvalidArgument', {
      message: `Invalid value for the header ${name}`,
      details: { ArgumentName: name, ArgumentValue: text },
    });
  }
  return Number(text);
}
