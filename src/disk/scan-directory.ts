import { StoreError } from '../errors/store-error.ts';
import type { Clock } from '../model/clock.ts';
import type { DiskFs, FileFacts } from './disk-fs.ts';
import { type DiskIdentity, IDENTITY_FILE, isFormatComplete, NewerFormatError, readIdentity } from './disk-identity.ts';
import type { DiskLocation } from './disk-location.ts';
import { Patience } from './patience.ts';
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

/**
 * Looks at all of them at once, with a bound on time: a directory that hangs is `unreadable`. Where at most m disks of a
 * cluster are awaited, and they take far longer than the others (see `Patience`), they are not waited for any longer: they
 * are found by a later look, unless `isPatient`. The look that hangs goes on by itself.
 */
export async function scanDirectories(
  paths: readonly string[],
  makeFs: MakeDiskFs,
  { clock, deadlineMs, isPatient = false }: { clock: Clock; deadlineMs: number; isPatient?: boolean | undefined },
): Promise<DirectoryScan[]> {
  const beganMs = clock.monotonicMs();
  const scans = new Map<string, DirectoryScan>();
  let giveUp = (): void => {};
  const isOver = new Promise<void>((resolve) => (giveUp = resolve));
  const cancel = clock.schedule(deadlineMs, giveUp);
  const patience = new Patience({
    clock,
    count: paths.length,
    onTick: () => {
      if (!isPatient && patience.isOver && areEnough([...scans.values()])) giveUp();
    },
  });
  const looks = paths.map(async (path) => {
    scans.set(path, await scanDirectory(path, makeFs));
    patience.answered();
  });
  try {
    await Promise.race([Promise.all(looks), isOver]);
  } finally {
    cancel();
    patience.stop();
    for (const look of looks) look.catch(() => undefined); // a late one is told by the next look
  }
  const waitedMs = Math.round(clock.monotonicMs() - beganMs);
  return paths.map((path) => scans.get(path) ?? lateScan(path, waitedMs));
}

/** Are all but m disks of the cluster here? */
function areEnough(scans: readonly DirectoryScan[]): boolean {
  const identities = scans.flatMap((scan) => (scan.found === 'disk' && scan.isComplete ? scan.identity : []));
  const newest = identities.sort((one, other) => other.addedAtSequence - one.addedAtSequence)[0];
  if (newest === undefined) return false;
  const here = new Set(identities.filter((one) => one.clusterId === newest.clusterId).map((one) => one.diskId));
  return here.size >= newest.diskIds.length - newest.m && here.size > newest.m;
}

function lateScan(path: string, waitedMs: number): DirectoryScan {
  const error = new StoreError('DiskTimeout', `${path} did not answer in ${waitedMs} ms`);
  return { path, found: 'unreadable', reason: error.message, error, identityFacts: undefined };
}
