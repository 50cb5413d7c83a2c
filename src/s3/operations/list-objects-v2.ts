import { makeContinuationToken, readContinuationToken } from '../../service/continuation-token.ts';
import type { S3Services } from '../../service/services.ts';
import { checkOptionalAttributes, readKeyEncoding, readPageLimit } from '../listing-parameters.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { commonPrefixesXml, listedObjectsXml } from '../xml/listing-xml.ts';
import { xmlDocumentBytes, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * The second form of listing: an opaque token continues it, and `start-after` counts only without one.
 *
 * @throws S3Error NoSuchBucket | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
export async function listObjectsV2(request: S3Request, services: S3Services): Promise<S3Response> {
  const { query } = request;
  const encoding = readKeyEncoding(query);
  const maxKeys = readPageLimit(query, 'max-keys');
  checkOptionalAttributes(request.headers);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const startAfter = query.get('start-after');
  const token = query.get('continuation-token');
  const page = await services.listing.listObjects({
    bucket: request.bucket,
    prefix,
    delimiter,
    startAfter: token === undefined || token === '' ? (startAfter ?? '') : readContinuationToken(token),
    maxKeys,
  });
  const nextToken =
    page.isTruncated && page.lastEntry !== undefined ? makeContinuationToken(page.lastEntry) : undefined;
  return xmlResponse(
    xmlDocumentBytes('ListBucketResult', [
      xmlText('Name', request.bucket) +
        xmlText('Prefix', encoding.encode(prefix)) +
        xmlOptional('StartAfter', startAfter === undefined ? undefined : encoding.encode(startAfter)) +
        xmlOptional('ContinuationToken', token) +
        xmlOptional('NextContinuationToken', nextToken) +
        xmlText('KeyCount', page.objects.length + page.commonPrefixes.length) +
        xmlText('MaxKeys', maxKeys) +
        xmlOptional('Delimiter', delimiter === '' ? undefined : encoding.encode(delimiter)) +
        xmlOptional('EncodingType', encoding.encodingType) +
        xmlText('IsTruncated', page.isTruncated),
      ...listedObjectsXml(page.objects, { encoding, withOwner: query.get('fetch-owner') === 'true' }),
      ...commonPrefixesXml(page.commonPrefixes, encoding),
    ]),
  );
}
