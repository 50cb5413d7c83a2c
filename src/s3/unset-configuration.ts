import { S3Error } from '../errors/s3-error.ts';
import type { S3ErrorCode } from '../errors/s3-errors.ts';
import type { OperationHandler } from './operation.ts';
import { buildXml, type XmlValue } from './xml/build-xml.ts';
import { xmlResponse } from './xml/xml-response.ts';

/** A read of a configuration that nothing has set, where AWS answers an error. */
export function unsetConfiguration(code: S3ErrorCode): OperationHandler {
  return async (request, services) => {
    await services.buckets.requireBucket(request.bucket);
    throw new S3Error(code, { details: { BucketName: request.bucket } });
  };
}

/** A read of a configuration that is the same for every bucket. */
export function fixedDocument(rootName: string, content: { readonly [name: string]: XmlValue }): OperationHandler {
  const document = buildXml(rootName, content);
  return async (request, services) => {
    await services.buckets.requireBucket(request.bucket);
    return xmlResponse(document);
  };
}
