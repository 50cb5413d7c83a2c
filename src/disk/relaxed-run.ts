import * as fs from 'node:fs/promises';
import { errnoOf } from './disk-error.ts';
import { LOCK_FILE } from './disk-identity.ts';

/** On a disk that a relaxed run has written to and no later start has synced whole. */
export const RELAXED_RUN_FILE = 'relaxed-run';

/**
 * Called before the first change of a disk in this process. After a relaxed run that was killed, the system may still
 * hold what that run wrote: all of it is synced first, so that what a strict run acknowledges never stands on something
 * a power cut can take away. A relaxed run leaves its mark before it writes anything.
 *
 * A crash in between leaves the mark, and the next start does it again.
 */
export async function settleEarlierRun(root: string, sync: 'strict' | 'relaxed'): Promise<void> {
  const mark = `${root}/${RELAXED_RUN_FILE}`;
  const isMarked = await exists(mark);
  if (isMarked) await syncTree(root);
  if (sync === 'strict' && isMarked) await fs.unlink(mark);
  if (sync === 'relaxed' && !isMarked) await (await fs.open(mark, 'w', 0o600)).close();
  if (isMarked !== (sync === 'relaxed')) await syncPath(root);
}

async function exists(file: string): Promise<boolean> {
  try {
    await fs.stat(file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Every file and directory below, one after the other: clean ones cost microseconds. */
async function syncTree(directory: string): Promise<void> {
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    // Closing any descriptor of the lock file would drop the lock that this process holds on it.
    if (entry.name.startsWith(LOCK_FILE)) continue;
    if (entry.isDirectory()) await syncTree(`${directory}/${entry.name}`);
    else if (entry.isFile()) await syncPath(`${directory}/${entry.name}`);
  }
  await syncPath(directory);
}

async function syncPath(path: string): Promise<void> {
  const handle = await fs.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
