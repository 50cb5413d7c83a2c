import type { CopiedPart } from '../../service/multipart-uploads.ts';
import type { S3Services } from '../../service/services.ts';
import { checksumElementName } from '../headers/checksums.ts';
import { checkCopySourceConditions } from '../headers/conditions.ts';
import { parseCopySource } from '../headers/copy-source.ts';
import { addEncryptionHeaders, readSourceCustomerKey, readUploadPermit } from '../headers/encryption.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import { parseCopySourceRange } from '../headers/range.ts';
import { readPartNumber } from '../headers/whole-number.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { answerPatiently } from '../patient-answer.ts';
import { xmlDocument, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Makes a part of an object, or of a range of one, that is stored already. Whole blobs are named again; other ranges
 * are read and written.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | NoSuchUpload | InvalidArgument | PreconditionFailed |
 *   InvalidRequest (over 5 GiB)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
 */
export async function uploadPartCopy(request: S3Request, services: S3Services): Promise<S3Response> {
  const { headers } = request;
  const source = parseCopySource(headers.get('x-amz-copy-source') ?? '');
  const rangeHeader = headers.get('x-amz-copy-source-range');
  const work = services.multipart.uploadPartCopy({
    bucket: await services.buckets.requireBucket(request.bucket),
    key: request.key,
    uploadId: request.query.get('uploadId') ?? '',
    partNumber: readPartNumber(request.query.get('partNumber') ?? ''),
    ...readUploadPermit(request, services),
    sourceCustomerKey: readSourceCustomerKey(request, services),
    source: { ...source, bucket: await services.buckets.requireBucket(source.bucket) },
    selectSource: (object) => {
      checkCopySourceConditions(headers, object);
      return rangeHeader === undefined
        ? { start: 0, length: object.sizeBytes }
        : parseCopySourceRange(rangeHeader, object.sizeBytes);
    },
  });
  return await answerPatiently(services.clock, request, work.then(copyAnswer));
}

function copyAnswer(part: CopiedPart): S3Response {
  const headers: Record<string, string | number> = {};
  addEncryptionHeaders(headers, part.facts);
  if (part.sourceVersionId !== undefined) headers['x-amz-copy-source-version-id'] = part.sourceVersionId;
  return xmlResponse(
    xmlDocument(
      'CopyPartResult',
      xmlText('LastModified', formatIsoDate(part.lastModifiedMs)) +
        xmlText('ETag', `"${part.etag}"`) +
        (part.checksum ? xmlText(checksumElementName(part.checksum.algorithm), part.checksum.value) : ''),
    ),
    headers,
  );
}
