import { rmSync, statSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AssertionFailure } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { Clock, Randomness, TrustedTime } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import type { CheckpointFacts, Journal } from '../journal/journal.ts';
import type { RecoveryProgress } from '../metadata-store.ts';
import { decodeBatch } from '../records/record-codec.ts';
import { IndexDatabase, IndexUnusable, isSqliteError, wasClosed } from './index-database.ts';

export interface RecoverIndexOptions {
  journal: Journal;
  path: string;
  clock: Clock;
  randomness: Pick<Randomness, 'bytes'>;
  trustedTime: TrustedTime;
  log: Log;
  nextIdentifier: () => number;
  progress: (progress: RecoveryProgress) => void;
  /** What `inspectIndexFile` found in the file that lies there; `undefined`: none does. */
  existing: Promise<IndexFileFacts> | undefined;
  /** The index failed at run time, but this process closed it: it is whole with or without a WAL. */
  isClosedHere: boolean;
}

export interface IndexFileFacts {
  /** What is wrong with the file itself. */
  problem: string | undefined;
  /** A WAL with something in it lay beside it. */
  hadWal: boolean;
}

/**
 * Looks at an index that nobody has open. `checkFile` reads all of it, off the main thread. It says nothing about
 * whether the journal knows its position, so that it can run while the journals are still being read.
 */
export async function inspectIndexFile(
  path: string,
  checkFile: (path: string) => Promise<string | undefined>,
): Promise<IndexFileFacts> {
  // Looked at before anything opens the file: opening and closing it makes and removes WALs.
  const hadWal = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  return { problem: await checkFile(path), hadWal };
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
  const bases: { name: string; open: () => Promise<IndexDatabase> }[] = [];
  const { existing } = options;
  if (existing !== undefined) {
    bases.push({ name: 'the existing index', open: async () => openExisting(options, await existing) });
  }
  for (const checkpoint of journal.checkpoints()) {
    const { epoch, sequence } = checkpoint.position;
    bases.push({ name: `checkpoint ${epoch}/${sequence}`, open: () => buildFrom(options, checkpoint) });
  }
  bases.push({ name: 'an empty index', open: () => buildFrom(options, undefined) });
  let reason: unknown;
  for (const base of bases) {
    try {
      const index = await base.open();
      log.info({ base: base.name, batchNumber: index.applied.batchNumber }, 'index recovered');
      return index;
    } catch (error) {
      if (!isFaultOfBase(error)) throw error;
      log.warn({ base: base.name, error }, 'this base of the index cannot be used');
      reason = error;
    } finally {
      removeIndexFiles(buildingPath(path));
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
  options: {
    progress?: (fraction: number) => void;
    onPayload?: (payload: Buffer) => void;
    /** One transaction for all frames. */
    isOneTransaction?: boolean;
  } = {},
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
      recordCount = 0;
      if (!options.isOneTransaction) commit();
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

async function openExisting(options: RecoverIndexOptions, facts: IndexFileFacts): Promise<IndexDatabase> {
  const { path } = options;
  if (facts.problem !== undefined) throw new IndexUnusable(facts.problem);
  const isWhole = options.isClosedHere || facts.hadWal || wasClosed(path);
  if (!isWhole) throw new IndexUnusable('its WAL is missing');
  return replayed(options, new IndexDatabase({ ...options, mode: 'serving' }), { isOneTransaction: false });
}

/**
 * Makes the index anew beside the place where it belongs, and puts it there when it is whole and synced. What lies there
 * was found unusable and goes first: it may be the space that is missing.
 */
async function buildFrom(options: RecoverIndexOptions, checkpoint: CheckpointFacts | undefined) {
  const { path } = options;
  const building = buildingPath(path);
  removeIndexFiles(path);
  removeIndexFiles(building);
  if (checkpoint !== undefined) await restore(options, checkpoint, building);
  const index = new IndexDatabase({ ...options, path: building, mode: 'building' });
  const { position } = index.applied;
  const expected = checkpoint?.position;
  if (position?.sequence !== expected?.sequence || (expected && !position?.hash.equals(expected.hash))) {
    index.abandon();
    throw new IndexUnusable('the checkpoint is not at the position that it names');
  }
  (await replayed(options, index, { isOneTransaction: true })).close();
  await publish(building, path);
  return new IndexDatabase({ ...options, mode: 'serving' });
}

async function restore({ journal, progress }: RecoverIndexOptions, checkpoint: CheckpointFacts, target: string) {
  try {
    await journal.restoreCheckpoint(checkpoint, target, (fraction) => {
      progress({ phase: 'restoring-checkpoint', fraction });
    });
  } catch (cause) {
    throw new IndexUnusable('the checkpoint cannot be read', { cause });
  }
}

async function replayed(
  { journal, progress }: RecoverIndexOptions,
  index: IndexDatabase,
  { isOneTransaction }: { isOneTransaction: boolean },
): Promise<IndexDatabase> {
  try {
    const { position } = index.applied;
    if (position !== undefined && !(await journal.canReplayFrom(position))) {
      throw new IndexUnusable(`position ${position.epoch}/${position.sequence} is not one the journal goes on from`);
    }
    progress({ phase: 'replaying', fraction: 0 });
    await replayJournal(index, journal, {
      progress: (fraction) => progress({ phase: 'replaying', fraction }),
      isOneTransaction,
    });
    return index;
  } catch (error) {
    index.abandon();
    throw error;
  }
}

/** Synced before it is renamed: what lies under `path` is always a whole file. */
async function publish(from: string, path: string): Promise<void> {
  await sync(from);
  await rename(from, path);
  await sync(dirname(path));
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isFaultOfBase(error: unknown): boolean {
  return error instanceof IndexUnusable || error instanceof AssertionFailure || isSqliteError(error);
}

function buildingPath(path: string): string {
  return `${path}.building`;
}
