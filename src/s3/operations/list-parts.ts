import type { Owner, PartRecord } from '../../model/object-record.ts';
import type { S3Services } from '../../service/services.ts';
import { checksumElementName } from '../headers/checksums.ts';
import { readReadPermit } from '../headers/encryption.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import { addAbortion } from '../headers/lifecycle-headers.ts';
import { readPageLimit, readPartNumberMarker } from '../headers/whole-number.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Lists the parts that an upload has so far, by number, a page at a time.
 *
 * @throws S3Error NoSuchBucket | NoSuchUpload | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
 */
export async function listParts(request: S3Request, services: S3Services): Promise<S3Response> {
  const { bucket, key, query } = request;
  const uploadId = query.get('uploadId') ?? '';
  const limit = readPageLimit(query.get('max-parts'), 'max-parts');
  const afterPartNumber = readPartNumberMarker(query.get('part-number-marker'), 'part-number-marker');
  const permit = readReadPermit(request, services);
  const address = { bucket: await services.buckets.requireBucket(bucket), key, uploadId, ...permit };
  const { upload, parts, isTruncated } = await services.multipart.listParts(address, { afterPartNumber, limit });
  const headers: Record<string, string | number> = {};
  addAbortion(headers, address.bucket, upload);
  return xmlResponse(
    xmlDocument(
      'ListPartsResult',
      xmlText('Bucket', bucket) +
        xmlText('Key', key) +
        xmlText('UploadId', uploadId) +
        xmlText('PartNumberMarker', afterPartNumber) +
        xmlText('NextPartNumberMarker', parts.at(-1)?.partNumber ?? 0) +
        xmlText('MaxParts', limit) +
        xmlText('IsTruncated', isTruncated) +
        parts.map(partXml).join('') +
        ownerXml('Initiator', upload.initiator) +
        ownerXml('Owner', upload.owner) +
        xmlText('StorageClass', upload.storageClass) +
        xmlOptional('ChecksumAlgorithm', upload.checksumAlgorithm) +
        xmlOptional('ChecksumType', upload.checksumType),
    ),
    headers,
  );
}

function partXml({ partNumber, lastModifiedMs, etag, sizeBytes, checksum }: PartRecord): string {
  return xmlGroup(
    'Part',
    xmlText('PartNumber', partNumber) +
      xmlText('LastModified', formatIsoDate(lastModifiedMs)) +
      xmlText('ETag', `"${etag}"`) +
      xmlText('Size', sizeBytes) +
      (checksum ? xmlText(checksumElementName(checksum.algorithm), checksum.value) : ''),
  );
}

function ownerXml(name: string, owner: Owner): string {
  return xmlGroup(name, xmlText('ID', owner.canonicalId) + xmlText('DisplayName', owner.displayName));
}
