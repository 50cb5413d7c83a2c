import { S3_ERRORS, type S3ErrorCode } from '../errors/s3-errors.ts';

/** Errors from before an S3 request can be recognised, in S3's form. Everything in it is the server's own text. */
export interface ProtocolError {
  readonly status: number;
  readonly code: S3ErrorCode;
  readonly document: string;
}

export function protocolError(code: S3ErrorCode, requestId: string, message?: string): ProtocolError {
  const row = S3_ERRORS[code];
  return {
    status: row.status,
    code,
    document: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${escape(message ?? row.message)}</Message><RequestId>${requestId}</RequestId></Error>`,
  };
}

/** A whole answer, for a socket without a response object. The connection closes behind it. */
export function rawAnswer(error: ProtocolError, requestId: string): string {
  const headers = [
    `HTTP/1.1 ${error.status} ${error.status === 400 ? 'Bad Request' : 'Error'}`,
    `x-amz-request-id: ${requestId}`,
    'Content-Type: application/xml',
    `Content-Length: ${Buffer.byteLength(error.document)}`,
    'Connection: close',
  ];
  return `${headers.join('\r\n')}\r\n\r\n${error.document}`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
