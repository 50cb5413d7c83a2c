import type { Disk } from '../../disk/disk-set.ts';
import { EPOCH_LIMIT } from '../../model/identifier.ts';
import { StoreError } from '../../errors/store-error.ts';
import { formatJournal } from './format-journal.ts';
import { JOURNAL_DIRECTORY, readState } from './journal-state.ts';

/**
 * Disks that are away may have reserved epochs that nothing present tells of. The new journal begins so far above what is
 * known that theirs is never the newer one.
 */
const EPOCH_MARGIN = 65_536;

/**
 * Gives the disks of a cluster that has lost its journals new ones, empty, whose epochs lie above all that were used. What
 * lies there of the old ones is put aside, whole, under a name that nothing reads. A crash leaves disks with the new journal
 * and disks with none; doing it again is fine.
 * @throws StoreError FormatRefused: epochs are used up
 */
export async function restartJournals(
  disks: readonly Disk[],
  facts: { clusterId: string; diskIds: readonly string[]; k: number; m: number; usedEpoch: number },
): Promise<void> {
  const { usedEpoch, ...cluster } = facts;
  const reservedEpoch = Math.max(usedEpoch, ...(await Promise.all(disks.map(greatestReserved)))) + EPOCH_MARGIN;
  if (reservedEpoch >= EPOCH_LIMIT - EPOCH_MARGIN) throw new StoreError('FormatRefused', 'epochs are used up');
  for (const disk of disks) {
    await putAside(disk);
    await formatJournal(disk.fs, { ...cluster, diskId: disk.id, reservedEpoch });
  }
}

/**
 * Of the journal in place and of those that were put aside: ids in shards do not tell of epochs in which nothing was written, like those
 * of an earlier recovery.
 */
async function greatestReserved({ fs }: Disk): Promise<number> {
  let greatest = 0;
  for (let number = 0; ; number += 1) {
    const directory = number === 0 ? JOURNAL_DIRECTORY : nameAside(number);
    if ((await fs.stat(directory)) === undefined) {
      if (number === 0) continue;
      return greatest;
    }
    const state = await readState(fs, `${directory}/state`);
    if (typeof state === 'object') greatest = Math.max(greatest, state.reservedEpoch);
  }
}

async function putAside({ fs }: Disk): Promise<void> {
  if ((await fs.stat(JOURNAL_DIRECTORY)) === undefined) return;
  let number = 1;
  while ((await fs.stat(nameAside(number))) !== undefined) number += 1;
  await fs.publish(JOURNAL_DIRECTORY, nameAside(number));
}

function nameAside(number: number): string {
  return `${JOURNAL_DIRECTORY}.before-recovery-${number}`;
}
