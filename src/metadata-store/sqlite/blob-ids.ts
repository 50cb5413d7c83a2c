import { ByteReader } from '../records/byte-reader.ts';
import { ByteWriter } from '../records/byte-writer.ts';

/** More blobs than this lie in `large_lists`, not in the row that LIST walks over. */
export const INLINE_BLOB_LIMIT = 8;

const scratch = new ByteWriter(256);

/** The column `blob_ids`: varints one after the other. */
export function encodeBlobIds(blobIds: readonly number[]): Buffer {
  scratch.clear();
  for (const blobId of blobIds) scratch.varint(blobId);
  return scratch.toBuffer();
}

export function decodeBlobIds(encoded: Buffer): number[] {
  const reader = new ByteReader(encoded);
  const blobIds: number[] = [];
  while (!reader.isAtEnd) blobIds.push(reader.varint());
  return blobIds;
}
