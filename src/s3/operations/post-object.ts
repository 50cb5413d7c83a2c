import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { storeObject } from '../store-object.ts';
import { plainXmlDocument, xmlText } from '../xml/write-xml.ts';

/**
 * Stores the file of a browser's form under the key that the form names; the pipeline has held the form to its policy.
 * Answers as the form asks: a redirect, or 200, 201 with a document, or 204.
 *
 * @throws S3Error as PutObject; EntityTooLarge | EntityTooSmall (content-length-range) | MalformedPOSTRequest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
 */
export async function postObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const { written, headers } = await storeObject(request, services);
  const { bucket, key, query } = request;
  const etag = `"${written.etag}"`;
  const redirect = redirectTarget(query.get('success_action_redirect') ?? query.get('redirect'), { bucket, key, etag });
  if (redirect !== undefined) return { status: 303, headers: { ...headers, location: redirect } };
  const location = locationOf(request);
  const answerHeaders = { ...headers, location };
  switch (query.get('success_action_status')) {
    case '200':
      return { status: 200, headers: answerHeaders };
    case '201': {
      const elements = { Location: location, Bucket: bucket, Key: key, ETag: etag };
      const inner = Object.entries(elements).map(([name, value]) => xmlText(name, value));
      const body = plainXmlDocument('PostResponse', inner.join(''));
      return { status: 201, headers: { ...answerHeaders, 'content-type': 'application/xml' }, body };
    }
    default:
      return { status: 204, headers: answerHeaders };
  }
}

/** Where the browser is sent; `undefined`: nowhere, and what cannot be an address counts as not said. */
function redirectTarget(
  value: string | undefined,
  written: { bucket: string; key: string; etag: string },
): string | undefined {
  if (value === undefined || !/^https?:\/\/[\x21-\x7e]+$/i.test(value) || !URL.canParse(value)) return undefined;
  const parameters = Object.entries(written).map(([name, text]) => `${name}=${encodeURIComponent(text)}`);
  const [address = '', ...fragment] = value.split('#');
  const tail = fragment.length === 0 ? '' : `#${fragment.join('#')}`;
  return `${address}${address.includes('?') ? '&' : '?'}${parameters.join('&')}${tail}`;
}

function locationOf({ isSecure, host, resource, key }: S3Request): string {
  const path = key.split('/').map(encodeURIComponent).join('/');
  return `${isSecure ? 'https' : 'http'}://${host}${resource.replace(/\/$/, '')}/${path}`;
}
