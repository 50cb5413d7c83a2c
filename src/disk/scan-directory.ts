import { StoreError } from '../errors/store-error.ts';
import type { Clock } from '../model/clock.ts';
import type { DiskFs, FileFacts } from './disk-fs.ts';
import { type DiskIdentity, IDENTITY_FILE, isFormatComplete, NewerFormatError, readIdentity } from './disk-identity.ts';
import type { DiskLocation } from './disk-location.ts';
import type { RootIdentity } from './real-disk-fs.ts';
import { ROOT_PATH } from './relative-path.ts';

export type MakeDiskFs = (path: string, options: { expectedRoot?: RootIdentity }) => DiskFs;

/** What is at one of the given paths. */
export type DirectoryScan = { path: string } & (
  | { found: 'disk'; identity: DiskIdentity; isComplete: boolean; location: DiskLocation }
  /** No directory, or one without an identity. */
  | { found: 'nothing'; reason: string; isDirectory: boolean }
  /** An identity that cannot be read; not looked at again until the file is another one. */
  | { found: 'unreadable'; reason: string; error: StoreError; identityFacts: FileFacts | undefined }
);

/**
 * Looks at a directory without changing it. Never rejects for what it finds there.
 * @throws NewerFormatError: nothing may be guessed about such a cluster.
 */
export async function scanDirectory(path: string, makeFs: MakeDiskFs): Promise<DirectoryScan> {
  let identityFacts: FileFacts | undefined;
  try {
    const fs = makeFs(path, {});
    const root = await fs.stat(ROOT_PATH);
    if (root === undefined) return { path, found: 'nothing', reason: 'there is no such directory', isDirectory: false };
    identityFacts = await fs.stat(IDENTITY_FILE);
    if (identityFacts === undefined)
      return { path, found: 'nothing', reason: `it has no ${IDENTITY_FILE}`, isDirectory: true };
    const bound = makeFs(path, { expectedRoot: { device: root.device, inode: root.inode } });
    const identity = await readIdentity(bound, path);
    if (identity === undefined)
      return { path, found: 'nothing', reason: `it has no ${IDENTITY_FILE}`, isDirectory: true };
    const isComplete = await isFormatComplete(bound);
    const space = await bound.statSpace();
    return { path, found: 'disk', identity, isComplete, location: { path, fs: bound, identityFacts, space } };
  } catch (error) {
    if (error instanceof NewerFormatError || !(error instanceof StoreError)) throw error;
    if (error.code === 'DiskMissing')
      return { path, found: 'nothing', reason: 'there is no such directory', isDirectory: false };
    return { path, found: 'unreadable', reason: error.message, error, identityFacts };
  }
}

/** The same with a bound on time; a directory that hangs is `unreadable`. The look that hangs goes on by itself. */
export async function scanWithin(
  path: string,
  makeFs: MakeDiskFs,
  { clock, deadlineMs }: { clock: Clock; deadlineMs: number },
): Promise<DirectoryScan> {
  let cancel = (): void => {};
  const late = new Promise<DirectoryScan>((resolve) => {
    cancel = clock.schedule(deadlineMs, () => {
      const error = new StoreError('DiskTimeout', `${path} did not answer in ${deadlineMs} ms`);
      resolve({ path, found: 'unreadable', reason: error.message, error, identityFacts: undefined });
    });
  });
  try {
    return await Promise.race([scanDirectory(path, makeFs), late]);
  } finally {
    cancel();
  }
}
