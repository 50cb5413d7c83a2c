import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import { type JournalConfiguration, writeQuorum } from './journal-configuration.ts';
import type { LevellingCrew } from './levelling-crew.ts';
import { LOST_HINT } from './recovery.ts';
import { otherChange, type RunningEpoch } from './running-epoch.ts';

/**
 * Puts `next` in force: its journal disks are levelled, as far as they are present, then it is acknowledged under the rule
 * before it, which is returned, and its own. Disks that it does not name have no vote any more.
 * @throws StoreError as `DiskJournal.changeConfiguration`
 */
export async function changeRule(
  running: RunningEpoch,
  crew: LevellingCrew,
  next: JournalConfiguration,
): Promise<JournalConfiguration> {
  const [before, ...others] = running.rules;
  if (before === undefined || others.length > 0) throw otherChange();
  const isListed = (diskId: string): boolean => next.diskIds.includes(diskId);
  assert(next.journalDiskIds.every(isListed), 'journal disks are in the disk list');
  const endTeaching = crew.teach(next.journalDiskIds);
  try {
    await crew.idle();
    const level = new Set(running.voters().map((disk) => disk.diskId));
    const count = next.journalDiskIds.filter((diskId) => level.has(diskId)).length;
    if (count < writeQuorum(next)) {
      const message = `${count} of the new journal disks hold the chain, ${writeQuorum(next)} are needed`;
      throw new StoreError('QuorumLost', message, { hint: LOST_HINT });
    }
    await running.appendConfiguration(next, before);
    // Tells the disks that it is acknowledged, so that a later start needs only the new list.
    await running.appendNote();
  } finally {
    endTeaching();
  }
  for (const disk of running.voters()) {
    if (!next.journalDiskIds.includes(disk.diskId)) running.drop(disk.diskId);
  }
  return before;
}
