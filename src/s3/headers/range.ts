import type { ByteRange } from '../../data-store/data-store.ts';
import { S3Error } from '../../errors/s3-error.ts';

const SINGLE_RANGE = /^bytes=(\d*)-(\d*)$/;
const COPY_SOURCE_RANGE = /^bytes=(\d+)-(\d+)$/;

/**
 * The part of an object of `sizeBytes` that a `Range` header asks for. `undefined` when there is no header, or it is
 * malformed or names several ranges: S3 then answers 200 with the whole object.
 *
 * @throws S3Error InvalidRange when a well-formed range does not touch the object.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14.2
 */
export function resolveRange(value: string | undefined, sizeBytes: number): ByteRange | undefined {
  if (value === undefined) return undefined;
  const match = SINGLE_RANGE.exec(value.trim());
  if (!match) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return undefined;
    const suffixLength = Math.min(Number(last), sizeBytes);
    if (suffixLength === 0) throw invalidRange(value, sizeBytes);
    return { start: sizeBytes - suffixLength, length: suffixLength };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Number(last);
  if (last !== '' && end < start) return undefined;
  if (start >= sizeBytes) throw invalidRange(value, sizeBytes);
  return { start, length: Math.min(end, sizeBytes - 1) - start + 1 };
}

/** `Content-Range` of a 206. */
export function contentRange(range: ByteRange, sizeBytes: number): string {
  return `bytes ${range.start}-${range.start + range.length - 1}/${sizeBytes}`;
}

/**
 * `x-amz-copy-source-range` of UploadPartCopy: both ends must be named and lie within the source.
 *
 * @throws S3Error InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
 */
export function parseCopySourceRange(value: string, sourceSizeBytes: number): ByteRange {
  const match = COPY_SOURCE_RANGE.exec(value.trim());
  const start = Number(match?.[1]);
  const end = Number(match?.[2]);
  if (!match || end < start) {
    throw new S3Error('InvalidArgument', {
      message:
        'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      details: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: value },
    });
  }
  if (end >= sourceSizeBytes) {
    throw new S3Error('InvalidArgument', {
      message: `Range specified is not valid for source object of size: ${sourceSizeBytes}`,
      details: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: value },
    });
  }
  return { start, length: end - start + 1 };
}

function invalidRange(value: string, sizeBytes: number): S3Error {
  return new S3Error('InvalidRange', {
    details: { RangeRequested: value, ActualObjectSize: sizeBytes },
    headers: { 'content-range': `bytes */${sizeBytes}` },
  });
}
