import { isStoreError } from '../../errors/store-error.ts';
import { isPresent, type JournalContext } from './journal-context.ts';
import { STATE_FILE } from './journal-state.ts';
import type { LostDisks } from './lost-disks.ts';

/**
 * Disks that have left the list have no vote; without a state their journal does not even count in a start that is given
 * only disks of an earlier list. Call it when the new list is acknowledged. Those that are away keep theirs.
 */
export async function forgetJournals(
  { disks, log, journalDisks }: JournalContext,
  lostDisks: LostDisks,
  diskIds: readonly string[],
): Promise<void> {
  for (const diskId of diskIds) {
    const disk = disks.byId(diskId);
    if (disk === undefined || !isPresent(disk)) continue;
    try {
      await lostDisks.settled(diskId);
      // A checkpoint or a levelling that ends later must not bring the state back.
      for (const one of journalDisks) if (one.diskId === diskId) await one.forget();
      await disk.fs.unlink(STATE_FILE);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      log.warn({ diskId, error }, 'journal: the journal of a disk that left the list stays there');
    }
  }
}
