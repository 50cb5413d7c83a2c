import { CHECKSUM_ALGORITHMS } from '../../checksums/checksum-algorithms.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { BucketRecord } from '../../model/object-record.ts';
import type { ListedPart } from '../../service/multipart-completer.ts';
import { PART_NUMBER_LIMIT } from '../../service/multipart-uploads.ts';
import type { WrittenObject } from '../../service/objects.ts';
import type { S3Services } from '../../service/services.ts';
import { checksumElementName, checksumElements, readChecksumType, readObjectChecksum } from '../headers/checksums.ts';
import { readWriteConditions } from '../headers/conditions.ts';
import { addEncryptionHeaders, readUploadPermit } from '../headers/encryption.ts';
import { unquoteEtag } from '../headers/etag-list.ts';
import { addExpiration } from '../headers/lifecycle-headers.ts';
import { readWholeNumber } from '../headers/whole-number.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { answerPatiently } from '../patient-answer.ts';
import { readOptionalXmlBody } from '../xml/read-xml-body.ts';
import { encodeKeyForUrl, xmlDocument, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';
import { list, structure, text, type XmlResult } from '../xml/xml-schema.ts';

const PART = structure({
  PartNumber: text,
  ETag: text,
  ChecksumCRC32: text,
  ChecksumCRC32C: text,
  ChecksumCRC64NVME: text,
  ChecksumMD5: text,
  ChecksumSHA1: text,
  ChecksumSHA256: text,
  ChecksumSHA512: text,
  ChecksumXXHASH128: text,
  ChecksumXXHASH3: text,
  ChecksumXXHASH64: text,
});
const COMPLETE = structure({ Part: list(PART) });

/**
 * Makes an object of the parts that the body lists. No bytes move: one commit names all parts. A retry is answered as the first call was.
 *
 * @throws S3Error NoSuchBucket | NoSuchUpload | MalformedXML | InvalidPart | InvalidPartOrder | EntityTooSmall |
 *   BadDigest | InvalidRequest (size or checksum) | InvalidArgument | PreconditionFailed | NoSuchKey (If-Match)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
export async function completeMultipartUpload(request: S3Request, services: S3Services): Promise<S3Response> {
  const { headers } = request;
  const bucket = await services.buckets.requireBucket(request.bucket);
  const listed = (await readOptionalXmlBody(request, COMPLETE))?.Part ?? [];
  if (listed.length === 0 || listed.length > PART_NUMBER_LIMIT) throw new S3Error('MalformedXML');
  const size = headers.get('x-amz-mp-object-size');
  const work = services.multipart.completeUpload({
    bucket,
    key: request.key,
    uploadId: request.query.get('uploadId') ?? '',
    parts: listed.map(readPart),
    claimed: { checksum: readObjectChecksum(headers), type: readChecksumType(headers) },
    claimedSizeBytes: size === undefined ? undefined : readObjectSize(size),
    preconditions: readWriteConditions(headers),
    ...readUploadPermit(request, services),
  });
  return await answerPatiently(
    services.clock,
    request,
    work.then((completed) => completeAnswer(request, bucket, completed)),
  );
}

function completeAnswer(
  { key, host, isSecure }: S3Request,
  bucket: BucketRecord,
  completed: WrittenObject,
): S3Response {
  const location = `${isSecure ? 'https' : 'http'}://${host}/${bucket.name}/${encodeKeyForUrl(key)}`;
  const headers: Record<string, string | number> = {};
  addEncryptionHeaders(headers, completed.encryption);
  if (completed.versionId !== 'null') headers['x-amz-version-id'] = completed.versionId;
  if (completed.tags !== undefined) addExpiration(headers, bucket, { key, ...completed });
  return xmlResponse(
    xmlDocument(
      'CompleteMultipartUploadResult',
      xmlText('Location', location) +
        xmlText('Bucket', bucket.name) +
        xmlText('Key', key) +
        xmlText('ETag', `"${completed.etag}"`) +
        checksumElements(completed.checksum, completed.partsCount),
    ),
    headers,
  );
}

function readPart(part: XmlResult<typeof PART>): ListedPart {
  const { PartNumber: partNumber, ETag: etag } = part;
  if (etag === undefined || partNumber === undefined || !/^\d{1,5}$/.test(partNumber)) {
    throw new S3Error('MalformedXML');
  }
  const checksums: ListedPart['checksums'][number][] = [];
  for (const algorithm of CHECKSUM_ALGORITHMS.keys()) {
    const value = part[checksumElementName(algorithm)];
    if (value !== undefined) checksums.push({ algorithm, value: value.trim() });
  }
  return { partNumber: Number(partNumber), etag: unquoteEtag(etag), checksums };
}

function readObjectSize(value: string): number {
  return readWholeNumber(value, {
    name: 'x-amz-mp-object-size',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    message: 'Value for x-amz-mp-object-size header is invalid.',
  });
}
