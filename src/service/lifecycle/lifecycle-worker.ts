import type { MetadataStore } from '../../metadata-store/metadata-store.ts';
import type { Clock } from '../../model/clock.ts';
import type { BucketRecord } from '../../model/object-record.ts';
import { compileLifecycle } from './compiled-lifecycle.ts';
import { LifecycleActions, type LifecycleOutcome } from './lifecycle-actions.ts';
import { CALENDAR_DAY_MS } from './lifecycle-days.ts';
import { type LifecycleTask, LifecycleWalk, type VersionTask, type WalkStep } from './lifecycle-walk.ts';
import type { TransitionStores } from './transition-version.ts';

export interface LifecycleWorkerOptions {
  metadataStore: Pick<
    MetadataStore,
    | 'commit'
    | 'formatVersion'
    | 'getBucketById'
    | 'getDocument'
    | 'getObject'
    | 'listDocuments'
    | 'listObjects'
    | 'listUploads'
    | 'listVersions'
  >;
  dataStore: TransitionStores['dataStore'];
  clock: Clock;
  /** Length of a day: 24 hours, or that of a test clock. */
  dayMs: number;
  /** Versions and uploads ended in a second, at most. */
  actionsPerSecond: number;
  /** Written into other storage classes in a second, at most. */
  movedBytesPerSecond: number;
  /** May it be believed that the time is what the clock says? Nothing ends while not. */
  isTimeTrusted: () => boolean;
  /** Requests of clients that are being answered now. */
  requestsInFlight: () => number;
  /** Ends early when the work is to stop. */
  pause: (delayMs: number) => Promise<void>;
  isStopped: () => boolean;
  pageLimit?: number;
}

type Counts = Record<LifecycleOutcome, number> & { lookedAt: number };

/** What `status` and metrics tell of the lifecycle. */
export interface LifecycleReport {
  /** Length of a day; another than 24 hours is a test clock. */
  dayMs: number;
  isRunning: boolean;
  /** The clock is not to be believed: nothing ends until it is. */
  isFrozen: boolean;
  /** Of the pass under way, or of the last one. */
  startedAtMs: number | undefined;
  lastFinishedAtMs: number | undefined;
  /** How long the pass that is due or under way has been due; 0 when none is. */
  lagMs: number;
  /** Since the start of the server. */
  counts: Counts;
  /** Since the start of the server: written into other storage classes. */
  movedBytes: number;
  lastError: string | undefined;
}

/** Document `lifecycle/pass`: where the daily pass stands, across restarts. */
interface PassState {
  formatVersion: 1;
  /** The beginning of the day, or of the piece of a test clock's day, that the pass is for. */
  dueAtMs: number;
  startedAtMs: number;
  /** Buckets with a smaller id are done, and of this one the keys up to `doneKey`. */
  bucketId: number;
  doneKey: string;
  finishedAtMs?: number;
  lastFinishedAtMs?: number;
}

const ADDRESS = { collection: 'lifecycle', id: 'pass' };
const CONFIGURATIONS = 'bucket-lifecycle';
const PAGE_LIMIT = 1000;
/** The cursor is written at most so often: what lies behind it is looked at once more after a crash. */
const SAVE_EVERY_MS = 10_000;
/** A test clock's day has so many passes: there things fall due at any moment, not only at midnight. */
const PASSES_A_TEST_DAY = 10;
const SHORTEST_PERIOD_MS = 1000;
/** Commits at once: together they share syncs. */
const BATCH = 32;
const BATCH_BYTES = 4 * 1024 * 1024;
/** While requests are answered, it waits so many times as long as it has worked. */
const YIELD_FACTOR = 3;

/**
 * Applies the buckets' lifecycle rules: to all buckets with rules once a day, after midnight UTC, and to a bucket when
 * its rules were changed. It goes through them in the order of their ids and keys; its place is a document of the
 * journal, so that a restart goes on where it was. What it repeats after a crash finds nothing left to do.
 */
export class LifecycleWorker {
  readonly #options: LifecycleWorkerOptions;
  readonly #actions: LifecycleActions;
  readonly #periodMs: number;
  readonly #changedBucketIds = new Set<number>();
  #state: PassState | undefined;
  #isLoaded = false;
  #isWorking = false;
  #savedAtMs = -Infinity;
  #counts: Counts = {
    lookedAt: 0,
    expired: 0,
    deleted: 0,
    aborted: 0,
    transitioned: 0,
    skipped: 0,
    locked: 0,
    failed: 0,
  };
  #movedBytes = 0;
  #lastError: string | undefined;
  /** Of a version that was passed over, in this pass or the last one. */
  #problem: string | undefined;

  constructor(options: LifecycleWorkerOptions) {
    this.#options = options;
    this.#actions = new LifecycleActions(options);
    this.#periodMs = passPeriodMs(options.dayMs);
  }

  /** Its rules were put or deleted: they are applied soon, not only on the next day. */
  configurationChanged(bucketId: number): void {
    this.#changedBucketIds.add(bucketId);
  }

  report(): LifecycleReport {
    const state = this.#state;
    const isOver = state === undefined || state.finishedAtMs !== undefined;
    const now = this.#options.clock.nowMs();
    const dueSinceMs = isOver ? this.#nextDueAtMs(now) : state.dueAtMs;
    return {
      dayMs: this.#options.dayMs,
      isRunning: this.#isWorking,
      isFrozen: !this.#options.isTimeTrusted(),
      startedAtMs: state?.startedAtMs,
      lastFinishedAtMs: state?.finishedAtMs ?? state?.lastFinishedAtMs,
      lagMs: !this.#isLoaded || dueSinceMs === undefined ? 0 : Math.max(0, now - dueSinceMs),
      counts: { ...this.#counts },
      movedBytes: this.#movedBytes,
      lastError: this.#lastError,
    };
  }

  /**
   * Does all that is due now. One at a time.
   *
   * @throws StoreError what the stores throw: the next call goes on from the last place that was written down
   */
  async run(): Promise<void> {
    this.#isWorking = true;
    try {
      await this.#run();
      this.#lastError = this.#problem;
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      this.#isWorking = false;
    }
  }

  async #run(): Promise<void> {
    if (!this.#mayGoOn()) return;
    await this.#load();
    await this.#walkChanged();
    if (!(await this.#beginIfDue())) return;
    for (;;) {
      const bucketIds = await this.#configuredBuckets();
      const state = this.#state!;
      const next = bucketIds.find((bucketId) => bucketId >= state.bucketId);
      if (next === undefined) break;
      const afterKey = next === state.bucketId ? state.doneKey : '';
      this.#state = { ...state, bucketId: next, doneKey: afterKey };
      const isDone = await this.#walk(next, afterKey, async ({ doneKey }) => {
        await this.#note({ bucketId: next, doneKey });
        await this.#walkChanged();
      });
      if (!isDone) return await this.#save(this.#state);
      await this.#note({ bucketId: next + 1, doneKey: '' });
    }
    const finishedAtMs = this.#options.clock.nowMs();
    await this.#save({ ...this.#state!, finishedAtMs, lastFinishedAtMs: finishedAtMs });
  }

  #mayGoOn(): boolean {
    return !this.#options.isStopped() && this.#options.isTimeTrusted();
  }

  async #load(): Promise<void> {
    if (this.#isLoaded) return;
    const body = await this.#options.metadataStore.getDocument(ADDRESS);
    if (body !== undefined) this.#state = JSON.parse(body.toString('utf8')) as PassState;
    this.#isLoaded = true;
  }

  /** When the pass that is due fell due; `undefined` while none is. */
  #nextDueAtMs(now: number): number | undefined {
    const dueAtMs = Math.floor(now / this.#periodMs) * this.#periodMs;
    const last = this.#state?.dueAtMs;
    // A clock that was ahead and has been put right must not keep the lifecycle waiting for that time.
    const isAhead = last !== undefined && last > now;
    return last === undefined || dueAtMs > last || isAhead ? dueAtMs : undefined;
  }

  /** @returns whether a pass is under way now */
  async #beginIfDue(): Promise<boolean> {
    const state = this.#state;
    if (state !== undefined && state.finishedAtMs === undefined) return true;
    const now = this.#options.clock.nowMs();
    const dueAtMs = this.#nextDueAtMs(now);
    // Nothing is written while no bucket has rules.
    if (dueAtMs === undefined || (await this.#configuredBuckets()).length === 0) return false;
    this.#problem = undefined;
    const lastFinishedAtMs = state?.finishedAtMs ?? state?.lastFinishedAtMs;
    await this.#save({
      formatVersion: 1,
      dueAtMs,
      startedAtMs: now,
      bucketId: 0,
      doneKey: '',
      ...(lastFinishedAtMs === undefined ? {} : { lastFinishedAtMs }),
    });
    return true;
  }

  /** Ascending. */
  async #configuredBuckets(): Promise<number[]> {
    const documents = await this.#options.metadataStore.listDocuments(CONFIGURATIONS);
    return documents.map(({ id }) => Number(id)).sort((a, b) => a - b);
  }

  async #walkChanged(): Promise<void> {
    for (const bucketId of this.#changedBucketIds) {
      if (!this.#mayGoOn()) return;
      this.#changedBucketIds.delete(bucketId);
      if (!(await this.#walk(bucketId, ''))) this.#changedBucketIds.add(bucketId);
    }
  }

  /** @returns whether it came to the end of the bucket */
  async #walk(bucketId: number, afterKey: string, onStep?: (step: WalkStep) => Promise<void>): Promise<boolean> {
    const { metadataStore, clock, dayMs, pageLimit = PAGE_LIMIT } = this.#options;
    const bucket = await metadataStore.getBucketById(bucketId);
    const configuration = bucket?.configuration.lifecycle;
    if (bucket === undefined || configuration === undefined) return true;
    const walk = new LifecycleWalk({
      metadataStore,
      bucket,
      lifecycle: compileLifecycle(configuration),
      afterKey,
      time: () => ({ nowMs: clock.nowMs(), dayMs }),
      pageLimit,
    });
    let beganAtMs = clock.monotonicMs();
    for await (const step of walk.steps()) {
      this.#counts.lookedAt += step.lookedAtCount;
      const lookedMs = clock.monotonicMs() - beganAtMs;
      const answer = await this.#perform(bucket, step);
      if (answer === 'stop') return false;
      if (answer === 'changed') {
        this.#changedBucketIds.add(bucketId);
        return true;
      }
      await onStep?.(step);
      if (this.#options.requestsInFlight() > 0) await this.#options.pause(YIELD_FACTOR * lookedMs);
      if (!this.#mayGoOn()) return false;
      beganAtMs = clock.monotonicMs();
    }
    return true;
  }

  /** Asks before each batch whether the rules are still those by which it was found. */
  async #perform(bucket: BucketRecord, { tasks }: WalkStep): Promise<'done' | 'stop' | 'changed'> {
    const { clock, actionsPerSecond, movedBytesPerSecond, metadataStore, pause } = this.#options;
    // Moving a page can take hours: what ends is ended before, while what was read of its tags and versions is new.
    const moves = tasks.filter(isMove);
    const ends = tasks.filter((task) => !isMove(task));
    for (const batch of batchesOf([...ends, ...moves])) {
      const now = await metadataStore.getBucketById(bucket.bucketId);
      if (rulesOf(now) !== rulesOf(bucket)) return 'changed';
      if (!this.#mayGoOn()) return 'stop';
      const beganAtMs = clock.monotonicMs();
      const performed = await Promise.all(batch.map((task) => this.#actions.perform(bucket, task)));
      for (const { outcome, problem } of performed) {
        this.#counts[outcome]++;
        this.#problem = problem ?? this.#problem;
      }
      const movedBytes = performed.reduce((sum, each) => sum + each.movedBytes, 0);
      this.#movedBytes += movedBytes;
      const dueSeconds = Math.max(batch.length / actionsPerSecond, movedBytes / movedBytesPerSecond);
      await pause(dueSeconds * 1000 - (clock.monotonicMs() - beganAtMs));
    }
    return 'done';
  }

  /** The place is written down now and then. */
  async #note(place: Pick<PassState, 'bucketId' | 'doneKey'>): Promise<void> {
    this.#state = { ...this.#state!, ...place };
    const now = this.#options.clock.monotonicMs();
    if (now - this.#savedAtMs >= SAVE_EVERY_MS) await this.#save(this.#state);
  }

  async #save(state: PassState): Promise<void> {
    const body = Buffer.from(JSON.stringify(state));
    await this.#options.metadataStore.commit({ type: 'PutDocument', address: ADDRESS, body });
    this.#state = state;
    this.#savedAtMs = this.#options.clock.monotonicMs();
  }
}

/** What a walk depends on. */
function rulesOf(bucket: BucketRecord | undefined): string {
  return JSON.stringify([bucket?.configuration.lifecycle, bucket?.configuration.versioning]);
}

function isMove(task: LifecycleTask): task is VersionTask {
  return 'action' in task && task.action.kind === 'transition';
}

/** Of what shares syncs; of what is moved only so much at once as needs few buffers. */
function* batchesOf(tasks: readonly LifecycleTask[]): Generator<LifecycleTask[]> {
  let batch: LifecycleTask[] = [];
  let bytes = 0;
  for (const task of tasks) {
    const own = isMove(task) ? task.sizeBytes : 0;
    if (batch.length === BATCH || (batch.length > 0 && bytes + own > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(task);
    bytes += own;
  }
  if (batch.length > 0) yield batch;
}

/** Days end at midnight, and so does the time in which something falls due; in a test clock's day it does at any moment. */
export function passPeriodMs(dayMs: number): number {
  return dayMs === CALENDAR_DAY_MS ? dayMs : Math.max(SHORTEST_PERIOD_MS, dayMs / PASSES_A_TEST_DAY);
}
