import { CHECKSUM_ALGORITHMS } from '../checksums/checksum-algorithms.ts';
import { combineCrcs } from '../checksums/combine-crcs.ts';
import { digestOf } from '../checksums/digest-of.ts';
import { S3Error } from '../errors/s3-error.ts';
import type {
  ChecksumAlgorithm,
  ChecksumType,
  ObjectChecksum,
  PartRecord,
  UploadRecord,
} from '../model/object-record.ts';

/**
 * The checksum an upload was created with. Without a type, CRC64NVME is over the full object and every other algorithm
 * is composite; hashes cannot be over the full object, CRC64NVME cannot be composite.
 *
 * @throws S3Error InvalidRequest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 */
export function checkUploadChecksum(
  algorithm: ChecksumAlgorithm | undefined,
  type: ChecksumType | undefined,
): Pick<UploadRecord, 'checksumAlgorithm' | 'checksumType'> {
  if (!algorithm) {
    if (!type) return {};
    throw new S3Error('InvalidRequest', {
      message: 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    });
  }
  const { multipartTypes } = CHECKSUM_ALGORITHMS.get(algorithm)!;
  const checksumType = type ?? multipartTypes[0]!;
  if (!multipartTypes.includes(checksumType)) {
    throw new S3Error('InvalidRequest', {
      message: `The ${checksumType} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    });
  }
  return { checksumAlgorithm: algorithm, checksumType };
}

export function partMismatch(expected: ChecksumAlgorithm | undefined, actual: ChecksumAlgorithm): S3Error {
  return new S3Error('InvalidRequest', {
    message: `Checksum Type mismatch occurred, expected checksum Type: ${expected?.toLowerCase() ?? 'null'}, actual checksum Type: ${actual.toLowerCase()}`,
  });
}

/**
 * The checksum of a completed object from those of its parts. An upload created without one takes the algorithm that
 * all its parts have: over the full object where it can be combined, else composite; `undefined` when they differ.
 */
export function completedChecksum(upload: UploadRecord, parts: readonly PartRecord[]): ObjectChecksum | undefined {
  const algorithm = upload.checksumAlgorithm ?? commonAlgorithm(parts);
  if (!algorithm) return undefined;
  const { multipartTypes } = CHECKSUM_ALGORITHMS.get(algorithm)!;
  const type = upload.checksumType ?? (multipartTypes.includes('FULL_OBJECT') ? 'FULL_OBJECT' : 'COMPOSITE');
  const values: Buffer[] = [];
  for (const { checksum } of parts) {
    if (checksum?.algorithm !== algorithm) return undefined;
    values.push(Buffer.from(checksum.value, 'base64'));
  }
  const value =
    type === 'FULL_OBJECT'
      ? combineCrcs(
          algorithm,
          parts.map((part, index) => ({ digest: values[index]!, sizeBytes: part.sizeBytes })),
        )
      : digestOf(algorithm, Buffer.concat(values));
  return { algorithm, type, value: value.toString('base64') };
}

function commonAlgorithm(parts: readonly PartRecord[]): ChecksumAlgorithm | undefined {
  const first = parts[0]?.checksum?.algorithm;
  return parts.every(({ checksum }) => checksum?.algorithm === first) ? first : undefined;
}

/** What a client says the completed object's checksum is, and how it was made. */
export interface ClaimedChecksum {
  /** `x-amz-checksum-*`; of a composite value the `-N` may follow. */
  checksum: { algorithm: ChecksumAlgorithm; value: string } | undefined;
  /** `x-amz-checksum-type`. */
  type: ChecksumType | undefined;
}

/** @throws S3Error BadDigest | InvalidRequest (another algorithm or type than the upload's) */
export function checkClaimedChecksum(
  claimed: ClaimedChecksum,
  actual: ObjectChecksum | undefined,
  partsCount: number,
): void {
  if (claimed.type && claimed.type !== actual?.type) {
    throw new S3Error('InvalidRequest', {
      message: `The upload was created using the ${actual?.type ?? 'null'} checksum mode. The complete request must use the same checksum mode.`,
    });
  }
  if (!claimed.checksum) return;
  const { algorithm, value } = claimed.checksum;
  if (algorithm !== actual?.algorithm) throw partMismatch(actual?.algorithm, algorithm);
  const matches = value === actual.value || (actual.type === 'COMPOSITE' && value === `${actual.value}-${partsCount}`);
  if (!matches) {
    throw new S3Error('BadDigest', {
      message: `The ${algorithm} you specified did not match the calculated checksum.`,
    });
  }
}
