import { connect, type Socket } from 'node:net';

export interface Answer {
  status: number;
  /** Status line and headers, latin-1. */
  head: string;
  /** The body when it was collected: no sink was given, or the status is not 2xx. */
  text: string;
}

/** Takes the body of a 2xx; the buffer is valid during the call only. */
export interface BodySink {
  write(bytes: Buffer, start: number, end: number): void;
}

export interface Address {
  host: string;
  port: number;
}

interface Exchange {
  isHead: boolean;
  sink: BodySink | undefined;
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const SCRATCH_BYTES = 48 * 1024;

type State = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'until-close';

/**
 * One keep-alive connection on a bare socket, one request at a time: as light as Node allows, because client and server
 * share the processors. Reads go into one buffer of its own, small requests out of another. Connects again by itself
 * after a connection ended; a request during which it ends fails.
 */
export class HttpConnection {
  readonly #address: Address;
  readonly #readBuffer: Buffer;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #socket: Socket | undefined;
  #exchange: Exchange | undefined;
  #state: State = 'head';
  #partial = '';
  #remaining = 0;
  #answer: Answer = { status: 0, head: '', text: '' };
  #collected: Buffer[] = [];
  #isSinking = false;
  #closesAfter = false;
  /** When the current request was sent, by `performance.now()`; 0 when none is. */
  sentAt = 0;

  constructor(address: Address, readBufferBytes: number) {
    this.#address = address;
    this.#readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  }

  async open(): Promise<void> {
    if (this.#socket !== undefined) return;
    const socket = connect({
      ...this.#address,
      noDelay: true,
      onread: {
        buffer: this.#readBuffer,
        callback: (byteCount, buffer) => {
          this.#onRead(byteCount, buffer as Buffer);
          return true;
        },
      },
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.removeAllListeners('error');
    socket.on('error', (error) => this.#lost(socket, error));
    socket.on('end', () => this.#lost(socket, new Error('connection closed')));
    socket.on('close', () => this.#lost(socket, new Error('connection closed')));
    this.#socket = socket;
  }

  /** `head` ends with an empty line; `body` has the length the head says. @throws when the connection ends before the answer. */
  async send(request: { head: string; body?: readonly Buffer[]; isHead?: boolean; sink?: BodySink }): Promise<Answer> {
    if (this.#socket === undefined) await this.open();
    const socket = this.#socket as Socket;
    return await new Promise<Answer>((resolve, reject) => {
      this.#exchange = { isHead: request.isHead === true, sink: request.sink, resolve, reject };
      this.#state = 'head';
      this.sentAt = performance.now();
      this.#write(socket, request.head, request.body);
    });
  }

  /** Fails the current request, if there is one. */
  close(reason = 'closed by the bench'): void {
    const socket = this.#socket;
    if (socket !== undefined) this.#lost(socket, new Error(reason));
  }

  #write(socket: Socket, head: string, body: readonly Buffer[] | undefined): void {
    if (body === undefined) {
      socket.write(head, 'latin1');
      return;
    }
    let total = head.length;
    for (const piece of body) total += piece.length;
    if (total <= SCRATCH_BYTES && socket.writableLength === 0) {
      let at = this.#scratch.write(head, 0, 'latin1');
      for (const piece of body) at += piece.copy(this.#scratch, at);
      socket.write(this.#scratch.subarray(0, at));
      return;
    }
    socket.cork();
    socket.write(head, 'latin1');
    for (const piece of body) socket.write(piece);
    socket.uncork();
  }

  #onRead(byteCount: number, bytes: Buffer): void {
    let at = 0;
    while (at < byteCount) {
      if (this.#exchange === undefined) return this.close('bytes that answer no request');
      at = this.#consume(bytes, at, byteCount);
    }
  }

  #consume(bytes: Buffer, at: number, end: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes, at, end);
      case 'length':
      case 'chunk': {
        const take = Math.min(this.#remaining, end - at);
        this.#take(bytes, at, at + take);
        this.#remaining -= take;
        if (this.#remaining === 0) {
          if (this.#state === 'length') this.#finish();
          else this.#state = 'chunk-end';
        }
        return at + take;
      }
      case 'until-close':
        this.#take(bytes, at, end);
        return end;
      default:
        return this.#readLine(bytes, at, end);
    }
  }

  #readHead(bytes: Buffer, at: number, end: number): number {
    if (this.#partial === '') {
      const found = bytes.indexOf(HEAD_END, at);
      if (found !== -1 && found + 4 <= end) {
        this.#parseHead(bytes.toString('latin1', at, found));
        return found + 4;
      }
    }
    const before = this.#partial.length;
    this.#partial += bytes.toString('latin1', at, end);
    const found = this.#partial.indexOf('\r\n\r\n');
    if (found === -1) return end;
    const head = this.#partial.slice(0, found);
    this.#partial = '';
    this.#parseHead(head);
    return at + found + 4 - before;
  }

  #parseHead(head: string): void {
    const status = Number(head.slice(9, 12));
    if (!(head.startsWith('HTTP/1.') && status >= 100)) return this.close('an answer that is not HTTP/1.1');
    if (status < 200) return;
    this.#answer = { status, head, text: '' };
    const exchange = this.#exchange;
    this.#isSinking = exchange?.sink !== undefined && status < 300;
    this.#closesAfter = /\r\nconnection: *close/i.test(head);
    if (exchange?.isHead === true || status === 204 || status === 304) return this.#finish();
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length !== undefined) {
      this.#remaining = Number(length);
      this.#state = 'length';
      if (this.#remaining === 0) this.#finish();
    } else this.#state = /\r\ntransfer-encoding: *chunked/i.test(head) ? 'chunk-size' : 'until-close';
  }

  /** Lines of chunked encoding. */
  #readLine(bytes: Buffer, at: number, end: number): number {
    const found = bytes.indexOf(10, at);
    if (found === -1 || found >= end) {
      this.#partial += bytes.toString('latin1', at, end);
      return end;
    }
    const line = (this.#partial + bytes.toString('latin1', at, found)).trim();
    this.#partial = '';
    if (this.#state === 'chunk-end') this.#state = 'chunk-size';
    else if (this.#state === 'trailer') {
      if (line === '') this.#finish();
    } else {
      this.#remaining = Number.parseInt(line, 16);
      if (!(this.#remaining >= 0)) this.close('chunked encoding that is none');
      else this.#state = this.#remaining === 0 ? 'trailer' : 'chunk';
    }
    return found + 1;
  }

  #take(bytes: Buffer, start: number, end: number): void {
    if (this.#isSinking) this.#exchange?.sink?.write(bytes, start, end);
    else this.#collected.push(Buffer.from(bytes.subarray(start, end)));
  }

  #finish(): void {
    const exchange = this.#exchange;
    const answer = this.#answer;
    this.#exchange = undefined;
    this.sentAt = 0;
    if (this.#collected.length > 0) {
      answer.text = Buffer.concat(this.#collected).toString('utf8');
      this.#collected = [];
    }
    if (this.#closesAfter) this.#drop();
    exchange?.resolve(answer);
  }

  #lost(socket: Socket, error: Error): void {
    if (socket !== this.#socket) return;
    this.#drop();
    if (this.#exchange === undefined) return;
    if (this.#state === 'until-close') return this.#finish();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.sentAt = 0;
    exchange.reject(error);
  }

  #drop(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#partial = '';
    if (this.#state !== 'until-close') this.#collected = [];
  }
}
