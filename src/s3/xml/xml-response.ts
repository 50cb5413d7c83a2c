import type { S3Response } from '../operation.ts';

const XML_HEADERS = { 'content-type': 'application/xml' };

/** 200 with an XML document. */
export function xmlResponse(
  document: string | Buffer,
  headers: Readonly<Record<string, string | number>> = {},
): S3Response {
  return { status: 200, headers: { ...XML_HEADERS, ...headers }, body: document };
}
