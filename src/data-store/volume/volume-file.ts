import { crc32c } from '@node-rs/crc32';
import { assert } from '../../errors/assert.ts';
import type { VolumeRecord } from '../../model/blob.ts';
import { readSafeInteger, writeSafeInteger } from '../stripe/stripe-header.ts';

/** Flat: one directory of shard files on each disk, made durably with the first volume. */
export const VOLUME_DIRECTORY = 'volumes';
/** Files that nothing knows, kept for a person to look at; never deleted by the program. */
export const QUARANTINE_DIRECTORY = 'quarantine';
/** The header block; stripes begin after it. One block, so that they begin aligned for O_DIRECT. */
export const VOLUME_HEADER_BYTES = 4096;

const MAGIC = 0x76534648; // 'HFSv'
const VERSION = 1;
const UUID_BYTES = 16;

export function volumeFileName(volumeId: number): string {
  return `${volumeId.toString(16).padStart(14, '0')}.shard`;
}

export function volumePath(volumeId: number): string {
  return `${VOLUME_DIRECTORY}/${volumeFileName(volumeId)}`;
}

/** A shard file that is being written by a repair; means nothing to anybody else. */
export const REPAIR_SUFFIX = '.heal';

export function repairPath(volumeId: number): string {
  return `${volumePath(volumeId)}${REPAIR_SUFFIX}`;
}

/** A whole shard file on the disk it moves to, from before the journal learns of it until its rename. */
export const MOVED_SUFFIX = '.moved';

export function movedPath(volumeId: number): string {
  return `${volumePath(volumeId)}${MOVED_SUFFIX}`;
}

/** The volume a file name stands for, or `undefined` for any other name. */
export function volumeIdOfFileName(name: string): number | undefined {
  if (!/^[0-9a-f]{14}\.shard$/.test(name)) return undefined;
  const volumeId = Number.parseInt(name.slice(0, 14), 16);
  return Number.isSafeInteger(volumeId) ? volumeId : undefined;
}

export type VolumeShape = Pick<VolumeRecord, 'volumeId' | 'k' | 'm' | 'diskIds' | 'purpose' | 'shardSizeBytes'>;

/**
 * The first block of each shard file, little-endian:
 *
 * | at | size | field |
 * |---|---|---|
 * | 0 | 4 | magic `HFSv` |
 * | 4 | 4 | CRC32C of bytes 8 to 4095 |
 * | 8 | 1 | version (1) |
 * | 9 | 1 | purpose: 1 small, 2 large |
 * | 10 | 1 | k |
 * | 11 | 1 | m |
 * | 12 | 1 | slot of this file |
 * | 16 | 8 | volume id |
 * | 24 | 4 | shard size |
 * | 32 | 16 (k+m) | disk ids (UUID bytes), by slot |
 */
export function encodeVolumeHeader(target: Buffer, shape: VolumeShape, slot: number): void {
  assert(target.length === VOLUME_HEADER_BYTES, 'a volume header is one block');
  target.fill(0);
  target.writeUInt32LE(MAGIC, 0);
  target[8] = VERSION;
  target[9] = shape.purpose === 'small' ? 1 : 2;
  target[10] = shape.k;
  target[11] = shape.m;
  target[12] = slot;
  writeSafeInteger(target, shape.volumeId, 16);
  target.writeUInt32LE(shape.shardSizeBytes, 24);
  for (const [index, diskId] of shape.diskIds.entries()) {
    Buffer.from(diskId.replaceAll('-', ''), 'hex').copy(target, 32 + UUID_BYTES * index);
  }
  target.writeUInt32LE(crc32c(target.subarray(8)), 4);
}

export interface VolumeFileHeader {
  readonly purpose: 'small' | 'large';
  readonly k: number;
  readonly m: number;
  readonly slot: number;
  readonly volumeId: number;
  readonly shardSizeBytes: number;
  readonly diskIds: readonly string[];
}

/** `undefined` when the block is no whole volume header. */
export function parseVolumeHeader(block: Buffer): VolumeFileHeader | undefined {
  if (block.length < VOLUME_HEADER_BYTES || block.readUInt32LE(0) !== MAGIC || block[8] !== VERSION) return undefined;
  if (block.readUInt32LE(4) !== crc32c(block.subarray(8, VOLUME_HEADER_BYTES))) return undefined;
  const k = block[10] ?? 0;
  const m = block[11] ?? 0;
  const diskIds = Array.from({ length: k + m }, (_, i) => {
    const hex = block.toString('hex', 32 + UUID_BYTES * i, 32 + UUID_BYTES * (i + 1));
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  });
  return {
    purpose: block[9] === 1 ? 'small' : 'large',
    k,
    m,
    slot: block[12] ?? 0,
    volumeId: readSafeInteger(block, 16),
    shardSizeBytes: block.readUInt32LE(24),
    diskIds,
  };
}
