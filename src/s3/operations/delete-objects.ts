import { S3Error } from '../../errors/s3-error.ts';
import type { DeleteOutcome, DeleteRequest } from '../../service/objects.ts';
import type { S3Services } from '../../service/services.ts';
import { bypassesGovernance } from '../headers/object-lock-headers.ts';
import { unquoteEtag } from '../headers/etag-list.ts';
import { parseHttpDate } from '../headers/http-date.ts';
import { readWholeNumber } from '../headers/whole-number.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { readXmlBody } from '../xml/read-xml-body.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';
import { list, structure, text, type XmlResult } from '../xml/xml-schema.ts';

const KEY_COUNT_LIMIT = 1000;
const KEY_LIMIT_BYTES = 1024;

const ENTRY = structure({ Key: text, VersionId: text, ETag: text, LastModifiedTime: text, Size: text });
const DELETE = structure({ Object: list(ENTRY), Quiet: text });

/**
 * Deletes up to 1,000 keys, with one outcome each.
 *
 * @throws S3Error NoSuchBucket | InvalidRequest (no checksum of the body) | BadDigest | MalformedXML
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
 */
export async function deleteObjects(request: S3Request, services: S3Services): Promise<S3Response> {
  if (!request.body.expectations.some(({ kind }) => kind !== 'payload-sha256')) {
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    });
  }
  const bucket = await services.buckets.requireBucket(request.bucket);
  const document = await readXmlBody(request, DELETE);
  const isQuiet = readBoolean(document.Quiet);
  if (document.Object.length === 0 || document.Object.length > KEY_COUNT_LIMIT) throw new S3Error('MalformedXML');
  const refused: DeleteOutcome[] = [];
  const allowed: DeleteRequest[] = [];
  const bypasses = bypassesGovernance(request.headers);
  for (const read of document.Object.map(readEntry)) {
    const entry = { ...read, bypassesGovernance: bypasses };
    const error = await refusal(request, entry);
    if (error === undefined) allowed.push(entry);
    else refused.push({ request: entry, error });
  }
  const outcomes = [...(await services.objects.deleteObjects(bucket, allowed)), ...refused];
  const deleted = isQuiet ? '' : outcomes.map(deletedXml).join('');
  return xmlResponse(xmlDocument('DeleteResult', deleted + outcomes.map(errorXml).join('')));
}

/** Each key needs the permission of its own. */
async function refusal(request: S3Request, entry: DeleteRequest): Promise<S3Error | undefined> {
  const { key, versionId } = entry;
  const action = versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion';
  const target = { bucket: request.bucket, key, versionId };
  try {
    await request.authorize(action, target);
    // As in DeleteObject, its outcome tells the ETag.
    if (entry.preconditions?.ifMatch?.some((etag) => etag !== '*') === true) {
      await request.authorize(versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion', target);
    }
    if (entry.bypassesGovernance) await request.authorize('s3:BypassGovernanceRetention', target);
    return undefined;
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
}

function readEntry(entry: XmlResult<typeof ENTRY>): DeleteRequest {
  const { Key: key, VersionId: versionId, ETag: etag, LastModifiedTime: lastModified, Size: size } = entry;
  if (key === undefined || key === '') throw new S3Error('MalformedXML');
  if (Buffer.byteLength(key) > KEY_LIMIT_BYTES) throw new S3Error('KeyTooLongError');
  const preconditions: DeleteRequest['preconditions'] = {};
  if (etag !== undefined) preconditions.ifMatch = [unquoteEtag(etag)];
  if (lastModified !== undefined) {
    const timeMs = parseHttpDate(lastModified);
    if (timeMs === undefined) throw new S3Error('MalformedXML');
    preconditions.ifMatchLastModifiedMs = timeMs;
  }
  if (size !== undefined) {
    const bounds = { minimum: 0, maximum: Number.MAX_SAFE_INTEGER, message: 'Size must be a number of bytes' };
    preconditions.ifMatchSizeBytes = readWholeNumber(size, { name: 'Size', ...bounds });
  }
  return {
    key,
    versionId,
    preconditions: Object.keys(preconditions).length > 0 ? preconditions : undefined,
  };
}

function readBoolean(value: string | undefined): boolean {
  if (value === undefined || value === '' || value === 'false') return false;
  if (value === 'true') return true;
  throw new S3Error('MalformedXML');
}

function deletedXml({ request, deleted }: DeleteOutcome): string {
  if (!deleted) return '';
  return xmlGroup(
    'Deleted',
    xmlText('Key', request.key) +
      xmlOptional('VersionId', request.versionId) +
      (deleted.isDeleteMarker
        ? xmlText('DeleteMarker', true) + xmlOptional('DeleteMarkerVersionId', deleted.versionId)
        : ''),
  );
}

function errorXml({ request, error }: DeleteOutcome): string {
  if (!error) return '';
  return xmlGroup(
    'Error',
    xmlText('Key', request.key) +
      xmlOptional('VersionId', request.versionId) +
      xmlText('Code', error.code) +
      xmlText('Message', error.message),
  );
}
