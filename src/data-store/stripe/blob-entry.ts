import { crc32c } from '@node-rs/crc32';
import { assert } from '../../errors/assert.ts';
import { DESCRIPTOR_LIMIT_BYTES } from '../data-store.ts';
import { readSafeInteger, writeSafeInteger } from './stripe-header.ts';

/**
 * The directory of a stripe is the chain of its entries, one for each blob, erasure-coded with the stripe:
 *
 * | at | size | field |
 * |---|---|---|
 * | 0 | 8 | blob id |
 * | 8 | 4 | small: bytes of the body that follows; large: 0 (the body lies in the stripes before) |
 * | 12 | 2 | descriptor length |
 * | 14 | 2 | kind: 1 small, 2 end of a large blob |
 * | 16 | 4 | CRC32C of bytes 0 to 15 and the descriptor |
 * | 20 | | descriptor, then the body of a small blob |
 *
 * In a small stripe entries follow one another from the header of each data shard up to its used length. In a large one
 * the only entry follows the last byte of the body.
 */
export const ENTRY_HEADER_BYTES = 20;
const KINDS = { small: 1, large: 2 } as const;

export interface BlobEntry {
  readonly blobId: number;
  readonly kind: 'small' | 'large';
  readonly bodyLengthBytes: number;
  readonly descriptor: Buffer;
  /** Where the body of a small blob begins. */
  readonly bodyStart: number;
}

/** Writes header and descriptor; returns where the body begins. */
export function writeBlobEntry(
  target: Buffer,
  offset: number,
  entry: { blobId: number; kind: 'small' | 'large'; bodyLengthBytes: number; descriptor: Buffer },
): number {
  const { descriptor } = entry;
  assert(descriptor.length <= DESCRIPTOR_LIMIT_BYTES, `descriptor of ${descriptor.length} bytes`);
  writeSafeInteger(target, entry.blobId, offset);
  target.writeUInt32LE(entry.bodyLengthBytes, offset + 8);
  target.writeUInt16LE(descriptor.length, offset + 12);
  target.writeUInt16LE(KINDS[entry.kind], offset + 14);
  const bodyOffset = offset + ENTRY_HEADER_BYTES + descriptor.copy(target, offset + ENTRY_HEADER_BYTES);
  target.writeUInt32LE(crcOfEntry(target, offset, descriptor.length), offset + 16);
  return bodyOffset;
}

/** The entry at `offset`, or `undefined` when there is no whole one. The descriptor is a view. */
export function parseBlobEntry(bytes: Buffer, offset: number): BlobEntry | undefined {
  if (offset + ENTRY_HEADER_BYTES > bytes.length) return undefined;
  const descriptorLength = bytes.readUInt16LE(offset + 12);
  const start = offset + ENTRY_HEADER_BYTES;
  if (start + descriptorLength > bytes.length) return undefined;
  if (bytes.readUInt32LE(offset + 16) !== crcOfEntry(bytes, offset, descriptorLength)) return undefined;
  return {
    blobId: readSafeInteger(bytes, offset),
    kind: bytes.readUInt16LE(offset + 14) === KINDS.large ? 'large' : 'small',
    bodyLengthBytes: bytes.readUInt32LE(offset + 8),
    descriptor: bytes.subarray(start, start + descriptorLength),
    bodyStart: start + descriptorLength,
  };
}

function crcOfEntry(bytes: Buffer, offset: number, descriptorLength: number): number {
  const start = offset + ENTRY_HEADER_BYTES;
  return crc32c(bytes.subarray(start, start + descriptorLength), crc32c(bytes.subarray(offset, offset + 16)));
}
