import { digestsOf } from '../checksums/digest-of.ts';
import type { DigestPool } from '../checksums/digest-pool.ts';
import type { ByteRange } from '../data-store/data-store.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import type { StoredContent } from './body-writer.ts';
import { openRange, type Unsealed } from './encryption/read-sealed.ts';
import type { ObjectReader } from './object-reader.ts';

/** Reads bytes that are stored already to learn their MD5 and, if wanted, their checksum. */
export async function digestObject(
  tools: { reader: ObjectReader; digests: Pick<DigestPool, 'open'> },
  object: Unsealed,
  range: ByteRange,
  checksum: ChecksumAlgorithm | undefined,
): Promise<StoredContent> {
  const algorithms: ChecksumAlgorithm[] = checksum ? ['MD5', checksum] : ['MD5'];
  const digests = await readDigests(tools, object, range, algorithms);
  const etag = digests.get('MD5')!.toString('hex');
  if (!checksum) return { sizeBytes: range.length, etag };
  const value = digests.get(checksum)!.toString('base64');
  return { sizeBytes: range.length, etag, checksum: { algorithm: checksum, type: 'FULL_OBJECT', value } };
}

async function readDigests(
  { reader, digests }: { reader: ObjectReader; digests: Pick<DigestPool, 'open'> },
  object: Unsealed,
  range: ByteRange,
  algorithms: readonly ChecksumAlgorithm[],
): Promise<ReadonlyMap<ChecksumAlgorithm, Buffer>> {
  const body = await openRange(reader, object, range);
  if (Buffer.isBuffer(body)) return digestsOf(algorithms, body);
  const digestSet = digests.open(algorithms);
  try {
    for await (const piece of body) {
      try {
        await digestSet.update(piece.bytes);
      } finally {
        piece.release();
      }
    }
    return await digestSet.digests();
  } finally {
    digestSet.close();
  }
}
