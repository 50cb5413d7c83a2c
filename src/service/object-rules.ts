import { S3Error } from '../errors/s3-error.ts';
import type { ByteRange } from '../data-store/data-store.ts';
import type { BucketRecord, ObjectPart, ObjectRecord } from '../model/object-record.ts';

/** One body: PutObject, UploadPart, a copied source. @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
export const SINGLE_BODY_LIMIT_BYTES = 5 * 1024 ** 3;

/** A version id that could exist: S3's are URL-ready strings of at most 1,024 bytes. */
const VERSION_ID = /^[A-Za-z0-9._~-]{1,1024}$/;

/**
 * Version ids are opaque, but not anything: one that could never have been handed out is the client's mistake, one that
 * could is simply not there.
 *
 * @throws S3Error InvalidArgument
 */
export function checkVersionId(versionId: string): void {
  if (VERSION_ID.test(versionId)) return;
  throw new S3Error('InvalidArgument', {
    message: versionId === '' ? 'Version id cannot be the empty string' : 'Invalid version id specified',
    details: { ArgumentName: 'versionId', ArgumentValue: versionId },
  });
}

/** `x-amz-copy-source-version-id`; `undefined`: the source's bucket never had versions. */
export function shownSourceVersionId(bucket: BucketRecord, source: ObjectRecord): string | undefined {
  return bucket.configuration.versioning === undefined ? undefined : source.versionId;
}

/** What `partNumber=` selects: the part's bytes, and its facts when the object was made by CompleteMultipartUpload. */
export interface PartSelection {
  range: ByteRange;
  part: ObjectPart | undefined;
  /** `x-amz-mp-parts-count`; `undefined` for an object that has no parts. */
  partsCount: number | undefined;
}

/**
 * `partNumber=N` selects the part that was uploaded under that number; an object without parts counts as one part.
 *
 * @throws S3Error InvalidPartNumber (416)
 */
export function selectPart(object: ObjectRecord, partNumber: number): PartSelection {
  const parts = object.parts;
  if (!parts) {
    if (partNumber === 1)
      return { range: { start: 0, length: object.sizeBytes }, part: undefined, partsCount: undefined };
    throw invalidPartNumber(partNumber, 1);
  }
  let start = 0;
  for (const part of parts) {
    if (part.partNumber === partNumber) {
      return { range: { start, length: part.sizeBytes }, part, partsCount: parts.length };
    }
    start += part.sizeBytes;
  }
  throw invalidPartNumber(partNumber, parts.length);
}

function invalidPartNumber(partNumber: number, partsCount: number): S3Error {
  return new S3Error('InvalidPartNumber', {
    details: { PartNumberRequested: partNumber, ActualPartCount: partsCount },
  });
}

export function noSuchUpload(uploadId: string): S3Error {
  return new S3Error('NoSuchUpload', { details: { UploadId: uploadId } });
}
