import { StoreError } from '../errors/store-error.ts';
import type { Randomness } from '../model/clock.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { DiskFs } from './disk-fs.ts';
import {
  type DiskIdentity,
  FILES_BEFORE_IDENTITY,
  FORMAT_COMPLETE_FILE,
  isFormatComplete,
  LOCK_FILE,
  makeUuid,
  readIdentity,
  writeIdentity,
} from './disk-identity.ts';
import { ROOT_PATH } from './relative-path.ts';

/** The list of disks with a new one in its place. */
export type ListWith = (diskId: string) => readonly string[];

/** Directories that hold nothing but what an interrupted addition made may have these. */
const FILES_OF_AN_ADDITION: ReadonlySet<string> = new Set([
  ...FILES_BEFORE_IDENTITY,
  'disk.json',
  FORMAT_COMPLETE_FILE,
  'journal',
  'probe',
  'volumes',
  'quarantine',
  'key-ring',
  'key-ring.new',
]);

export interface Preparation {
  path: string;
  fs: DiskFs;
  cluster: ErasureCode & { clusterId: string };
  /** Disks in the list: their directories are never taken. */
  listedIds: ReadonlySet<string>;
  /** Declared lost: the journal passes over such a disk at every start, so its id never comes into the list again. */
  lostIds: ReadonlySet<string>;
  listWith: ListWith;
  addedAtSequence: number;
  nowMs: number;
  random: Randomness;
}

/**
 * Gives an empty directory the identity of a new disk of a cluster that exists. It gets no journal: levelling makes it. A
 * directory that an interrupted addition began, or a disk that was removed and holds no shards, is taken with its id.
 * Nothing of it counts before the journal's list names the id, so a crash anywhere is harmless.
 * @throws StoreError FormatRefused: anything else lies there
 */
export async function prepareDirectory(preparation: Preparation): Promise<DiskIdentity> {
  const { path, fs, cluster, listWith, addedAtSequence, nowMs, random } = preparation;
  const diskId = (await findFormerId(preparation)) ?? makeUuid(random);
  const diskIds = listWith(diskId);
  const identity: DiskIdentity = {
    clusterId: cluster.clusterId,
    diskId,
    index: diskIds.indexOf(diskId),
    diskIds,
    k: cluster.k,
    m: cluster.m,
    createdAtMs: nowMs,
    addedAtSequence,
  };
  if (identity.index < 0) throw adoptionRefused(`${path} has no place in the list of disks`);
  await writeIdentity(fs, identity);
  if ((await fs.stat(LOCK_FILE)) === undefined) await fs.createDurable(LOCK_FILE);
  if (!(await isFormatComplete(fs))) await fs.createDurable(FORMAT_COMPLETE_FILE);
  return identity;
}

async function findFormerId({ path, fs, cluster, listedIds, lostIds }: Preparation): Promise<string | undefined> {
  const names = await fs.list(ROOT_PATH);
  const identity = await readIdentity(fs, path);
  const known = identity === undefined ? FILES_BEFORE_IDENTITY : FILES_OF_AN_ADDITION;
  const foreign = names.filter((name) => !known.has(name));
  if (foreign.length > 0) {
    throw adoptionRefused(
      `${path} is not empty (it holds ${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ' …' : ''})`,
    );
  }
  if (identity === undefined) return undefined;
  if (identity.clusterId !== cluster.clusterId) {
    throw adoptionRefused(`${path} is a disk of another cluster, ${identity.clusterId}`);
  }
  if (listedIds.has(identity.diskId))
    throw adoptionRefused(`${path} is disk ${identity.diskId} of this cluster already`);
  if (lostIds.has(identity.diskId)) {
    throw adoptionRefused(`${path} is disk ${identity.diskId}, which was declared lost: it never counts again`);
  }
  for (const directory of ['volumes', 'quarantine']) {
    if (names.includes(directory) && (await fs.list(directory)).length > 0) {
      throw adoptionRefused(`${path} was a disk of this cluster and holds shards`);
    }
  }
  return identity.diskId;
}

export function adoptionRefused(message: string): StoreError {
  return new StoreError('FormatRefused', message, {
    hint: 'Nothing is ever removed; give an empty directory that is no disk yet.',
  });
}
