import type { ByteRange } from '../../data-store/data-store.ts';
import { packagesOf, plainSizeBytes } from '../../encryption/package-format.ts';
import type { SealedRange, SealedRun } from '../../encryption/stream-opener.ts';
import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { ObjectRecord } from '../../model/object-record.ts';
import { decodeEncryption } from './encryption-record.ts';
import type { VersionSealing } from './version-sealing.ts';

export interface LocatedRange {
  /** The object as if its stored bytes were its own: its size is theirs. */
  stored: ObjectRecord;
  /** Of those bytes: whole packages, one after the other. */
  storedRange: ByteRange;
  sealedRange: SealedRange;
}

/**
 * Where a range of an encrypted object lies. Each blob with bytes is one stream; the packages that a range needs are one
 * run of bytes, whatever number of blobs it covers.
 *
 * @throws StoreError ShardCorrupt: the record's streams, blobs and size do not go together
 */
export function locateSealed(object: ObjectRecord, range: ByteRange, sealing: VersionSealing): LocatedRange {
  assert(object.encryption !== undefined && range.length > 0, 'nothing sealed to locate');
  const { salts } = decodeEncryption(object.encryption);
  const blobs = object.blobs.filter(({ sizeBytes }) => sizeBytes > 0);
  if (blobs.length !== salts.length) throw mismatch(object);
  const runs: SealedRun[] = [];
  const rangeEnd = range.start + range.length;
  let plainOffset = 0;
  let storedOffset = 0;
  let storedStart = 0;
  let storedLength = 0;
  let skipBytes = 0;
  for (const [index, { sizeBytes }] of blobs.entries()) {
    const plainBytes = plainSizeBytes(sizeBytes);
    const from = Math.max(range.start - plainOffset, 0);
    const to = Math.min(rangeEnd - plainOffset, plainBytes);
    if (from < to) {
      const span = packagesOf({ start: from, length: to - from }, plainBytes);
      if (runs.length === 0) {
        storedStart = storedOffset + span.sealedStart;
        skipBytes = span.skipBytes;
      }
      storedLength += span.sealedLength;
      runs.push(runOf(sealing, salts[index]!, span));
    }
    plainOffset += plainBytes;
    storedOffset += sizeBytes;
  }
  if (plainOffset !== object.sizeBytes) throw mismatch(object);
  return {
    stored: { ...object, sizeBytes: storedOffset },
    storedRange: { start: storedStart, length: storedLength },
    sealedRange: { runs, skipBytes, lengthBytes: range.length },
  };
}

/** The key is derived when its turn comes: an object may have ten thousand parts. */
function runOf(sealing: VersionSealing, salt: Buffer, span: Omit<SealedRun, 'streamKey'>): SealedRun {
  let streamKey: Buffer | undefined;
  return {
    firstIndex: span.firstIndex,
    isEnd: span.isEnd,
    sealedLength: span.sealedLength,
    get streamKey() {
      return (streamKey ??= sealing.streamKey(salt));
    },
  };
}

function mismatch({ bucketId, key }: ObjectRecord): StoreError {
  return new StoreError('ShardCorrupt', `the encryption of object ${bucketId}/${key} does not fit its bytes`);
}
