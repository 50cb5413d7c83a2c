import type { ByteRange } from '../../data-store/data-store.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { ObjectChecksum, ObjectPart, ObjectRecord } from '../../model/object-record.ts';
import { encryptionFacts } from '../../service/encryption/encryption-record.ts';
import { selectPart } from '../../service/object-rules.ts';
import type { S3Request } from '../operation.ts';
import { addChecksum } from './checksums.ts';
import { checkReadConditions } from './conditions.ts';
import { addEncryptionHeaders } from './encryption.ts';
import { formatHttpDate, parseHttpDate } from './http-date.ts';
import { readResponseOverrides } from './object-headers.ts';
import { contentRange, resolveRange } from './range.ts';
import { addUserMetadata } from './user-metadata.ts';
import { readPartNumber } from './whole-number.ts';

/** What GET and HEAD answer of an object: all of it, the range of `Range`, or the part of `partNumber=`. */
export interface Selection {
  range: ByteRange;
  /** 206, with Content-Range. */
  isPartial: boolean;
  /** Set by `partNumber=` on a multipart object. */
  part: ObjectPart | undefined;
  partsCount: number | undefined;
  /** Chosen by `Range`: no whole-object checksum goes with it, clients would check the part against it. */
  isByteRange: boolean;
}

/**
 * Checks the conditional headers, then chooses the bytes.
 *
 * @throws S3Error PreconditionFailed | NotModified | InvalidRange | InvalidPartNumber | InvalidArgument | InvalidRequest
 */
export function selectBytes(request: S3Request, object: ObjectRecord): Selection {
  const { headers, query } = request;
  checkReadConditions(headers, object, cachingHeaders(object));
  const partNumber = query.get('partNumber');
  const rangeHeader = headers.get('range');
  if (partNumber !== undefined) {
    if (rangeHeader !== undefined) {
      throw new S3Error('InvalidRequest', {
        message: 'Cannot specify both Range header and partNumber query parameter',
      });
    }
    return { ...selectPart(object, readPartNumber(partNumber)), isPartial: true, isByteRange: false };
  }
  const range = isRangeWanted(headers, object) ? resolveRange(rangeHeader, object.sizeBytes) : undefined;
  return {
    range: range ?? { start: 0, length: object.sizeBytes },
    isPartial: range !== undefined,
    part: undefined,
    partsCount: undefined,
    isByteRange: range !== undefined,
  };
}

/** `If-Range`: the range counts only while the object is still the one the client has a piece of. */
function isRangeWanted(headers: ReadonlyMap<string, string>, object: ObjectRecord): boolean {
  const ifRange = headers.get('if-range');
  if (ifRange === undefined || ifRange === `"${object.etag}"`) return true;
  const timeMs = parseHttpDate(ifRange);
  return timeMs !== undefined && timeMs === Math.floor(object.lastModifiedMs / 1000) * 1000;
}

/** Headers of a 304 beside ETag and Last-Modified. */
function cachingHeaders({ headers }: ObjectRecord): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ['cache-control', 'expires'] as const) {
    const value = headers[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

/** Status and headers of GET and HEAD for the bytes chosen, apart from `addGuardedHeaders`; `overrides` replace stored headers. */
export function objectAnswer(
  request: S3Request,
  object: ObjectRecord,
  selection: Selection,
  overrides: Readonly<Record<string, string>> | undefined,
): { status: number; headers: Record<string, string | number> } {
  const headers: Record<string, string | number> = {
    'accept-ranges': 'bytes',
    'last-modified': formatHttpDate(object.lastModifiedMs),
    etag: `"${object.etag}"`,
    'content-length': selection.range.length,
  };
  for (const name in object.headers) headers[name] = object.headers[name]!;
  for (const name in overrides) headers[name] = overrides[name]!;
  addUserMetadata(headers, object.userMetadata);
  // An empty part has no range that Content-Range could name.
  if (selection.isPartial && selection.range.length > 0) {
    headers['content-range'] = contentRange(selection.range, object.sizeBytes);
  }
  if (selection.partsCount !== undefined) headers['x-amz-mp-parts-count'] = selection.partsCount;
  if (object.storageClass !== 'STANDARD') headers['x-amz-storage-class'] = object.storageClass;
  addEncryptionHeaders(headers, encryptionFacts(object.encryption));
  if (wantsChecksum(request) && !selection.isByteRange) {
    addSelectedChecksum(headers, object, selection.part);
  }
  return { status: selection.isPartial ? 206 : 200, headers };
}

/** `x-amz-checksum-mode`. */
export function wantsChecksum({ headers }: S3Request): boolean {
  return headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED';
}

function addSelectedChecksum(
  headers: Record<string, string | number>,
  object: ObjectRecord,
  part: ObjectPart | undefined,
): void {
  if (!part) {
    addChecksum(headers, object.checksum, object.parts?.length);
    return;
  }
  if (!object.checksum || part.checksum === undefined) return;
  const own: ObjectChecksum = { algorithm: object.checksum.algorithm, type: 'FULL_OBJECT', value: part.checksum };
  addChecksum(headers, own);
  headers['x-amz-checksum-type'] = object.checksum.type;
}

/** `response-*` of GET and HEAD. @throws S3Error InvalidRequest on an anonymous request */
export function readAnswerOverrides(request: S3Request): Readonly<Record<string, string>> | undefined {
  const overrides = readResponseOverrides(request.query);
  if (overrides && !request.isSigned) {
    throw new S3Error('InvalidRequest', {
      message: 'Request specific response headers cannot be used for anonymous GET requests.',
    });
  }
  return overrides;
}
