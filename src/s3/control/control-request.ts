import { S3Error } from '../../errors/s3-error.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { XML_DECLARATION } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

export const CONTROL_NAMESPACE = 'http://awss3control.amazonaws.com/doc/2018-08-20/';

/** Of which account a request speaks. @throws S3Error InvalidRequest */
export function requireAccountId({ headers }: S3Request): string {
  const accountId = headers.get('x-amz-account-id') ?? '';
  if (/^\d{12}$/.test(accountId)) return accountId;
  throw new S3Error('InvalidRequest', { message: 'Missing or invalid header for this request: x-amz-account-id' });
}

export function controlDocument(rootName: string, inner: string): S3Response {
  return xmlResponse(`${XML_DECLARATION}<${rootName} xmlns="${CONTROL_NAMESPACE}">${inner}</${rootName}>`);
}
