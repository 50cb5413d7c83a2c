import type { Duplex } from 'node:stream';
import type { ServerResponse } from 'node:http';
import type { S3ErrorCode } from '../errors/s3-errors.ts';
import type { Log } from '../observability/log.ts';
import { errorCode } from './error-code.ts';
import { protocolError, rawAnswer } from './protocol-error.ts';

/**
 * What node's parser refused: malformed requests, too many header bytes, headers that did not come in time. The answer
 * is written to the bare socket, unless the head of an answer to this or an earlier request was already sent on it.
 */
export function answerClientError(
  error: Error,
  socket: Duplex,
  context: { requestId: string; current: ServerResponse | undefined; log: Log },
): void {
  const code = errorCode(error);
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  if (context.current?.headersSent === true) {
    // what of the answer was written already may leave; it cannot be taken for a whole one
    socket.destroySoon?.();
    return;
  }
  // The client has ended its half of the connection within a body that is being read.
  const isBodyCut = code === 'HPE_INVALID_EOF_STATE' && context.current?.req.complete === false;
  const { s3Code, message } = isBodyCut ? { s3Code: 'IncompleteBody' as const } : classify(code);
  context.log.info({ requestId: context.requestId, code: s3Code, reason: code }, 'request could not be parsed');
  endWithError(socket, context.requestId, s3Code, message);
}

/** `CONNECT` opens a tunnel in HTTP; S3 has none, and node leaves its socket to the listener. */
export function refuseTunnel(socket: Duplex, context: { requestId: string; log: Log }): void {
  context.log.info({ requestId: context.requestId, code: 'MethodNotAllowed', reason: 'CONNECT' }, 'tunnel refused');
  socket.on('error', () => socket.destroy());
  endWithError(socket, context.requestId, 'MethodNotAllowed');
}

function endWithError(socket: Duplex, requestId: string, code: S3ErrorCode, message?: string): void {
  socket.end(rawAnswer(protocolError(code, requestId, message), requestId));
  // what the client still sends is dropped; the socket must not outlive its answer by much
  socket.resume();
  socket.once('finish', () => socket.destroySoon?.());
}

declare module 'node:stream' {
  interface Duplex {
    /** Of net.Socket. */
    destroySoon?(): void;
  }
}

function classify(code: string): { s3Code: S3ErrorCode; message?: string } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { s3Code: 'RequestHeaderSectionTooLarge' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { s3Code: 'RequestTimeout' };
    default:
      return { s3Code: 'BadRequest', message: 'An error occurred when parsing the HTTP request.' };
  }
}
