import path from 'node:path';
import type { StorageOptions } from '../cli/server-types.ts';
import { LocalDiskSet } from '../disk/local-disk-set.ts';
import type { LocalDiskSetOptions } from '../disk/local-disk-set-options.ts';
import { RealDiskFs } from '../disk/real-disk-fs.ts';
import { DEFAULT_SEGMENT_BYTES } from '../metadata-store/journal/format-journal.ts';
import { DiskJournal } from '../metadata-store/journal/disk-journal.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { JournalConfiguration } from '../metadata-store/journal/journal-configuration.ts';
import type { IndexInspection } from '../metadata-store/sqlite/index-inspection.ts';
import { SqliteMetadataStore } from '../metadata-store/sqlite/sqlite-metadata-store.ts';
import type { TrustedTime } from '../model/clock.ts';

/** The index in the state directory: can be lost, is rebuilt from the disks. */
export const INDEX_FILE = 'index.sqlite';

/** Locks and watches the disks of the cluster. @throws StoreError FormatRefused | NotReady (another server has them) */
export function openDisks(
  options: StorageOptions,
  overrides: Partial<Pick<LocalDiskSetOptions, 'acquireLock' | 'isPatient'>> = {},
): Promise<LocalDiskSet> {
  const { config, diskPaths, lastDiskPaths, makeDiskFs, expectedClusterId, clock, randomness, log } = options;
  return LocalDiskSet.open({
    paths: diskPaths,
    lastPaths: lastDiskPaths,
    expectedClusterId,
    clock,
    log: log.child({ part: 'disk' }),
    random: randomness,
    reserveBytes: config.storage.reserve,
    deadlineMs: config.storage.diskDeadline,
    makeFs: makeDiskFs ?? ((root, bound) => new RealDiskFs(root, { ...bound, sync: config.durability.sync })),
    ...overrides,
  });
}

export interface Metadata {
  /** Started and stopped by the store. */
  journal: DiskJournal;
  store: SqliteMetadataStore;
  /** Told of every list of disks and code that comes in force. */
  watchConfiguration: (listener: (configuration: JournalConfiguration) => void) => void;
}

/** The cluster's code: what the journal says, or before it has been read what the disks were formatted for. */
export function codeOf({ configuration }: Pick<DiskJournal, 'configuration'>, disks: LocalDiskSet): ErasureCode {
  const { k, m } = configuration ?? disks.cluster.code;
  return { k, m };
}

export function indexPathOf({ stateDirectory }: StorageOptions): string {
  return path.join(stateDirectory, INDEX_FILE);
}

/** The SQLite index over the journal on these disks; not yet started. */
export function makeMetadata(
  options: StorageOptions,
  disks: LocalDiskSet,
  /** Kept by whoever makes several, one after the other failed to start. */
  kept?: { inspection: IndexInspection; trustedTime: TrustedTime },
): Metadata {
  const { config, clock, randomness, log } = options;
  const listeners: ((configuration: JournalConfiguration) => void)[] = [];
  const journal = new DiskJournal({
    disks,
    clock,
    log: log.child({ part: 'journal' }),
    reserveSegments: Math.ceil(config.storage.journalReserve / DEFAULT_SEGMENT_BYTES),
    onConfiguration: (configuration) => {
      disks.applyList(configuration.diskIds);
      for (const listener of listeners) listener(configuration);
    },
    leastListSequence: config.storage.acceptOlderList ? 0 : (options.leastListSequence ?? 0),
  });
  const store = new SqliteMetadataStore({
    journal,
    indexPath: indexPathOf(options),
    ...kept,
    clock,
    randomness,
    log: log.child({ part: 'metadata' }),
    checkpointMinimumBytes: config.storage.checkpointSize,
    reserveBytes: config.storage.stateReserve,
  });
  return { journal, store, watchConfiguration: (listener) => void listeners.push(listener) };
}
