import type { IncomingMessage } from 'node:http';
import { type AnswerHeaders, headerLines } from './header-lines.ts';
import type { HttpExchange } from './http-exchange.ts';
import { watchUnread } from './watch-unread.ts';

export interface BufferedAnswer extends AnswerHeaders {
  readonly status: number;
  readonly body?: Buffer | string | undefined;
  /** Close the connection behind it. */
  readonly closesConnection?: boolean;
}

/** A body this small is simply read past; the connection lives on. */
const SMALL_BODY_BYTES = 64 * 1024;

/**
 * Sends a whole answer. When the request's body was not read to its end the answer is sent first, then the rest of the
 * body is dropped up to the bounds of bytes and time, and only then the connection closes: a client that is still
 * sending sees the S3 error and not a reset.
 */
export function sendBuffer(exchange: HttpExchange, answer: BufferedAnswer): void {
  const { request, response } = exchange;
  if (response.destroyed || response.headersSent) return;
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body, 'utf8') : answer.body;
  const lines = headerLines(exchange, answer);
  const mayHaveBody = answer.status !== 204 && answer.status !== 304;
  if (mayHaveBody && answer.headers['content-length'] === undefined) lines.push('content-length', body?.length ?? 0);
  const sentBody = mayHaveBody && request.method !== 'HEAD' ? body : undefined;
  exchange.access.bytesOut += sentBody?.length ?? 0;
  const unread = unreadBody(request);
  if (unread === 'large') {
    sendBeforeBodyEnds(exchange, { status: answer.status, lines, body: sentBody });
    return;
  }
  if (answer.closesConnection === true) lines.push('connection', 'close');
  response.writeHead(answer.status, lines);
  response.end(sentBody);
  if (response.writableLength > 0) watchUnread(exchange, response.writableLength);
  if (unread === 'small') boundRestOfBody(exchange);
}

/** What of the body is still to come. A client that waits for `100 Continue` counts as large: it may never send it. */
function unreadBody(request: IncomingMessage): 'none' | 'small' | 'large' {
  const contentLength = request.headers['content-length'];
  const isChunked = request.headers['transfer-encoding'] !== undefined;
  if (request.complete || (!isChunked && (contentLength === undefined || contentLength === '0'))) return 'none';
  if (isChunked || request.headers.expect !== undefined) return 'large';
  return Number(contentLength) <= SMALL_BODY_BYTES ? 'small' : 'large';
}

/** Node reads on to the next request by itself; the time for it is bounded here. */
function boundRestOfBody({ request, runtime }: HttpExchange): void {
  const cancel = runtime.schedule(runtime.discardMs, () => {
    if (!request.complete) request.socket.destroy();
  });
  request.once('close', cancel);
  request.resume();
}

function sendBeforeBodyEnds(
  exchange: HttpExchange,
  answer: { status: number; lines: (string | number)[]; body: Buffer | undefined },
): void {
  const { request, response, runtime } = exchange;
  // not response.end(): node would close the socket at once, and the kernel resets one with unread bytes
  response.writeHead(answer.status, [...answer.lines, 'connection', 'close']);
  if (answer.body !== undefined && answer.body.length > 0) response.write(answer.body);
  else response.flushHeaders();
  let discardedBytes = 0;
  let isOver = false;
  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    cancel();
    request.off('data', onData);
    response.end();
  };
  const onData = (chunk: Buffer): void => {
    discardedBytes += chunk.length;
    if (discardedBytes > runtime.discardBytes) finish();
  };
  const cancel = runtime.schedule(runtime.discardMs, finish);
  request.on('data', onData);
  request.once('end', finish);
  request.once('close', finish);
  request.once('error', finish);
  // a client that still waits for `100 Continue` sends nothing, unless it has lost patience
  if (request.headers.expect !== undefined && !wasContinued(response)) runtime.schedule(CONTINUE_GRACE_MS, finish);
  request.resume();
}

const CONTINUE_GRACE_MS = 100;

function wasContinued(response: object): boolean {
  return (response as { _sent100?: boolean })._sent100 === true;
}
