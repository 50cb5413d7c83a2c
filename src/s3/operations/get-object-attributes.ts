import { S3Error } from '../../errors/s3-error.ts';
import type { ObjectRecord } from '../../model/object-record.ts';
import type { S3Services } from '../../service/services.ts';
import { checksumElementName, checksumElements } from '../headers/checksums.ts';
import { readReadPermit } from '../headers/encryption.ts';
import { formatHttpDate } from '../headers/http-date.ts';
import { addVersionId } from '../headers/version-id.ts';
import { readPageLimit, readPartNumberMarker } from '../headers/whole-number.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

const ATTRIBUTES = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'] as const;
type Attribute = (typeof ATTRIBUTES)[number];

/**
 * Answers the attributes that are asked for. `ObjectParts` is there for multipart objects only, a page at a time.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
 */
export async function getObjectAttributes(request: S3Request, services: S3Services): Promise<S3Response> {
  const wanted = readWantedAttributes(request.headers.get('x-amz-object-attributes'));
  const page = {
    limit: readPageLimit(request.headers.get('x-amz-max-parts'), 'x-amz-max-parts'),
    after: readPartNumberMarker(request.headers.get('x-amz-part-number-marker'), 'x-amz-part-number-marker'),
  };
  const bucket = await services.buckets.requireBucket(request.bucket);
  const versionId = request.query.get('versionId');
  const address = { bucket, key: request.key, versionId, ...readReadPermit(request, services) };
  const object = await services.objects.inspectObject(address, wanted.has('Checksum') || wanted.has('ObjectParts'));
  const headers: Record<string, string> = { 'last-modified': formatHttpDate(object.lastModifiedMs) };
  addVersionId(headers, bucket, object.versionId);
  const elements: Record<Attribute, () => string> = {
    ETag: () => xmlText('ETag', object.etag),
    Checksum: () =>
      object.checksum ? xmlGroup('Checksum', checksumElements(object.checksum, object.parts?.length)) : '',
    ObjectParts: () => partsXml(object, page),
    StorageClass: () => xmlText('StorageClass', object.storageClass),
    ObjectSize: () => xmlText('ObjectSize', object.sizeBytes),
  };
  const body = ATTRIBUTES.filter((attribute) => wanted.has(attribute)).map((attribute) => elements[attribute]());
  return xmlResponse(xmlDocument('GetObjectAttributesResponse', body.join('')), headers);
}

function readWantedAttributes(header: string | undefined): Set<Attribute> {
  const wanted = new Set<Attribute>();
  for (const name of (header ?? '').split(',').map((item) => item.trim())) {
    const attribute = ATTRIBUTES.find((known) => known === name);
    if (!attribute) {
      throw new S3Error('InvalidArgument', {
        message:
          header === undefined
            ? 'The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty'
            : 'Invalid attribute name specified.',
        details: { ArgumentName: 'x-amz-object-attributes', ArgumentValue: name },
      });
    }
    wanted.add(attribute);
  }
  return wanted;
}

function partsXml(object: ObjectRecord, page: { limit: number; after: number }): string {
  if (!object.parts) return '';
  const after = object.parts.filter(({ partNumber }) => partNumber > page.after);
  const shown = after.slice(0, page.limit);
  const checksumName = object.checksum && checksumElementName(object.checksum.algorithm);
  const parts = shown.map(({ partNumber, sizeBytes, checksum }) =>
    xmlGroup(
      'Part',
      (checksumName ? xmlOptional(checksumName, checksum) : '') +
        xmlText('PartNumber', partNumber) +
        xmlText('Size', sizeBytes),
    ),
  );
  return xmlGroup(
    'ObjectParts',
    xmlText('PartsCount', object.parts.length) +
      xmlText('PartNumberMarker', page.after) +
      xmlText('NextPartNumberMarker', shown.at(-1)?.partNumber ?? 0) +
      xmlText('MaxParts', page.limit) +
      xmlText('IsTruncated', after.length > shown.length) +
      parts.join(''),
  );
}
