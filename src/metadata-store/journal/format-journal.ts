import type { DiskFs } from '../../disk/disk-fs.ts';
import { StoreError } from '../../errors/store-error.ts';
import { NEWEST_STORE_FORMAT } from '../../model/store-format.ts';
import { chooseJournalDisks, genesisPosition, type JournalConfiguration } from './journal-configuration.ts';
import { JOURNAL_DIRECTORY, publishState, readState } from './journal-state.ts';
import { greatestCounter, temporaryName } from './segment-names.ts';

export const DEFAULT_SEGMENT_BYTES = 16 * 1024 * 1024;

export interface FormatJournalFacts {
  clusterId: string;
  /** Of this disk. */
  diskId: string;
  /** All disks of the new cluster, in the order of the disk list. */
  diskIds: readonly string[];
  k: number;
  m: number;
  /** Default 16 MiB; a multiple of 4096. */
  segmentBytes?: number;
  /** Default: the newest. The first start of the store makes it the active one. */
  formatVersion?: number;
  /** Every epoch will be greater. Default 0. */
  reservedEpoch?: number;
}

/**
 * Gives a disk of a *new* cluster its empty journal: the genesis, which is the same on all of them. Its last step is one
 * synced rename, so a crash leaves no journal or a whole one, and doing it again is fine. Never call it for a disk that
 * replaces another one: that disk starts without a journal and gets it by levelling.
 * @throws StoreError FormatRefused when the disk carries another journal.
 */
export async function formatJournal(fs: DiskFs, facts: FormatJournalFacts): Promise<void> {
  const { clusterId, diskId, diskIds, k, m } = facts;
  const configuration: JournalConfiguration = { k, m, diskIds, journalDiskIds: chooseJournalDisks(diskIds, { k, m }) };
  if (!configuration.journalDiskIds.includes(diskId)) return;
  await fs.createDirectoryDurable(JOURNAL_DIRECTORY);
  const present = await readState(fs);
  if (typeof present === 'object' && present.clusterId === clusterId && present.diskId === diskId) return;
  if (present !== 'missing') {
    throw new StoreError('FormatRefused', `disk ${diskId} carries a journal of another cluster or disk`, {
      hint: 'Format empty directories only.',
    });
  }
  const counter = greatestCounter(await fs.list(JOURNAL_DIRECTORY)) + 1;
  const state = {
    format: facts.formatVersion ?? NEWEST_STORE_FORMAT,
    clusterId,
    diskId,
    generation: 0,
    firstSegment: 0,
    lastSegment: -1,
    segmentBytes: facts.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
    base: genesisPosition(clusterId, configuration),
    configuration,
    reservedEpoch: facts.reservedEpoch ?? 0,
    checkpoints: [],
    voidNotes: [],
  };
  await publishState(fs, state, temporaryName(counter));
}
