import { S3Error } from '../../errors/s3-error.ts';
import type { Owner, UploadRecord } from '../../model/object-record.ts';
import type { S3Services } from '../../service/services.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import { readPageLimit } from '../headers/whole-number.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { encodeKeyForUrl, xmlDocument, xmlGroup, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Lists uploads in progress, by key and upload id, a page at a time, with common prefixes when there is a delimiter.
 *
 * @throws S3Error NoSuchBucket | InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
 */
export async function listMultipartUploads(request: S3Request, services: S3Services): Promise<S3Response> {
  const { query } = request;
  const bucket = await services.buckets.requireBucket(request.bucket);
  const limit = readPageLimit(query.get('max-uploads'), 'max-uploads');
  const encodingType = query.get('encoding-type');
  if (encodingType !== undefined && encodingType !== 'url') {
    throw new S3Error('InvalidArgument', {
      message: 'Invalid Encoding Method specified in Request',
      details: { ArgumentName: 'encoding-type', ArgumentValue: encodingType },
    });
  }
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  // Without a key marker AWS ignores the upload id marker.
  const uploadIdMarker = keyMarker === '' ? '' : (query.get('upload-id-marker') ?? '');
  const { bucketId } = bucket;
  const page = await services.multipart.listUploads({ bucketId, prefix, delimiter, keyMarker, uploadIdMarker, limit });
  const encode = encodingType === 'url' ? encodeKeyForUrl : (key: string) => key;
  return xmlResponse(
    xmlDocument(
      'ListMultipartUploadsResult',
      xmlText('Bucket', request.bucket) +
        xmlText('KeyMarker', encode(keyMarker)) +
        xmlText('UploadIdMarker', uploadIdMarker) +
        xmlOptional('NextKeyMarker', page.nextKeyMarker === undefined ? undefined : encode(page.nextKeyMarker)) +
        xmlOptional('NextUploadIdMarker', page.nextUploadIdMarker) +
        (prefix === '' ? '' : xmlText('Prefix', encode(prefix))) +
        (delimiter === '' ? '' : xmlText('Delimiter', encode(delimiter))) +
        xmlOptional('EncodingType', encodingType) +
        xmlText('MaxUploads', limit) +
        xmlText('IsTruncated', page.isTruncated) +
        page.uploads.map((upload) => uploadXml(upload, encode)).join('') +
        page.commonPrefixes.map((found) => xmlGroup('CommonPrefixes', xmlText('Prefix', encode(found)))).join(''),
    ),
  );
}

function uploadXml(upload: UploadRecord, encode: (key: string) => string): string {
  return xmlGroup(
    'Upload',
    xmlText('Key', encode(upload.key)) +
      xmlText('UploadId', upload.uploadId) +
      ownerXml('Initiator', upload.initiator) +
      ownerXml('Owner', upload.owner) +
      xmlText('StorageClass', upload.storageClass) +
      xmlText('Initiated', formatIsoDate(upload.initiatedAtMs)) +
      xmlOptional('ChecksumAlgorithm', upload.checksumAlgorithm) +
      xmlOptional('ChecksumType', upload.checksumType),
  );
}

function ownerXml(name: string, owner: Owner): string {
  return xmlGroup(name, xmlText('ID', owner.canonicalId) + xmlText('DisplayName', owner.displayName));
}
