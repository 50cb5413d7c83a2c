import type { S3Services } from '../../service/services.ts';
import { checkOptionalAttributes, invalidArgument, readKeyEncoding, readPageLimit } from '../listing-parameters.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { commonPrefixesXml } from '../xml/listing-xml.ts';
import { listedVersionsXml } from '../xml/versions-xml.ts';
import { xmlDocumentBytes, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Versions and delete markers of a bucket, by key and the newest of each first. A bucket that never had versions shows
 * its objects as null versions.
 *
 * @throws S3Error NoSuchBucket | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
 */
export async function listObjectVersions(request: S3Request, services: S3Services): Promise<S3Response> {
  const { query } = request;
  const encoding = readKeyEncoding(query);
  const maxKeys = readPageLimit(query, 'max-keys');
  checkOptionalAttributes(request.headers);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  const versionIdMarker = query.get('version-id-marker') ?? '';
  if (versionIdMarker !== '' && keyMarker === '') {
    throw invalidArgument(
      'version-id-marker',
      versionIdMarker,
      'A version-id marker cannot be specified without a key marker.',
    );
  }
  const page = await services.listing.listVersions({
    bucket: request.bucket,
    prefix,
    delimiter,
    keyMarker,
    versionIdMarker,
    maxKeys,
  });
  const { nextKeyMarker, nextVersionIdMarker } = page;
  return xmlResponse(
    xmlDocumentBytes('ListVersionsResult', [
      xmlText('Name', request.bucket) +
        xmlText('Prefix', encoding.encode(prefix)) +
        xmlText('KeyMarker', encoding.encode(keyMarker)) +
        xmlText('VersionIdMarker', versionIdMarker) +
        xmlOptional('NextKeyMarker', nextKeyMarker === undefined ? undefined : encoding.encode(nextKeyMarker)) +
        xmlOptional('NextVersionIdMarker', nextVersionIdMarker) +
        xmlText('MaxKeys', maxKeys) +
        xmlOptional('Delimiter', delimiter === '' ? undefined : encoding.encode(delimiter)) +
        xmlOptional('EncodingType', encoding.encodingType) +
        xmlText('IsTruncated', page.isTruncated),
      ...listedVersionsXml(page.versions, encoding),
      ...commonPrefixesXml(page.commonPrefixes, encoding),
    ]),
  );
}
