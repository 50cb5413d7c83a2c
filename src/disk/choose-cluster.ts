import { StoreError } from '../errors/store-error.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { DiskLocation } from './disk-location.ts';
import type { DirectoryScan } from './scan-directory.ts';

/** What the identities say, the newest of them winning; the journal knows better. */
export interface ClusterFacts {
  readonly clusterId: string;
  /** Configured when that disk was formatted. */
  readonly code: ErasureCode;
  /** The newest list that an identity tells, and after it every present disk that is not in it: only the journal knows which count. */
  readonly diskIds: readonly string[];
  readonly createdAtMs: number;
}

/** What the start does with the directories it was given. */
export interface ClusterChoice {
  cluster: ClusterFacts;
  /** Disk id → where it is. */
  present: Map<string, DiskLocation>;
  /** Disk id → why its directory is there and not used. */
  refused: Map<string, string>;
  /** Given paths that carry no disk of this cluster, with the reason: for the log. */
  unused: { path: string; reason: string }[];
}

type FoundDisk = DirectoryScan & { found: 'disk' };

/**
 * Decides which cluster the given directories are, from what lies in them; order and names of paths mean nothing. Pure.
 * @throws StoreError FormatRefused: no disk of the cluster, several clusters, or formatting that was interrupted.
 */
export function chooseCluster(scans: readonly DirectoryScan[], expectedClusterId: string | undefined): ClusterChoice {
  const found = scans.filter((scan): scan is FoundDisk => scan.found === 'disk');
  const members = found.filter((scan) => scan.identity.clusterId === (expectedClusterId ?? scan.identity.clusterId));
  const first = members[0];
  if (first === undefined) throw noDisk(scans, found, expectedClusterId);
  assertOneCluster(members, first);

  const present = new Map<string, DiskLocation>();
  const refused = new Map<string, string>();
  for (const { identity, isComplete, path, location } of members) {
    const copies = members.filter((other) => other.identity.diskId === identity.diskId).map((other) => other.path);
    if (copies.length > 1) refused.set(identity.diskId, `${copies.join(' and ')} are copies of one disk`);
    else if (!isComplete) refused.set(identity.diskId, `formatting of ${path} was interrupted`);
    else present.set(identity.diskId, location);
  }
  assertFormatted(members, first);

  const newest = members.reduce((one, other) => {
    return other.identity.addedAtSequence > one.identity.addedAtSequence ? other : one;
  });
  const { clusterId, k, m, createdAtMs } = newest.identity;
  const diskIds = [...new Set([...newest.identity.diskIds, ...members.map(({ identity }) => identity.diskId)])];
  const unused = scans
    .filter((scan) => scan.found !== 'disk' || !members.includes(scan))
    .map((scan) => ({
      path: scan.path,
      reason: scan.found === 'disk' ? `it belongs to cluster ${scan.identity.clusterId}` : scan.reason,
    }));
  return { cluster: { clusterId, code: { k, m }, diskIds, createdAtMs }, present, refused, unused };
}

function noDisk(
  scans: readonly DirectoryScan[],
  found: readonly FoundDisk[],
  expected: string | undefined,
): StoreError {
  const where = scans.map((scan) => {
    return `${scan.path}: ${scan.found === 'disk' ? `cluster ${scan.identity.clusterId}` : scan.reason}`;
  });
  if (found.length > 0) {
    return refusal(
      `no given directory belongs to cluster ${expected} (${where.join('; ')})`,
      'these disks are of another cluster than the state directory remembers; give the right disks or state directory',
    );
  }
  return refusal(
    `no given directory is a disk of a cluster (${where.join('; ')})`,
    'mount the disks; only if they are really new, run: holdfast format',
  );
}

function assertOneCluster(members: readonly FoundDisk[], first: FoundDisk): void {
  for (const other of members) {
    if (other.identity.clusterId !== first.identity.clusterId) {
      throw refusal(
        `${first.path} belongs to cluster ${first.identity.clusterId}, ${other.path} to ${other.identity.clusterId}`,
        'give the directories of one cluster',
      );
    }
  }
  // Disks that were added later tell other lists.
  const [formatted, ...others] = members.filter(({ identity }) => identity.addedAtSequence === 0);
  for (const other of others) {
    const { identity } = formatted ?? first;
    const isSame =
      other.identity.k === identity.k &&
      other.identity.m === identity.m &&
      other.identity.diskIds.join() === identity.diskIds.join();
    if (!isSame) {
      throw refusal(
        `${(formatted ?? first).path} and ${other.path} disagree about the disks of their cluster`,
        'remove the wrong one',
      );
    }
  }
}

/**
 * A half-formatted disk is one lost disk. But where too few others are whole for any start, formatting itself was
 * interrupted, and its being continued is what helps.
 */
function assertFormatted(members: readonly FoundDisk[], first: FoundDisk): void {
  const incomplete = members.filter(({ isComplete }) => !isComplete);
  const completeCount = members.length - incomplete.length;
  const { k, m, diskIds } = first.identity;
  const needed = Math.max(1, Math.min(k + m, diskIds.length) - m);
  if (incomplete.length === 0 || completeCount >= needed) return;
  throw refusal(
    `formatting was interrupted: ${incomplete.map(({ path }) => path).join(', ')}`,
    'run holdfast format with the same directories and code again: it goes on where it was',
  );
}

function refusal(message: string, hint: string): StoreError {
  return new StoreError('FormatRefused', message, { hint });
}
