import type { S3Services } from '../../service/services.ts';
import { checkOptionalAttributes, readKeyEncoding, readPageLimit } from '../listing-parameters.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { commonPrefixesXml, listedObjectsXml } from '../xml/listing-xml.ts';
import { xmlDocumentBytes, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * The first form of listing. NextMarker is sent only with a delimiter: without one the last key is the next marker.
 *
 * @throws S3Error NoSuchBucket | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
 */
export async function listObjects(request: S3Request, services: S3Services): Promise<S3Response> {
  const { query } = request;
  const encoding = readKeyEncoding(query);
  const maxKeys = readPageLimit(query, 'max-keys');
  checkOptionalAttributes(request.headers);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const marker = query.get('marker') ?? '';
  const page = await services.listing.listObjects({
    bucket: request.bucket,
    prefix,
    delimiter,
    startAfter: marker,
    maxKeys,
  });
  const nextMarker = page.isTruncated && delimiter !== '' ? page.lastEntry : undefined;
  return xmlResponse(
    xmlDocumentBytes('ListBucketResult', [
      xmlText('Name', request.bucket) +
        xmlText('Prefix', encoding.encode(prefix)) +
        xmlText('Marker', encoding.encode(marker)) +
        xmlOptional('NextMarker', nextMarker === undefined ? undefined : encoding.encode(nextMarker)) +
        xmlText('MaxKeys', maxKeys) +
        xmlOptional('Delimiter', delimiter === '' ? undefined : encoding.encode(delimiter)) +
        xmlOptional('EncodingType', encoding.encodingType) +
        xmlText('IsTruncated', page.isTruncated),
      ...listedObjectsXml(page.objects, { encoding, withOwner: true }),
      ...commonPrefixesXml(page.commonPrefixes, encoding),
    ]),
  );
}
