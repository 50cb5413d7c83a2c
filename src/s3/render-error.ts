import type { S3Error } from '../errors/s3-error.ts';
import { plainXmlDocument, printableXml, xmlText } from './xml/write-xml.ts';

export interface RenderedError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface ErrorContext {
  readonly method: string;
  /** Path of the request as sent. */
  readonly resource: string;
  readonly requestId: string;
  readonly hostId: string;
}

/**
 * The answer to a failed request: S3's XML document with Code, Message, the details of the error, Resource, RequestId and
 * HostId. Answers to HEAD and 304 have no body. Characters that XML cannot hold are replaced, so that every client can
 * read the code.
 */
export function renderError(error: S3Error, context: ErrorContext): RenderedError {
  if (context.method === 'HEAD' || error.status === 304) return { status: error.status, headers: error.headers };
  let inner = xmlText('Code', error.code) + xmlText('Message', printableXml(error.message));
  for (const name in error.details) {
    const value = error.details[name]!;
    inner += xmlText(name, typeof value === 'string' ? printableXml(value) : value);
  }
  inner += xmlText('Resource', printableXml(context.resource));
  inner += xmlText('RequestId', context.requestId) + xmlText('HostId', context.hostId);
  return {
    status: error.status,
    headers: { 'content-type': 'application/xml', ...error.headers },
    body: plainXmlDocument('Error', inner),
  };
}
