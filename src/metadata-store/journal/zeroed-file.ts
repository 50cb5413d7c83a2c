import type { DiskFile, DiskFs } from '../../disk/disk-fs.ts';

const CHUNK_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/**
 * Makes a file of `lengthBytes` really written zeros, synced: later synced writes into it touch no metadata of the file
 * system. On failure (a full disk) what was written is removed again.
 */
export async function writeZeros(fs: DiskFs, path: string, lengthBytes: number): Promise<void> {
  await fs.createDurable(path);
  try {
    await fill(fs, path, lengthBytes);
  } catch (error) {
    await fs.unlink(path).catch(() => undefined); // the first failure is the one to tell
    throw error;
  }
}

async function fill(fs: DiskFs, path: string, lengthBytes: number): Promise<void> {
  const file = await fs.open(path, 'write');
  try {
    await zeroFrom(file, 0, lengthBytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Zeros from `offset` up to `endBytes`; not synced. */
export async function zeroFrom(file: DiskFile, offset: number, endBytes: number): Promise<void> {
  for (let at = offset; at < endBytes; at += CHUNK_BYTES) {
    await file.write(ZEROS.subarray(0, Math.min(CHUNK_BYTES, endBytes - at)), at);
  }
}
