import { S3Error } from '../../errors/s3-error.ts';
import type { BucketRecord } from '../../model/object-record.ts';
import type { CopiedObject } from '../../service/object-copier.ts';
import type { S3Services } from '../../service/services.ts';
import { checksumElements, readChecksumAlgorithm } from '../headers/checksums.ts';
import { checkCopySourceConditions, readWriteConditions } from '../headers/conditions.ts';
import { parseCopySource } from '../headers/copy-source.ts';
import { addEncryptionHeaders, readEncryptionWish, readSourceCustomerKey } from '../headers/encryption.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import { addExpiration } from '../headers/lifecycle-headers.ts';
import { readObjectHeaders } from '../headers/object-headers.ts';
import { readObjectLock } from '../headers/object-lock-headers.ts';
import { readTaggingHeader } from '../headers/tagging-header.ts';
import { readUserMetadata } from '../headers/user-metadata.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { answerPatiently } from '../patient-answer.ts';
import { uploadOwnership } from '../upload-ownership.ts';
import { xmlDocument, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

/**
 * Copies an object of at most 5 GiB under another key, or onto itself with other metadata. The bytes stay where they
 * are: both keys name them. Only a checksum that the source does not have, or another encryption, makes the server read
 * them.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey | NoSuchVersion | InvalidArgument | PreconditionFailed (source or
 *   destination) | InvalidRequest (onto itself unchanged, too large) | MetadataTooLarge | InvalidTag
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
 */
export async function copyObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const { headers } = request;
  const source = parseCopySource(headers.get('x-amz-copy-source') ?? '');
  const replacesMetadata = readDirective(headers, 'x-amz-metadata-directive') === 'REPLACE';
  const replacesTags = readDirective(headers, 'x-amz-tagging-directive') === 'REPLACE';
  const bucket = await services.buckets.requireBucket(request.bucket);
  const work = services.objects.copyObject({
    source: { ...source, bucket: await services.buckets.requireBucket(source.bucket) },
    checkSource: async (object) => {
      checkCopySourceConditions(headers, object);
      if (!replacesTags && object.tags !== undefined) await authorizeTagCopy(request, source);
    },
    bucket,
    key: request.key,
    replaceMetadata: replacesMetadata
      ? { headers: readObjectHeaders(headers), userMetadata: readUserMetadata(headers) }
      : undefined,
    replaceTags: replacesTags ? { tags: readTaggingHeader(headers) } : undefined,
    lock: readObjectLock(request),
    storageClass: services.storageClasses.choose(request.bucket, headers.get('x-amz-storage-class')),
    ownership: uploadOwnership(request, bucket, services),
    namesStorageClass: headers.has('x-amz-storage-class'),
    checksumAlgorithm: readChecksumAlgorithm(headers),
    preconditions: readWriteConditions(headers),
    encryption: readEncryptionWish(request, services),
    sourceCustomerKey: readSourceCustomerKey(request, services),
  });
  return await answerPatiently(
    services.clock,
    request,
    work.then((copied) => copyAnswer(bucket, request.key, copied)),
  );
}

/** Copying tags is reading and writing them. @throws S3Error AccessDenied */
async function authorizeTagCopy(request: S3Request, source: ReturnType<typeof parseCopySource>): Promise<void> {
  await request.authorize(
    source.versionId === undefined ? 's3:GetObjectTagging' : 's3:GetObjectVersionTagging',
    source,
  );
  await request.authorize('s3:PutObjectTagging', request);
}

function copyAnswer(bucket: BucketRecord, key: string, copied: CopiedObject): S3Response {
  const headers: Record<string, string | number> = {};
  addEncryptionHeaders(headers, copied.encryption);
  addExpiration(headers, bucket, { key, ...copied });
  if (copied.versionId !== 'null') headers['x-amz-version-id'] = copied.versionId;
  if (copied.sourceVersionId !== undefined) headers['x-amz-copy-source-version-id'] = copied.sourceVersionId;
  return xmlResponse(
    xmlDocument(
      'CopyObjectResult',
      xmlText('LastModified', formatIsoDate(copied.lastModifiedMs)) +
        xmlText('ETag', `"${copied.etag}"`) +
        checksumElements(copied.checksum, copied.partsCount),
    ),
    headers,
  );
}

/** @throws S3Error InvalidArgument */
function readDirective(headers: ReadonlyMap<string, string>, name: string): 'COPY' | 'REPLACE' {
  const value = headers.get(name) ?? 'COPY';
  if (value === 'COPY' || value === 'REPLACE') return value;
  throw new S3Error('InvalidArgument', {
    message: name === 'x-amz-metadata-directive' ? 'Unknown metadata directive.' : 'Unknown tagging directive.',
    details: { ArgumentName: name, ArgumentValue: value },
  });
}
