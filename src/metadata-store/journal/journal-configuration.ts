import { hash as hashOnce } from 'node:crypto';
import { assert } from '../../errors/assert.ts';
import { HASH_BYTES } from './frame.ts';
import type { JournalPosition } from './journal.ts';

/** What the chain says of the cluster: the newest configuration on it wins over identity files. */
export interface JournalConfiguration {
  k: number;
  m: number;
  /** Every disk of the cluster, in the order of the disk list. */
  diskIds: readonly string[];
  /** The disks that carry the journal: all of them up to k + m, else J of them. `n` of the protocol is their number. */
  journalDiskIds: readonly string[];
  /** Declared lost for good when they were replaced, by this configuration or an earlier one: nothing there counts. */
  lostDiskIds?: readonly string[];
}

/** A configuration as it is in force. */
export interface JournalRule extends JournalConfiguration {
  /** Of a rule without the disks that are being declared lost. */
  leastWriters?: number;
}

/** Frames are acknowledged on m + 1 journal disks. */
export function writeQuorum({ m, leastWriters = 0 }: JournalRule): number {
  return Math.max(m + 1, leastWriters);
}

/**
 * The rule while a later configuration declares some of its disks lost and is not yet acknowledged. A frame that was
 * acknowledged on m + 1 disks is on m + 1 - d of those that are left, so n − m of them are read as before, and m + 1 - d written.
 * At least n − m are written too: then, even if the declaration is false, no m + 1 disks are without it.
 */
export function withoutLost(configuration: JournalConfiguration, lostDiskIds: readonly string[]): JournalRule {
  const left = configuration.journalDiskIds.filter((diskId) => !lostDiskIds.includes(diskId));
  const lostCount = configuration.journalDiskIds.length - left.length;
  if (lostCount === 0) return configuration;
  const { m } = configuration;
  return { ...configuration, m: m - lostCount, journalDiskIds: left, leastWriters: readQuorum(configuration) };
}

/** A start needs n − m journal disks with a journal of their own, so that it meets every write quorum. */
export function readQuorum(configuration: JournalConfiguration): number {
  return configuration.journalDiskIds.length - configuration.m;
}

/** J of design §5: all disks up to k + m of them, else 2m + 3 but at least k + m, evenly spread over the list. */
export function chooseJournalDisks(diskIds: readonly string[], code: { k: number; m: number }): string[] {
  const wanted = Math.min(diskIds.length, Math.max(code.k + code.m, 2 * code.m + 3));
  if (diskIds.length <= code.k + code.m || wanted === diskIds.length) return [...diskIds];
  return Array.from({ length: wanted }, (_, index) => {
    const diskId = diskIds[Math.floor((index * diskIds.length) / wanted)];
    assert(diskId !== undefined, 'journal disk index out of range');
    return diskId;
  });
}

/**
 * The configuration with another list of disks. Journal disks that stay in the list stay journal disks; while there are too
 * few or one has left, others take their places, those that `isPreferred` names first.
 */
export function withDiskList(
  configuration: JournalConfiguration,
  diskIds: readonly string[],
  isPreferred: (diskId: string) => boolean,
): JournalConfiguration {
  const { k, m, journalDiskIds, lostDiskIds = [] } = configuration;
  const wanted = chooseJournalDisks(diskIds, { k, m }).length;
  const kept = journalDiskIds.filter((diskId) => diskIds.includes(diskId)).slice(0, wanted);
  const others = diskIds.filter((diskId) => !kept.includes(diskId));
  const added = [...others.filter(isPreferred), ...others.filter((diskId) => !isPreferred(diskId))];
  const chosen = new Set([...kept, ...added.slice(0, wanted - kept.length)]);
  const next = { k, m, diskIds: [...diskIds], journalDiskIds: diskIds.filter((diskId) => chosen.has(diskId)) };
  return lostDiskIds.length === 0 ? next : { ...next, lostDiskIds };
}

/** Where every chain of this cluster begins: epoch 0, sequence 0, and a hash of what it was formatted with. */
export function genesisPosition(clusterId: string, configuration: JournalConfiguration): JournalPosition {
  const facts = JSON.stringify([clusterId, configurationToJson(configuration)]);
  return { epoch: 0, sequence: 0, hash: hashOnce('sha256', facts, 'buffer').subarray(0, HASH_BYTES) };
}

export function configurationToJson(configuration: JournalConfiguration): JournalConfiguration {
  const { k, m, diskIds, journalDiskIds, lostDiskIds = [] } = configuration;
  const facts = { k, m, diskIds: [...diskIds], journalDiskIds: [...journalDiskIds] };
  return lostDiskIds.length === 0 ? facts : { ...facts, lostDiskIds: [...lostDiskIds] };
}

export function configurationFromJson(value: unknown): JournalConfiguration {
  const candidate = value as JournalConfiguration;
  assert(Number.isInteger(candidate.k) && Number.isInteger(candidate.m), 'a configuration needs k and m');
  assert(
    Array.isArray(candidate.diskIds) && Array.isArray(candidate.journalDiskIds),
    'a configuration needs its disks',
  );
  return configurationToJson(candidate);
}
