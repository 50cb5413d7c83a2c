import { mkdirSync } from 'node:fs';
import { StoreError } from '../errors/store-error.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import {
  codeProblem,
  type DiskIdentity,
  FILES_BEFORE_IDENTITY,
  FORMAT_COMPLETE_FILE,
  isFormatComplete,
  LOCK_FILE,
  makeUuid,
  readIdentity,
  writeIdentity,
} from './disk-identity.ts';
import type { DiskFs } from './disk-fs.ts';
import { RealDiskFs } from './real-disk-fs.ts';
import { ROOT_PATH } from './relative-path.ts';

export interface FormatOptions {
  /** Existing directories, empty or half-formatted for the same cluster; at the first format their order is the disk list's. */
  paths: readonly string[];
  code: ErasureCode;
  /** Only to continue this cluster's format; default whatever is found, else a new one. */
  clusterId?: string;
  random: Randomness;
  clock: Clock;
  /**
   * Writes what the stores need on a blank disk before the first start. Called again after a crash, on a disk that may
   * hold part of what it writes; its last sync has returned when it resolves.
   */
  initializeDisk: (fs: DiskFs, identity: DiskIdentity) => Promise<void>;
  /** Make directories that do not exist, with their parents. */
  createMissing?: boolean;
  makeFs?: (path: string) => DiskFs;
}

interface Candidate {
  path: string;
  fs: DiskFs;
  identity: DiskIdentity | undefined;
  isComplete: boolean;
}

/**
 * Makes directories the disks of a new cluster, in three rounds over all of them: identity, the stores' first files,
 * the last record. The third round begins when the second has ended everywhere: one last record on any disk proves
 * that all are initialised. After a crash anywhere the same call goes on where it was.
 *
 * @returns the identities in the order of the disk list.
 * @throws StoreError FormatRefused: not empty, another cluster's, complete already, or a code that does not fit.
 */
export async function formatDisks(options: FormatOptions): Promise<DiskIdentity[]> {
  const { paths, code, clock, random, initializeDisk } = options;
  const problem = codeProblem(code, paths.length);
  if (problem !== undefined) throw refused(problem, 'choose another code or give more disks');
  if (options.createMissing === true) for (const path of paths) mkdirSync(path, { recursive: true, mode: 0o700 });
  const makeFs = options.makeFs ?? ((path: string) => new RealDiskFs(path));
  const candidates: Candidate[] = [];
  for (const path of paths) candidates.push(await inspect(path, makeFs(path)));
  await assertDistinct(candidates);

  const found = candidates.flatMap(({ identity }) => (identity === undefined ? [] : [identity]));
  const first = found[0];
  if (first !== undefined) assertSameFormat(candidates, first, options);
  const wanted = assignIdentities(
    candidates,
    first ?? {
      clusterId: options.clusterId ?? makeUuid(random),
      diskIds: paths.map(() => makeUuid(random)),
      createdAtMs: clock.nowMs(),
      ...code,
    },
  );

  for (const { fs, identity, path } of candidates) {
    if (identity === undefined) await writeIdentity(fs, wanted.get(path)!);
  }
  for (const { fs, isComplete, path } of candidates) {
    if (isComplete) continue;
    if ((await fs.stat(LOCK_FILE)) === undefined) await fs.createDurable(LOCK_FILE);
    await initializeDisk(fs, wanted.get(path)!);
  }
  for (const { fs, isComplete } of candidates) {
    if (!isComplete) await fs.createDurable(FORMAT_COMPLETE_FILE);
  }
  return [...wanted.values()].sort((a, b) => a.index - b.index);
}

async function inspect(path: string, fs: DiskFs): Promise<Candidate> {
  const names = await fs.list(ROOT_PATH);
  const identity = await readIdentity(fs, path);
  if (identity === undefined) {
    const foreign = names.filter((name) => !FILES_BEFORE_IDENTITY.has(name));
    if (foreign.length > 0) {
      throw refused(
        `${path} is not empty (it holds ${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ' …' : ''})`,
        'formatting never removes anything; give an empty directory',
      );
    }
  }
  return { path, fs, identity, isComplete: identity !== undefined && (await isFormatComplete(fs)) };
}

/** Two paths of one directory would be two disks that fail as one. */
async function assertDistinct(candidates: readonly Candidate[]): Promise<void> {
  const seen = new Map<string, string>();
  for (const { path, fs } of candidates) {
    const facts = await fs.stat(ROOT_PATH);
    const name = `${facts?.device}:${facts?.inode}`;
    const other = seen.get(name);
    if (other !== undefined) throw refused(`${other} and ${path} are the same directory`, 'give each disk its own');
    seen.set(name, path);
  }
}

function assertSameFormat(candidates: readonly Candidate[], first: DiskIdentity, options: FormatOptions): void {
  const firstPath = candidates.find(({ identity }) => identity === first)?.path ?? '';
  const seen = new Map<string, string>();
  for (const { path, identity } of candidates) {
    if (identity === undefined) continue;
    const wantedCluster = options.clusterId ?? first.clusterId;
    if (identity.clusterId !== wantedCluster) {
      throw refused(
        `${path} belongs to cluster ${identity.clusterId}${options.clusterId === undefined ? `, ${firstPath} to ${first.clusterId}` : ''}`,
        'a disk of another cluster is never formatted',
      );
    }
    const other = seen.get(identity.diskId);
    if (other !== undefined) throw refused(`${other} and ${path} are copies of one disk`, 'remove one of them');
    seen.set(identity.diskId, path);
  }
  if (candidates.every(({ isComplete }) => isComplete)) {
    throw refused(`${firstPath} and the others are formatted already (cluster ${first.clusterId})`, 'just serve them');
  }
  const isSameShape =
    first.k === options.code.k && first.m === options.code.m && first.diskIds.length === options.paths.length;
  if (!isSameShape) {
    throw refused(
      `${firstPath} was begun as ${first.k}+${first.m} on ${first.diskIds.length} disks`,
      'continue with the same code and directories',
    );
  }
}

/** Directories without an identity get the ids that no other directory has, in order. */
function assignIdentities(
  candidates: readonly Candidate[],
  cluster: Omit<DiskIdentity, 'diskId' | 'index' | 'addedAtSequence'>,
): Map<string, DiskIdentity> {
  const taken = new Set(candidates.map(({ identity }) => identity?.diskId));
  const free = cluster.diskIds.filter((diskId) => !taken.has(diskId));
  const { clusterId, diskIds, k, m, createdAtMs } = cluster;
  return new Map(
    candidates.map(({ path, identity }) => {
      const diskId = identity?.diskId ?? free.shift()!;
      return [
        path,
        { clusterId, diskId, index: diskIds.indexOf(diskId), diskIds, k, m, createdAtMs, addedAtSequence: 0 },
      ];
    }),
  );
}

function refused(message: string, hint: string): StoreError {
  return new StoreError('FormatRefused', message, { hint });
}
