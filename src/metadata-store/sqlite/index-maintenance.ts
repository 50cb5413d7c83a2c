import { rmSync } from 'node:fs';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import type { Journal } from '../journal/journal.ts';
import type { IndexDatabase } from './index-database.ts';
import type { MaintenanceThread } from './maintenance-thread.ts';

export interface IndexMaintenanceOptions {
  journal: Journal;
  clock: Clock;
  log: Log;
  thread: MaintenanceThread;
  index: IndexDatabase;
  /** A checkpoint is due when the journal since the last exceeds the index's size, and at least this. */
  checkpointMinimumBytes: number;
  /** SQLite's WAL is moved into the index when it holds so many bytes … */
  walLimitBytes: number;
  /** … and so many while space is short: then commits wait for it, and no checkpoint is made. */
  shortWalLimitBytes: number;
  isShort: () => boolean;
  /** Lets no batch begin until the returned function is called. */
  holdCommits: () => Promise<() => void>;
  /** The files under the index's path are no longer those that were opened. */
  onReplaced: (reason: string) => void;
}

const PAGE_BYTES = 4096;
/** A WAL with less than this left to move is finished while no batch runs: a few milliseconds. */
const FINISH_BACKLOG_PAGES = 256;
const ROUNDS_BEFORE_FINISH = 4;
const IDENTITY_CHECK_MS = 250;
const RETRY_CHECKPOINT_MS = 30_000;
/** The WAL is looked at after so many batches: a batch writes some 20 KiB to 1 MiB. */
const BATCHES_BETWEEN_LOOKS = 16;

/**
 * What an open index needs beside commits: its WAL moved into the file, checkpoints for the journal, and an eye on
 * whether its files are still there. The work runs in the maintenance thread; here is only the deciding.
 */
export class IndexMaintenance {
  readonly #options: IndexMaintenanceOptions;
  #batchesSinceLook = 0;
  #isStopped = false;
  #walWork: Promise<void> | undefined;
  #checkpointWork: Promise<void> | undefined;
  #noCheckpointBeforeMs = -Infinity;
  #cancelIdentityCheck: () => void = () => {};

  constructor(options: IndexMaintenanceOptions) {
    this.#options = options;
    this.#scheduleIdentityCheck();
  }

  /** After each committed batch. Cheap. */
  onCommitted(): void {
    if (this.#isStopped) return;
    if (++this.#batchesSinceLook >= BATCHES_BETWEEN_LOOKS) {
      this.#batchesSinceLook = 0;
      const walBytes = this.#options.index.walPages() * PAGE_BYTES;
      const { isShort, shortWalLimitBytes, walLimitBytes } = this.#options;
      if (walBytes > (isShort() ? Math.min(shortWalLimitBytes, walLimitBytes) : walLimitBytes)) this.#startMovingWal();
    }
    if (this.#options.journal.bytesSinceCheckpoint > this.#options.checkpointMinimumBytes) this.#considerCheckpoint();
  }

  /** Resolves when no work is under way; the thread is ended by its owner first if it must not be waited for. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelIdentityCheck();
    await Promise.all([this.#walWork, this.#checkpointWork]);
  }

  #startMovingWal(): void {
    this.#walWork ??= this.#moveWal()
      .catch((error: unknown) => this.#complain(error, 'the WAL of the index could not be moved'))
      .finally(() => {
        this.#walWork = undefined;
      });
  }

  /**
   * A checkpoint beside running commits never catches up with them, and SQLite starts its WAL again from the front only
   * when all of it was moved. So: move while commits run until little is left, then move that between two batches.
   */
  async #moveWal(): Promise<void> {
    const { thread, index, holdCommits, isShort } = this.#options;
    for (let round = 0; round < ROUNDS_BEFORE_FINISH && !isShort(); round += 1) {
      const backlogPages = await thread.moveWal(index.file);
      if (this.#isStopped) return;
      if (backlogPages <= FINISH_BACKLOG_PAGES) break;
    }
    const release = await holdCommits();
    try {
      if (this.#isStopped) return;
      await thread.moveWal(index.file);
      index.refreshReader();
    } finally {
      release();
    }
  }

  #considerCheckpoint(): void {
    const { clock, journal, index, isShort } = this.#options;
    if (isShort() || this.#checkpointWork !== undefined || clock.monotonicMs() < this.#noCheckpointBeforeMs) return;
    if (journal.bytesSinceCheckpoint <= index.sizeBytes()) return;
    this.#checkpointWork = this.#makeCheckpoint()
      .catch((error: unknown) => {
        this.#noCheckpointBeforeMs = clock.monotonicMs() + RETRY_CHECKPOINT_MS;
        this.#complain(error, 'no checkpoint could be made; it is tried again');
      })
      .finally(() => {
        this.#checkpointWork = undefined;
      });
  }

  async #makeCheckpoint(): Promise<void> {
    const { thread, journal, index, log, clock } = this.#options;
    const target = snapshotPath(index.path);
    const startedMs = clock.monotonicMs();
    rmSync(target, { force: true });
    try {
      const { position } = await thread.snapshot(index.file, target);
      // Committed means acknowledged, so any position in a snapshot may be installed. Without one there is nothing to keep.
      if (this.#isStopped || position === undefined) return;
      await journal.installCheckpoint(target, position);
      const durationMs = Math.round(clock.monotonicMs() - startedMs);
      log.info({ epoch: position.epoch, sequence: position.sequence, durationMs }, 'checkpoint installed');
    } finally {
      rmSync(target, { force: true });
    }
  }

  #scheduleIdentityCheck(): void {
    const { clock, index, onReplaced } = this.#options;
    this.#cancelIdentityCheck = clock.schedule(IDENTITY_CHECK_MS, () => {
      if (this.#isStopped) return;
      const reason = index.whyReplaced();
      if (reason === undefined) this.#scheduleIdentityCheck();
      else onReplaced(reason);
    });
  }

  #complain(error: unknown, message: string): void {
    if (!this.#isStopped) this.#options.log.error({ error }, message);
  }
}

export function snapshotPath(indexPath: string): string {
  return `${indexPath}.snapshot`;
}
