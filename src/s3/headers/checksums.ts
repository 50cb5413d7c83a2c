import { CHECKSUM_ALGORITHMS, parseChecksumAlgorithm } from '../../checksums/checksum-algorithms.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { ChecksumAlgorithm, ChecksumType, ObjectChecksum } from '../../model/object-record.ts';
import { xmlText } from '../xml/write-xml.ts';

/** `ChecksumCRC32` and the like: the element of documents. */
export function checksumElementName<A extends ChecksumAlgorithm>(algorithm: A): `Checksum${A}` {
  return `Checksum${algorithm}`;
}

/** The value as S3 shows it: a composite one ends in `-` and the number of parts. */
export function checksumText(checksum: ObjectChecksum, partsCount: number): string {
  return checksum.type === 'COMPOSITE' ? `${checksum.value}-${partsCount}` : checksum.value;
}

/** Adds the value and its type to the headers of an answer. */
export function addChecksum(
  headers: Record<string, string | number>,
  checksum: ObjectChecksum | undefined,
  partsCount = 1,
): void {
  if (!checksum) return;
  headers[CHECKSUM_ALGORITHMS.get(checksum.algorithm)!.headerName] = checksumText(checksum, partsCount);
  headers['x-amz-checksum-type'] = checksum.type;
}

/** The value and its type as elements of a document; empty when there is none. */
export function checksumElements(checksum: ObjectChecksum | undefined, partsCount = 1): string {
  if (!checksum) return '';
  const value = xmlText(checksumElementName(checksum.algorithm), checksumText(checksum, partsCount));
  return value + xmlText('ChecksumType', checksum.type);
}

/**
 * `x-amz-checksum-algorithm` of CreateMultipartUpload and CopyObject.
 *
 * @throws S3Error InvalidRequest
 */
export function readChecksumAlgorithm(headers: ReadonlyMap<string, string>): ChecksumAlgorithm | undefined {
  const value = headers.get('x-amz-checksum-algorithm');
  if (value === undefined) return undefined;
  const algorithm = parseChecksumAlgorithm(value);
  if (algorithm) return algorithm;
  throw new S3Error('InvalidRequest', {
    message: `Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${[...CHECKSUM_ALGORITHMS.keys()].join(', ')}]`,
  });
}

/** `x-amz-checksum-type`. @throws S3Error InvalidRequest */
export function readChecksumType(headers: ReadonlyMap<string, string>): ChecksumType | undefined {
  const value = headers.get('x-amz-checksum-type')?.toUpperCase();
  if (value === undefined || value === 'FULL_OBJECT' || value === 'COMPOSITE') return value;
  throw new S3Error('InvalidRequest', { message: 'Value for x-amz-checksum-type header is invalid.' });
}

/**
 * The one `x-amz-checksum-*` value of CompleteMultipartUpload, which is the object's and not the body's.
 *
 * @throws S3Error InvalidRequest when there are several
 */
export function readObjectChecksum(
  headers: ReadonlyMap<string, string>,
): { algorithm: ChecksumAlgorithm; value: string } | undefined {
  let found: { algorithm: ChecksumAlgorithm; value: string } | undefined;
  for (const { algorithm, headerName } of CHECKSUM_ALGORITHMS.values()) {
    const value = headers.get(headerName);
    if (value === undefined) continue;
    if (found) {
      throw new S3Error('InvalidRequest', {
        message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
      });
    }
    found = { algorithm, value: value.trim() };
  }
  return found;
}
