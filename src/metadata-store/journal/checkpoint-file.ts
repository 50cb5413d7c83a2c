import { type FileHandle, open } from 'node:fs/promises';
import { crc32c } from '@node-rs/crc32';
import { hash as hashOnce } from 'node:crypto';
import type { DiskFs } from '../../disk/disk-fs.ts';
import { StoreError } from '../../errors/store-error.ts';
import { HASH_BYTES } from './frame.ts';
import type { StoredCheckpoint } from './journal-state.ts';

/**
 * A checkpoint on a disk: the snapshot cut into blocks, each with a header of 32 bytes: magic, CRC32C of what follows,
 * block number, length of its data, and a hash that binds cluster, position, size and time of this checkpoint. A block of
 * another checkpoint, place or cluster is never taken for this one's. The holders' files are byte-identical.
 */
const MAGIC = 0x31434648;
export const CHECKPOINT_MAGIC_TEXT = 'HFC1';
const HEADER_BYTES = 32;
export const CHECKPOINT_BLOCK_BYTES = 1024 * 1024;
const DATA_BYTES = CHECKPOINT_BLOCK_BYTES - HEADER_BYTES;

/** What binds the blocks of one checkpoint together. */
export function checkpointIdentity(checkpoint: StoredCheckpoint, clusterTag: Buffer): Buffer {
  const { position, sizeBytes, createdAtMs } = checkpoint;
  const facts = [clusterTag.toString('hex'), position.epoch, position.sequence, position.hash.toString('hex')];
  return hashOnce('sha256', JSON.stringify([...facts, sizeBytes, createdAtMs]), 'buffer').subarray(0, HASH_BYTES);
}

export function checkpointFileBytes(sizeBytes: number): number {
  return sizeBytes + blockCount(sizeBytes) * HEADER_BYTES;
}

function blockCount(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / DATA_BYTES));
}

/** Reads one block's data. The result is valid until the next call. `undefined`: damaged or unreadable there. */
export type BlockReader = (index: number) => Promise<Buffer | undefined>;

/** Blocks of a snapshot outside the disks. */
export async function readSnapshotBlocks(
  sourceFile: string,
  sizeBytes: number,
  use: (readBlock: BlockReader) => Promise<void>,
): Promise<void> {
  const file = await open(sourceFile, 'r');
  try {
    const data = Buffer.allocUnsafe(DATA_BYTES);
    await use(async (index) => {
      const wanted = Math.min(DATA_BYTES, sizeBytes - index * DATA_BYTES);
      return readFully(file, data.subarray(0, wanted), index * DATA_BYTES);
    });
  } finally {
    await file.close();
  }
}

async function readFully(file: FileHandle, target: Buffer, offset: number): Promise<Buffer | undefined> {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await file.read(target, filled, target.length - filled, offset + filled);
    if (bytesRead === 0) return undefined;
    filled += bytesRead;
  }
  return target;
}

/** Writes the blocks into a new file of a disk and syncs it, then reads all of them back. */
export async function writeCheckpointFile(
  fs: DiskFs,
  path: string,
  checkpoint: StoredCheckpoint,
  identity: Buffer,
  readBlock: BlockReader,
): Promise<void> {
  await fs.createDurable(path);
  const file = await fs.open(path, 'write');
  try {
    const block = Buffer.allocUnsafe(CHECKPOINT_BLOCK_BYTES);
    for (let index = 0; index < blockCount(checkpoint.sizeBytes); index++) {
      const data = await readBlock(index);
      if (data === undefined) throw new StoreError('IndexFailed', `block ${index} of the snapshot cannot be read`);
      encodeBlock(block, index, data, identity);
      await file.write(block.subarray(0, HEADER_BYTES + data.length), index * CHECKPOINT_BLOCK_BYTES);
    }
    await file.datasync();
  } finally {
    await file.close();
  }
  await verifyCheckpointFile(fs, path, checkpoint, identity);
}

function encodeBlock(block: Buffer, index: number, data: Buffer, identity: Buffer): void {
  block.writeUInt32LE(MAGIC, 0);
  block.writeUInt32LE(index, 8);
  block.writeUInt32LE(data.length, 12);
  identity.copy(block, 16);
  data.copy(block, HEADER_BYTES);
  block.writeUInt32LE(crc32c(block.subarray(8, HEADER_BYTES + data.length)), 4);
}

/** Reads all blocks. @throws StoreError ShardCorrupt when one is bad. */
export async function verifyCheckpointFile(
  fs: DiskFs,
  path: string,
  checkpoint: StoredCheckpoint,
  identity: Buffer,
): Promise<void> {
  await withCheckpointFile(fs, path, checkpoint, identity, async (readBlock) => {
    for (let index = 0; index < blockCount(checkpoint.sizeBytes); index++) {
      if ((await readBlock(index)) === undefined) {
        throw new StoreError('ShardCorrupt', `block ${index} of checkpoint ${path} is damaged`);
      }
    }
  });
}

/** Opens a checkpoint file of a disk for reading its blocks. */
export async function withCheckpointFile<T>(
  fs: DiskFs,
  path: string,
  checkpoint: StoredCheckpoint,
  identity: Buffer,
  use: (readBlock: BlockReader) => Promise<T>,
): Promise<T> {
  const file = await fs.open(path, 'read');
  try {
    const block = Buffer.allocUnsafe(CHECKPOINT_BLOCK_BYTES);
    return await use(async (index) => {
      const dataBytes = Math.min(DATA_BYTES, checkpoint.sizeBytes - index * DATA_BYTES);
      const bytes = block.subarray(0, HEADER_BYTES + dataBytes);
      if ((await file.read(bytes, index * CHECKPOINT_BLOCK_BYTES)) < bytes.length) return undefined;
      const found = parseCheckpointBlock(bytes);
      return found?.index === index && found.identity.equals(identity) ? found.data : undefined;
    });
  } finally {
    await file.close();
  }
}

export interface CheckpointBlock {
  readonly index: number;
  /** See `checkpointIdentity`. */
  readonly identity: Buffer;
  readonly data: Buffer;
}

/** The block that fills `bytes` exactly, in views of it; `undefined` when it is not whole. */
export function parseCheckpointBlock(bytes: Buffer): CheckpointBlock | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  if (bytes.readUInt32LE(12) !== bytes.length - HEADER_BYTES) return undefined;
  if (bytes.readUInt32LE(4) !== crc32c(bytes.subarray(8))) return undefined;
  return {
    index: bytes.readUInt32LE(8),
    identity: bytes.subarray(16, HEADER_BYTES),
    data: bytes.subarray(HEADER_BYTES),
  };
}

async function writeFully(file: FileHandle, data: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < data.length;) {
    const { bytesWritten } = await file.write(data, done, data.length - done, offset + done);
    if (bytesWritten === 0) throw new StoreError('IndexFailed', 'the state directory takes no bytes of the snapshot');
    done += bytesWritten;
  }
}

/** Writes the blocks into a file outside the disks and syncs it. A block that no reader has is an error. */
export async function restoreSnapshot(
  targetFile: string,
  checkpoint: StoredCheckpoint,
  readers: readonly BlockReader[],
  progress: (fraction: number) => void,
): Promise<void> {
  const file = await open(targetFile, 'w', 0o600);
  try {
    const count = blockCount(checkpoint.sizeBytes);
    for (let index = 0; index < count; index++) {
      let data: Buffer | undefined;
      for (const readBlock of readers) {
        data = await readBlock(index).catch(() => undefined);
        if (data !== undefined) break;
      }
      if (data === undefined) {
        throw new StoreError('JournalCorrupt', `block ${index} of the checkpoint is readable on no disk`);
      }
      await writeFully(file, data, index * DATA_BYTES);
      progress((index + 1) / count);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
