import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  SqliteMetadataStore,
  type SqliteMetadataStoreOptions,
} from '../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { silentLog } from '../../src/observability/log.ts';
import { SystemClock, SystemRandomness } from '../../src/observability/system-clock.ts';
import { MemoryJournal, type MemoryJournalDisk } from './memory-journal.ts';

/** A folder for one index, and stores over it; `close` stops what still runs and removes the folder. */
export interface SqliteHarness {
  indexPath: string;
  /** A started store over these journal disks (new ones by default). */
  open(
    disk?: MemoryJournalDisk,
    options?: Partial<SqliteMetadataStoreOptions>,
    prepare?: (journal: MemoryJournal) => void,
  ): Promise<{ store: SqliteMetadataStore; journal: MemoryJournal }>;
  close(): Promise<void>;
}

export async function sqliteHarness(): Promise<SqliteHarness> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-index-'));
  const indexPath = join(folder, 'index.sqlite');
  const stores: SqliteMetadataStore[] = [];
  return {
    indexPath,
    open: async (disk, options = {}, prepare) => {
      const journal = new MemoryJournal(disk);
      prepare?.(journal);
      const store = new SqliteMetadataStore({
        journal,
        indexPath,
        clock: new SystemClock(),
        randomness: new SystemRandomness(),
        log: silentLog,
        ...options,
      });
      stores.push(store);
      await store.start(() => {});
      return { store, journal };
    },
    close: async () => {
      for (const store of stores) await store.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
