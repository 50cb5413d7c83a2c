import { existsSync, renameSync, rmSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AssertionFailure } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import type { CheckpointFacts, Journal } from '../journal/journal.ts';
import type { RecoveryProgress } from '../metadata-store.ts';
import { decodeBatch } from '../records/record-codec.ts';
import { IndexDatabase, IndexUnusable, isSqliteError } from './index-database.ts';

export interface RecoverIndexOptions {
  journal: Journal;
  path: string;
  clock: Clock;
  log: Log;
  nextIdentifier: () => number;
  progress: (progress: RecoveryProgress) => void;
  /** Reads the whole file at this path, off the main thread; returns what is wrong with it. */
  checkFile: (path: string) => Promise<string | undefined>;
  /** False: the file failed at run time in a way that its content cannot be believed. */
  trustExisting: boolean;
}

/** A transaction of replay ends after so many records. */
const REPLAY_TRANSACTION_RECORDS = 2000;
const REPLAY_WAL_PAGES = 16_384;

/**
 * Returns an index that has applied every acknowledged frame. It believes the existing file only if that is whole and
 * its position lies on the journal's chain; else it starts from the newest checkpoint that can be read, else from
 * nothing. A crash in the middle leaves a file that the next start judges in the same way.
 *
 * @throws StoreError JournalCorrupt when no base fits the frames that are kept; what the journal throws
 */
export async function recoverIndex(options: RecoverIndexOptions): Promise<IndexDatabase> {
  const { path, log, journal } = options;
  rmSync(restoredPath(path), { force: true });
  const bases: { name: string; prepare: () => Promise<void> }[] = [];
  if (options.trustExisting && existsSync(path)) {
    bases.push({ name: 'the existing index', prepare: () => checkExisting(options) });
  }
  for (const checkpoint of journal.checkpoints()) {
    const { epoch, sequence } = checkpoint.position;
    bases.push({ name: `checkpoint ${epoch}/${sequence}`, prepare: () => restore(options, checkpoint) });
  }
  bases.push({
    name: 'an empty index',
    prepare: () => {
      removeIndexFiles(path);
      return Promise.resolve();
    },
  });
  let reason: unknown;
  for (const base of bases) {
    try {
      await base.prepare();
      const index = await openAndReplay(options);
      log.info({ base: base.name, batchNumber: index.applied.batchNumber }, 'index recovered');
      return index;
    } catch (error) {
      if (!isFaultOfBase(error)) throw error;
      log.warn({ base: base.name, error }, 'this base of the index cannot be used');
      reason = error;
    }
  }
  throw new StoreError('JournalCorrupt', 'no base of the index fits the frames that the journal keeps', {
    hint: 'Bring back the missing disks: one of them may hold the checkpoint that is needed.',
    cause: reason,
  });
}

/**
 * Applies every acknowledged frame after the index's position, in transactions of many frames. `onPayload` sees each.
 * @throws IndexUnusable when the first frame is not the one that follows; SqliteError; AssertionFailure
 */
export async function replayJournal(
  index: IndexDatabase,
  journal: Journal,
  options: { progress?: (fraction: number) => void; onPayload?: (payload: Buffer) => void } = {},
): Promise<void> {
  const first = index.applied.position?.sequence ?? 0;
  const span = Math.max(1, journal.acknowledged.sequence - first);
  let pending: { batchNumber: number; position: (typeof journal)['acknowledged'] } | undefined;
  let { batchNumber } = index.applied;
  let recordCount = 0;
  const commit = (): void => {
    if (pending === undefined) return;
    index.finishBatch();
    index.commit(pending);
    pending = undefined;
    recordCount = 0;
  };
  index.setAutomaticCheckpoint(REPLAY_WAL_PAGES);
  try {
    for await (const { position, payload } of journal.frames(index.applied.position)) {
      const batch = decodeBatch(payload);
      if (batch.batchNumber !== batchNumber + 1) {
        throw new IndexUnusable(`batch ${batch.batchNumber} follows batch ${batchNumber} in the journal`);
      }
      if (pending === undefined) index.begin();
      index.applyDecided(batch.records);
      options.onPayload?.(payload);
      batchNumber = batch.batchNumber;
      pending = { batchNumber, position };
      recordCount += batch.records.length;
      if (recordCount < REPLAY_TRANSACTION_RECORDS) continue;
      commit();
      options.progress?.(Math.min(1, (position.sequence - first) / span));
      await nextTurn();
    }
    commit();
  } catch (error) {
    index.rollback();
    throw error;
  }
  index.setAutomaticCheckpoint(0);
}

/** The index and what SQLite keeps beside it. A WAL must never outlive its file: it would be replayed into the next. */
export function removeIndexFiles(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
}

async function checkExisting({ path, checkFile, journal, clock, nextIdentifier }: RecoverIndexOptions): Promise<void> {
  const problem = await checkFile(path);
  if (problem !== undefined) throw new IndexUnusable(problem);
  const index = new IndexDatabase({ path, clock, nextIdentifier });
  const { position } = index.applied;
  index.close();
  if (position !== undefined && !(await journal.canReplayFrom(position))) {
    throw new IndexUnusable(`position ${position.epoch}/${position.sequence} is not one the journal goes on from`);
  }
}

async function restore(options: RecoverIndexOptions, checkpoint: CheckpointFacts): Promise<void> {
  const { path, journal, progress, clock, nextIdentifier } = options;
  removeIndexFiles(path);
  const restored = restoredPath(path);
  try {
    await journal.restoreCheckpoint(checkpoint, restored, (fraction) => {
      progress({ phase: 'restoring-checkpoint', fraction });
    });
  } catch (cause) {
    throw new IndexUnusable('the checkpoint cannot be read', { cause });
  }
  renameSync(restored, path);
  const index = new IndexDatabase({ path, clock, nextIdentifier });
  const { position } = index.applied;
  index.close();
  const expected = checkpoint.position;
  if (position?.sequence !== expected.sequence || !position.hash.equals(expected.hash)) {
    throw new IndexUnusable('the checkpoint is not at the position that it names');
  }
}

async function openAndReplay({ path, clock, nextIdentifier, journal, progress }: RecoverIndexOptions) {
  const index = new IndexDatabase({ path, clock, nextIdentifier });
  try {
    progress({ phase: 'replaying', fraction: 0 });
    await replayJournal(index, journal, { progress: (fraction) => progress({ phase: 'replaying', fraction }) });
    return index;
  } catch (error) {
    index.close();
    throw error;
  }
}

function isFaultOfBase(error: unknown): boolean {
  return error instanceof IndexUnusable || error instanceof AssertionFailure || isSqliteError(error);
}

function restoredPath(path: string): string {
  return `${path}.restored`;
}
