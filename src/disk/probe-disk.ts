import { isStoreError } from '../errors/store-error.ts';
import { makeErrno, toDiskError } from './disk-error.ts';
import type { DiskFs } from './disk-fs.ts';

const PROBE_FILE = 'probe';
const PROBE_CALLS = 8;
const PROBE_BYTES = Buffer.alloc(4096, 'holdfast probe ');

/**
 * Does this disk write, sync, read and remove? A full disk passes: it answers, and space is another matter. A crash
 * leaves the probe file, which the next probe removes.
 * @returns how many calls that were; a durable one counts for the syncs in it
 * @throws StoreError of the call that failed
 */
export async function probeDisk(fs: DiskFs): Promise<number> {
  await fs.unlink(PROBE_FILE);
  try {
    await fs.createDurable(PROBE_FILE);
    const file = await fs.open(PROBE_FILE, 'write');
    try {
      await file.write(PROBE_BYTES, 0);
      await file.datasync();
      const back = Buffer.alloc(PROBE_BYTES.length);
      await file.read(back, 0);
      if (!back.equals(PROBE_BYTES))
        throw toDiskError(makeErrno('EIO', 'other bytes than written', PROBE_FILE), 'probe', PROBE_FILE);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isStoreError(error, 'DiskFull')) throw error;
  }
  await fs.unlink(PROBE_FILE);
  return PROBE_CALLS;
}
