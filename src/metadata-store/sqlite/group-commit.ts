import { AssertionFailure } from '../../errors/assert.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import type { Journal, JournalPosition } from '../journal/journal.ts';
import type { Mutation } from '../metadata-store.ts';
import { decodeBatch } from '../records/record-codec.ts';
import type { IndexDatabase } from './index-database.ts';
import { replayJournal } from './recover-index.ts';
import { UndecidedScope, type ReadSubject } from './undecided-scope.ts';

export interface GroupCommitOptions {
  journal: Journal;
  clock: Clock;
  log: Log;
  /** A batch ends after so many mutations … */
  maxBatchMutations: number;
  /** … or so many bytes of records. */
  maxBatchBytes: number;
  /** An undecided mutation is answered with `Undecided` when no new epoch could be opened in this time. */
  undecidedAnswerMs: number;
  /** The index failed under a batch: it must be recovered before `resume`. */
  onIndexFailure: (error: unknown) => void;
  /** An assertion failed in the journal under a batch: nothing more is committed, the process has to stop. */
  onBroken: (error: unknown) => void;
  /** After each committed batch. */
  onCommitted: () => void;
  /** Why mutations that make the index grow are refused now; `undefined`: they are not. */
  shortage: () => StoreError | undefined;
}

/** What is refused when space runs out, with new delete markers. Everything else frees space, or is needed to free it. */
const GROWING: ReadonlySet<Mutation['type']> = new Set([
  'CreateBucket',
  'PutObject',
  'CreateMultipartUpload',
  'PutPart',
  'RenameObject',
  'AppendObject',
] as const);

/**
 * What follows the bytes of a body. The stripe has gathered those that came together, and they come here in one run of
 * microtasks: a turn of the event loop, a millisecond under load, would bring no more.
 */
const GATHERED: ReadonlySet<Mutation['type']> = new Set(['PutObject', 'PutPart', 'AppendObject'] as const);

interface Waiting {
  mutation: Mutation;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

/** A mutation with its outcome, told when the batch is acknowledged. */
interface Decided {
  waiting: Waiting;
  answer: () => void;
}

interface UndecidedState {
  scope: UndecidedScope;
  /** Set once an attempt to open a new epoch has failed: from then on nothing waits for the next. */
  failure: StoreError | undefined;
  firstAttempt: Promise<void>;
}

/** A way to open the next epoch that somebody asks for. */
interface RequestedOpening {
  open: () => Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

const REOPEN_BACKOFF_MS = { first: 50, longest: 5000 };

/**
 * The one writer. Mutations that wait form a batch; it is decided and applied in one open transaction, journaled, and
 * committed when the journal has acknowledged it. One batch is in flight. Nobody gets an answer before that, not even a
 * refusal: it may rest on a mutation of the same batch.
 *
 * Invariant: the transaction of an index never commits a batch that the journal has not acknowledged, and a batch that
 * the journal has acknowledged is in the index before the next begins.
 */
export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #index: IndexDatabase | undefined;
  #queue: Waiting[] = [];
  #isScheduled = false;
  #inFlight: Promise<void> | undefined;
  #isHeld = false;
  #undecided: UndecidedState | undefined;
  #requested: RequestedOpening | undefined;
  #closed: StoreError | undefined = new StoreError('NotReady', 'the metadata store has not started');
  #cancelWait: (() => void) | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** From here on batches run against this index. */
  resume(index: IndexDatabase): void {
    this.#index = index;
    this.#closed = undefined;
    this.#schedule();
  }

  /** Refuses what waits and what comes with `reason`; resolves when the batch in flight is answered. */
  async close(reason: StoreError): Promise<void> {
    this.#closed = reason;
    this.#refuseQueue(reason);
    this.#cancelWait?.();
    await this.#inFlight;
    this.#requested?.reject(reason);
    this.#requested = undefined;
    this.#index = undefined;
  }

  /** As `close`, for an index that failed: the batch in flight is not committed into it either. */
  abandon(reason: StoreError): Promise<void> {
    this.#index = undefined;
    return this.close(reason);
  }

  commit(mutation: Mutation): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const shortage = GROWING.has(mutation.type) ? this.#options.shortage() : undefined;
      const refusal = this.#closed ?? this.#undecided?.failure ?? shortage;
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      this.#queue.push({ mutation, resolve, reject });
      this.#schedule();
    });
  }

  /** No batch begins until the returned function is called; resolves when none is in flight. */
  async hold(): Promise<() => void> {
    this.#isHeld = true;
    await this.#inFlight;
    return () => {
      this.#isHeld = false;
      this.#schedule();
    };
  }

  /**
   * Opens a new epoch of the journal by `open`: between two batches, or in place of the next attempt while something is
   * undecided. When `open` fails the journal is as it was, or the usual attempts go on.
   * @throws StoreError NotReady: one is asked for already, or the store closes | what `open` throws
   */
  openEpoch(open: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#closed ?? (this.#requested && new StoreError('NotReady', 'an epoch is being opened'));
      if (refusal !== undefined) return reject(refusal);
      this.#requested = { open, resolve, reject };
      this.#cancelWait?.();
      this.#schedule();
    });
  }

  get isUndecided(): boolean {
    return this.#undecided !== undefined;
  }

  /** Resolves when something may be said about the subject. @throws StoreError QuorumLost | Undecided */
  async whenDecided(subject: ReadSubject): Promise<void> {
    const undecided = this.#undecided;
    if (undecided === undefined || !undecided.scope.touches(subject)) return;
    if (undecided.failure === undefined) await undecided.firstAttempt;
    if (this.#undecided?.scope.touches(subject)) {
      throw new StoreError('Undecided', 'the last write to this is undecided until more disks are back');
    }
  }

  /**
   * A start that met enough disks to read but could not open an epoch: reads go on, and whatever touches the frames
   * that may yet be adopted waits for `reopen`, tried here until it succeeds.
   */
  async beginUndecided(index: IndexDatabase): Promise<void> {
    const scope = new UndecidedScope();
    for await (const { payload } of this.#options.journal.pendingFrames()) {
      scope.add(decodeBatch(payload).records, index.queries);
    }
    this.resume(index);
    const failure = new StoreError('QuorumLost', 'too few usable disks to write', {
      hint: 'Reads go on. Bring disks back until m + 1 are usable.',
    });
    this.#undecided = { scope, failure, firstAttempt: Promise.resolve() };
    this.#inFlight = this.#settle(undefined).finally(() => this.#finish());
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isHeld || this.#inFlight !== undefined) return;
    if (this.#requested !== undefined) {
      this.#undecided = { scope: new UndecidedScope(), failure: undefined, firstAttempt: Promise.resolve() };
      this.#inFlight = this.#settle(undefined).finally(() => this.#finish());
      return;
    }
    if (this.#queue.length === 0) return;
    this.#isScheduled = true;
    const begin = (): void => {
      this.#isScheduled = false;
      if (this.#isHeld || this.#inFlight !== undefined || this.#queue.length === 0) return;
      const index = this.#index;
      if (index === undefined) return;
      this.#inFlight = this.#runBatch(index).finally(() => this.#finish());
    };
    if (GATHERED.has(this.#queue[0]!.mutation.type)) process.nextTick(begin);
    // What arrives in the same turn of the event loop goes into the same batch.
    else setImmediate(begin);
  }

  #finish(): void {
    this.#inFlight = undefined;
    this.#schedule();
  }

  async #runBatch(index: IndexDatabase): Promise<void> {
    const decided: Decided[] = [];
    let payload: Buffer;
    const batchNumber = index.applied.batchNumber + 1;
    try {
      index.begin();
      this.#decideBatch(index, decided);
      if (index.batch.recordCount === 0) {
        index.commit(undefined);
        for (const { answer } of decided) answer();
        return;
      }
      index.finishBatch();
      payload = index.batch.toBuffer(batchNumber);
    } catch (error) {
      return this.#failIndex(index, decided, error);
    }
    let position: JournalPosition;
    try {
      position = await this.#options.journal.append(payload);
    } catch (error) {
      return this.#appendFailed(index, decided, payload, error);
    }
    if (this.#index !== index) {
      const reason = this.#closed ?? new StoreError('IndexFailed', 'the index failed during the commit');
      return this.#giveUp(index, decided, reason);
    }
    try {
      index.commit({ batchNumber, position });
    } catch (error) {
      return this.#failIndex(index, decided, error);
    }
    for (const { answer } of decided) answer();
    this.#options.onCommitted();
  }

  #decideBatch(index: IndexDatabase, decided: Decided[]): void {
    const { maxBatchMutations, maxBatchBytes } = this.#options;
    const queue = this.#queue;
    let taken = 0;
    try {
      while (taken < queue.length && taken < maxBatchMutations && index.batch.lengthBytes < maxBatchBytes) {
        const waiting = queue[taken++]!;
        decided.push({ waiting, answer: this.#decide(index, waiting) });
      }
    } catch (error) {
      // The mutation at which it happened is part of the batch that fails.
      decided.push({ waiting: queue[taken - 1]!, answer: () => {} });
      throw error;
    } finally {
      queue.splice(0, taken);
    }
  }

  #decide(index: IndexDatabase, waiting: Waiting): () => void {
    try {
      const result = index.decide(waiting.mutation, this.#options.shortage());
      return () => waiting.resolve(result);
    } catch (error) {
      const isRefusal = error instanceof S3Error || error instanceof StoreError || error instanceof AssertionFailure;
      if (!isRefusal) throw error;
      return () => waiting.reject(error);
    }
  }

  async #appendFailed(index: IndexDatabase, decided: Decided[], payload: Buffer, error: unknown): Promise<void> {
    if (isStoreError(error, 'QuorumLost') && this.#options.journal.isWritable) {
      return this.#giveUp(index, decided, error);
    }
    if (!isStoreError(error)) {
      this.#giveUp(index, decided, this.#break(error));
      return;
    }
    this.#options.log.warn({ error, mutations: decided.length }, 'a batch is undecided');
    const scope = new UndecidedScope();
    let endFirstAttempt = (): void => {};
    const firstAttempt = new Promise<void>((resolve) => {
      endFirstAttempt = resolve;
    });
    this.#undecided = { scope, failure: undefined, firstAttempt };
    try {
      index.rollback();
      scope.add(decodeBatch(payload).records, index.queries);
    } catch (cause) {
      endFirstAttempt();
      this.#undecided = undefined;
      return this.#failIndex(index, decided, cause);
    }
    await this.#settle({ index, decided, payload }, endFirstAttempt);
  }

  /** Opens a new epoch, however long it takes, and then tells the truth about the batch. */
  async #settle(
    batch: { index: IndexDatabase; decided: Decided[]; payload: Buffer } | undefined,
    endFirstAttempt: () => void = () => {},
  ): Promise<void> {
    const { journal, clock, undecidedAnswerMs } = this.#options;
    let told = false;
    const cancelAnswer = clock.schedule(undecidedAnswerMs, () => {
      told = true;
      const error = new StoreError('Undecided', 'synced on too few disks; a later epoch decides whether it counts');
      for (const { waiting } of batch?.decided ?? []) waiting.reject(error);
    });
    const isReopened = await this.#reopen(endFirstAttempt);
    cancelAnswer();
    const index = this.#index;
    if (!isReopened || index === undefined) {
      this.#undecided = undefined;
      endFirstAttempt();
      this.#refuse(batch?.decided ?? [], this.#closed ?? new StoreError('NotReady', 'the metadata store stops'));
      return;
    }
    let isAdopted = false;
    try {
      await replayJournal(index, journal, {
        onPayload: (payload) => {
          if (batch?.payload.equals(payload)) isAdopted = true;
        },
      });
    } catch (error) {
      this.#undecided = undefined;
      endFirstAttempt();
      return this.#failIndex(index, batch?.decided ?? [], error);
    }
    this.#undecided = undefined;
    endFirstAttempt();
    this.#options.log.info({ epoch: journal.epoch, isAdopted }, 'a new epoch is open');
    if (batch === undefined || told) return;
    if (isAdopted) for (const { answer } of batch.decided) answer();
    // Void for ever: decided afresh, in the new epoch, against what holds now.
    else this.#queue.unshift(...batch.decided.map(({ waiting }) => waiting));
  }

  /** False: closed meanwhile. */
  async #reopen(endFirstAttempt: () => void): Promise<boolean> {
    const { journal, log, clock } = this.#options;
    let waitMs = REOPEN_BACKOFF_MS.first;
    for (;;) {
      const requested = this.#requested;
      this.#requested = undefined;
      if (this.#closed !== undefined) {
        requested?.reject(this.#closed);
        return false;
      }
      try {
        await (requested === undefined ? journal.reopen() : requested.open());
        requested?.resolve();
        return true;
      } catch (error) {
        requested?.reject(error);
        if (journal.isWritable) return true;
        if (!isStoreError(error)) {
          this.#break(error);
          return false;
        }
        log.warn({ error, waitMs }, 'no new epoch can be opened yet');
        if (this.#undecided !== undefined) this.#undecided.failure = error;
        endFirstAttempt();
        this.#refuseQueue(error);
      }
      await new Promise<void>((resolve) => {
        const cancel = clock.schedule(waitMs, resolve);
        this.#cancelWait = () => {
          cancel();
          resolve();
        };
      });
      this.#cancelWait = undefined;
      waitMs = Math.min(waitMs * 2, REOPEN_BACKOFF_MS.longest);
    }
  }

  /** What the journal threw is our bug: what it holds now is for the next start to find out. */
  #break(error: unknown): StoreError {
    const reason = new StoreError('NotReady', 'the journal failed in a way that it must not', { cause: error });
    this.#closed = reason;
    this.#refuseQueue(reason);
    this.#options.onBroken(error);
    return reason;
  }

  /** Nothing of the batch counts: the index takes it back. */
  #giveUp(index: IndexDatabase, decided: readonly Decided[], reason: unknown): void {
    try {
      index.rollback();
    } catch (error) {
      return this.#failIndex(index, decided, error);
    }
    this.#refuse(decided, reason);
  }

  #failIndex(index: IndexDatabase, decided: readonly Decided[], error: unknown): void {
    try {
      index.rollback();
    } catch (cause) {
      this.#options.log.warn({ error: cause }, 'a batch could not be rolled back in a failed index');
    }
    this.#index = undefined;
    const reason = new StoreError('IndexFailed', 'the index failed during the commit', { cause: error });
    this.#closed = reason;
    this.#refuse(decided, reason);
    this.#refuseQueue(reason);
    this.#options.onIndexFailure(error);
  }

  #refuse(decided: readonly Decided[], reason: unknown): void {
    for (const { waiting } of decided) waiting.reject(reason);
  }

  #refuseQueue(reason: StoreError): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const { reject } of queue) reject(reason);
  }
}
