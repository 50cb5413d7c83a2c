import { rmSync } from 'node:fs';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { BlobRecord, VolumeRecord } from '../../model/blob.ts';
import type { Clock, Randomness, TrustedTime } from '../../model/clock.ts';
import { NEWEST_STORE_FORMAT } from '../../model/store-format.ts';
import type { BucketRecord, ListedBucket, ObjectRecord, PartRecord, UploadRecord } from '../../model/object-record.ts';
import type { Log } from '../../observability/log.ts';
import type { Journal } from '../journal/journal.ts';
import type {
  BucketUsage,
  DamagedFile,
  DamageRecord,
  DocumentAddress,
  ListObjectsPage,
  ListObjectsQuery,
  ListUploadsPage,
  ListUploadsQuery,
  ListVersionsPage,
  ListVersionsQuery,
  MetadataStatus,
  MetadataStore,
  Mutation,
  MutationResult,
  RecoveryProgress,
  VolumeChanges,
} from '../metadata-store.ts';
import { GroupCommit } from './group-commit.ts';
import { IdentifierSource } from './identifier-source.ts';
import { isSqliteError, RecordNotApplied, type IndexDatabase } from './index-database.ts';
import { IndexInspection } from './index-inspection.ts';
import { IndexMaintenance, snapshotPath } from './index-maintenance.ts';
import { MaintenanceThread } from './maintenance-thread.ts';
import { recoverIndex, type RecoverIndexOptions } from './recover-index.ts';
import { StateReserve } from './state-reserve.ts';
import type { ReadSubject } from './undecided-scope.ts';

export interface SqliteMetadataStoreOptions {
  /** Started and stopped by the store. */
  journal: Journal;
  /** The index file, in the state directory, which exists. SQLite keeps its WAL beside it, snapshots are made there. */
  indexPath: string;
  /** Of `indexPath`, when it is to outlive this store: stopped by whoever made it. */
  inspection?: IndexInspection;
  clock: Clock;
  /** Of version ids. */
  randomness: Pick<Randomness, 'bytes'>;
  /** For locks. Default: the clock is believed. */
  trustedTime?: TrustedTime;
  log: Log;
  /** Default 256 MiB. */
  checkpointMinimumBytes?: number;
  /** Default 8 MiB. */
  walLimitBytes?: number;
  /** Default 256. */
  maxBatchMutations?: number;
  /** Default 1 MiB. */
  maxBatchBytes?: number;
  /** Space in the state directory kept for deletes when it runs full. Default 0: none. */
  reserveBytes?: number;
  /** How long a mutation waits for an undecided batch to be decided. Default 10 s. */
  undecidedAnswerMs?: number;
  /** An assertion failed in the journal under a commit. Default: the process stops on it. */
  onBroken?: (error: unknown) => void;
}

type State = 'new' | 'starting' | 'ready' | 'rebuilding' | 'stopping' | 'stopped';

/**
 * Moving the WAL into the index syncs all of it at once, and the writes of requests wait on the same device: with 48 MiB that
 * was 40 ms every two seconds, and the 99th percentile of small uploads with it.
 */
const WAL_LIMIT_BYTES = 8 * 1024 * 1024;
const REBUILD_BACKOFF_MS = { first: 100, longest: 10_000 };

/**
 * The embedded engine: SQLite as an index over the journal, which is the truth (design §5). Reads come from a
 * connection that sees acknowledged state only; mutations go through `GroupCommit`.
 *
 * When SQLite fails, fills up or its files vanish at run time, every call gets StoreError IndexFailed while the index
 * is rebuilt from checkpoint and journal in the background. A crash at any point leaves an index that the next start
 * judges by its position and rolls forward or rebuilds.
 */
export class SqliteMetadataStore implements MetadataStore {
  readonly #options: SqliteMetadataStoreOptions;
  readonly #identifiers: IdentifierSource;
  readonly #commits: GroupCommit;
  readonly #reserve: StateReserve;
  readonly #inspection: IndexInspection;
  #state: State = 'new';
  #index: IndexDatabase | undefined;
  #thread: MaintenanceThread | undefined;
  #maintenance: IndexMaintenance | undefined;
  #rebuild: Promise<void> | undefined;
  #raising: Promise<void> | undefined;
  #wakeRebuild: () => void = () => {};

  constructor(options: SqliteMetadataStoreOptions) {
    this.#options = options;
    const { journal, clock, log } = options;
    this.#identifiers = new IdentifierSource(journal);
    this.#inspection = options.inspection ?? new IndexInspection(options.indexPath);
    this.#reserve = new StateReserve({
      path: `${options.indexPath}.reserve`,
      sizeBytes: options.reserveBytes ?? 0,
      clock,
      log,
    });
    this.#commits = new GroupCommit({
      journal,
      clock,
      log,
      maxBatchMutations: options.maxBatchMutations ?? 256,
      maxBatchBytes: options.maxBatchBytes ?? 1024 * 1024,
      undecidedAnswerMs: options.undecidedAnswerMs ?? 10_000,
      onIndexFailure: (error) => this.#indexFailed(error, false),
      onBroken: (error) => {
        log.error({ error }, 'the journal failed in a way that it must not; the process stops');
        (options.onBroken ?? stopProcess)(error);
      },
      onCommitted: () => {
        this.#maintenance?.onCommitted();
        this.#endRaisingFormat();
      },
      shortage: () => this.#reserve.shortage,
    });
  }

  async start(progress: (progress: RecoveryProgress) => void): Promise<void> {
    this.#state = 'starting';
    const { journal } = this.#options;
    progress({ phase: 'reading-journals', fraction: 0 });
    const existing = this.#inspection.begin();
    await journal.start((fraction) => progress({ phase: 'reading-journals', fraction }));
    await this.#openIndex({ existing, isClosedHere: false }, progress);
    this.#state = 'ready';
    this.#reserve.start();
    // A new store, or one whose finalization did not come to its end.
    this.#endRaisingFormat();
    await this.#raising;
    progress({ phase: 'ready', fraction: 1 });
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopping';
    this.#wakeRebuild();
    await this.#commits.close(new StoreError('NotReady', 'the metadata store is stopping'));
    await this.#rebuild;
    await this.#reserve.stop();
    if (this.#options.inspection === undefined) await this.#inspection.stop();
    await this.#closeIndex({ isWhole: true });
    await this.#options.journal.stop();
    this.#state = 'stopped';
  }

  commit<M extends Mutation>(mutation: M): Promise<MutationResult<M>> {
    return this.#commits.commit(mutation) as Promise<MutationResult<M>>;
  }

  formatVersion(): number {
    if (this.#index === undefined) throw this.#whyNotReady();
    return this.#index.formatVersion;
  }

  async finalizeUpgrade(): Promise<void> {
    await this.#raiseFormat(NEWEST_STORE_FORMAT);
  }

  async #raiseFormat(formatVersion: number): Promise<void> {
    if (this.formatVersion() >= formatVersion) return;
    await this.#options.journal.promiseFormat(formatVersion);
    await this.commit({ type: 'RaiseFormat', formatVersion });
    this.#options.log.info({ formatVersion }, 'the on-disk format was raised; former versions refuse this store now');
  }

  /** Goes on where a start, a crash or a failure left it; tried again after the next commit when it fails. */
  #endRaisingFormat(): void {
    const { journal, log } = this.#options;
    const { promisedFormat } = journal;
    if (this.#raising !== undefined || !journal.isWritable) return;
    if ((this.#index?.formatVersion ?? promisedFormat) >= promisedFormat) return;
    this.#raising = this.#raiseFormat(promisedFormat)
      .catch((error: unknown) => {
        if (!isStoreError(error)) throw error;
        log.warn({ error }, 'the on-disk format could not be raised yet');
      })
      .finally(() => (this.#raising = undefined));
  }

  /** See `GroupCommit.openEpoch`: how a change of the journal gets its turn between the commits. */
  openEpoch(open: () => Promise<void>): Promise<void> {
    return this.#commits.openEpoch(open);
  }

  getBucket(name: string): Promise<BucketRecord | undefined> {
    return this.#read({ kind: 'bucket', name }, (index) => index.queries.bucket(name));
  }

  async getBucketById(bucketId: number): Promise<BucketRecord | undefined> {
    const name = await this.#read({ kind: 'buckets' }, (index) => index.queries.bucketName(bucketId));
    const bucket = name === undefined ? undefined : await this.getBucket(name);
    // Made again under its name in between: another one.
    return bucket?.bucketId === bucketId ? bucket : undefined;
  }

  listBuckets(query: {
    accountId: string;
    prefix: string;
    startAfter: string;
    limit: number;
  }): Promise<ListedBucket[]> {
    return this.#read({ kind: 'buckets' }, (index) => index.queries.buckets(query));
  }

  /** Zeros for a bucket that is not there. */
  bucketUsage(bucketId: number): Promise<BucketUsage> {
    return this.#read({ kind: 'bucket-listing', bucketId }, (index) => {
      return index.queries.usage(bucketId) ?? { objectCount: 0, sizeBytes: 0, versionCount: 0, versionSizeBytes: 0 };
    });
  }

  getObject(query: { bucketId: number; key: string; versionId?: string }): Promise<ObjectRecord | undefined> {
    const { bucketId, key } = query;
    return this.#read({ kind: 'object', bucketId, key }, (index) => index.queries.object(query));
  }

  listObjects(query: ListObjectsQuery): Promise<ListObjectsPage> {
    return this.#read({ kind: 'bucket-listing', bucketId: query.bucketId }, (index) => index.objects.list(query));
  }

  listVersions(query: ListVersionsQuery): Promise<ListVersionsPage> {
    return this.#read({ kind: 'bucket-listing', bucketId: query.bucketId }, (index) => index.versions.list(query));
  }

  getUpload(query: { bucketId: number; key: string; uploadId: string }): Promise<UploadRecord | undefined> {
    return this.#read({ kind: 'uploads' }, (index) => index.uploads.get(query));
  }

  listUploads(query: ListUploadsQuery): Promise<ListUploadsPage> {
    return this.#read({ kind: 'uploads' }, (index) => index.uploads.list(query));
  }

  listParts(query: { uploadId: string; afterPartNumber: number; limit: number }): Promise<PartRecord[]> {
    return this.#read({ kind: 'uploads' }, (index) => index.uploads.listParts(query));
  }

  getDocument(address: DocumentAddress): Promise<Buffer | undefined> {
    return this.#read({ kind: 'document', ...address }, (index) => index.queries.document(address));
  }

  listDocuments(collection: string): Promise<{ id: string; body: Buffer }[]> {
    return this.#read({ kind: 'documents', collection }, (index) => index.queries.documents(collection));
  }

  epoch(): number {
    return this.#options.journal.epoch;
  }

  nextIdentifier(): number {
    return this.#identifiers.next();
  }

  listVolumes(): Promise<readonly VolumeRecord[]> {
    return this.#read(undefined, (index) => index.volumes.all());
  }

  volumeChanges(sinceVersion: number | undefined): Promise<VolumeChanges> {
    return this.#read(undefined, (index) => index.volumes.changesSince(sinceVersion));
  }

  listBlobsInVolume(query: { volumeId: number; afterBlobId: number; limit: number }): Promise<BlobRecord[]> {
    return this.#read(undefined, (index) => index.queries.blobsInVolume(query));
  }

  listDamagedFiles(): Promise<DamagedFile[]> {
    return this.#read(undefined, (index) => index.queries.damagedFiles());
  }

  listDamage(query: { volumeId: number; limit: number }): Promise<DamageRecord[]> {
    return this.#read(undefined, (index) => index.queries.damage(query));
  }

  scrubJournal(): Promise<void> {
    return this.#options.journal.scrub();
  }

  /** Answers also while something is undecided. */
  status(): Promise<MetadataStatus> {
    const { journal } = this.#options;
    return this.#read(undefined, (index) => ({
      epoch: journal.epoch,
      sequence: journal.acknowledged.sequence,
      disks: journal.status(),
      checkpoints: journal.checkpoints().map(({ position, holderDiskIds, sizeBytes, createdAtMs }) => ({
        epoch: position.epoch,
        sequence: position.sequence,
        holders: [...holderDiskIds],
        sizeBytes,
        createdAtMs,
      })),
      indexBytes: index.sizeBytes(),
      formatVersion: index.formatVersion,
      ...index.queries.counts(),
    }));
  }

  async #read<Result>(subject: ReadSubject | undefined, read: (index: IndexDatabase) => Result): Promise<Result> {
    if (subject !== undefined && this.#commits.isUndecided) await this.#commits.whenDecided(subject);
    const index = this.#index;
    if (index === undefined) throw this.#whyNotReady();
    try {
      return read(index);
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      this.#indexFailed(error, false);
      throw new StoreError('IndexFailed', 'the index failed; it is rebuilt', { cause: error });
    }
  }

  #whyNotReady(): StoreError {
    if (this.#state === 'rebuilding') return new StoreError('IndexFailed', 'the index failed; it is rebuilt');
    return new StoreError('NotReady', `the metadata store is ${this.#state}`);
  }

  async #openIndex(
    base: Pick<RecoverIndexOptions, 'existing' | 'isClosedHere'>,
    progress: (progress: RecoveryProgress) => void,
  ): Promise<void> {
    const { journal, indexPath, clock, randomness, log } = this.#options;
    rmSync(snapshotPath(indexPath), { force: true });
    const thread = (this.#thread = new MaintenanceThread());
    await base.existing?.catch(() => {});
    this.#inspection.end();
    const index = await recoverIndex({
      ...base,
      journal,
      path: indexPath,
      clock,
      randomness,
      trustedTime: this.#options.trustedTime ?? { trustedNowMs: () => clock.nowMs(), latestNowMs: () => clock.nowMs() },
      log,
      nextIdentifier: () => this.#identifiers.next(),
      progress,
    });
    this.#index = index;
    this.#maintenance = new IndexMaintenance({
      journal,
      clock,
      log,
      thread,
      index,
      checkpointMinimumBytes: this.#options.checkpointMinimumBytes ?? 256 * 1024 * 1024,
      walLimitBytes: this.#options.walLimitBytes ?? WAL_LIMIT_BYTES,
      shortWalLimitBytes: (this.#options.reserveBytes ?? 0) / 8,
      isShort: () => this.#reserve.shortage !== undefined,
      holdCommits: () => this.#commits.hold(),
      onReplaced: (reason) => this.#indexFailed(new Error(reason), true),
    });
    if (journal.isWritable) this.#commits.resume(index);
    else await this.#commits.beginUndecided(index);
  }

  async #closeIndex({ isWhole }: { isWhole: boolean }): Promise<void> {
    const index = this.#index;
    this.#index = undefined;
    // The thread first: nothing may still hold the files when the last connection closes.
    await this.#thread?.stop();
    await this.#maintenance?.stop();
    this.#thread = undefined;
    this.#maintenance = undefined;
    if (isWhole) index?.close();
    else index?.abandon();
  }

  /** `isFileGone`: what lies under the path now is not what was open, and may be anything. */
  #indexFailed(error: unknown, isFileGone: boolean): void {
    if (this.#state !== 'ready') return;
    this.#state = 'rebuilding';
    this.#options.log.error({ error }, 'the index failed; it is rebuilt from checkpoint and journal');
    if (codeOf(error) === 'SQLITE_FULL') this.#reserve.release();
    this.#rebuild = this.#rebuildIndex({ mayTrustExisting: !isFileGone && !isCorruption(error) }).finally(() => {
      this.#rebuild = undefined;
    });
  }

  /**
   * An index that is lost while a frame is undecided ends the commits' own attempts; without an epoch no frame may be
   * readable, and then there is nothing to rebuild from.
   */
  async #reopenJournal(): Promise<void> {
    const { journal, log } = this.#options;
    if (journal.isWritable) return;
    try {
      await journal.reopen();
    } catch (error) {
      if (!isStoreError(error)) throw error;
      log.warn({ error }, 'no new epoch can be opened yet');
    }
  }

  async #rebuildIndex({ mayTrustExisting }: { mayTrustExisting: boolean }): Promise<void> {
    const { log, clock } = this.#options;
    await this.#commits.abandon(new StoreError('IndexFailed', 'the index failed; it is rebuilt'));
    let waitMs = REBUILD_BACKOFF_MS.first;
    while (this.#state === 'rebuilding') {
      try {
        await this.#closeIndex({ isWhole: false });
        await this.#reopenJournal();
        const existing = mayTrustExisting ? this.#inspection.begin() : undefined;
        await this.#openIndex({ existing, isClosedHere: true }, (step) => log.debug(step, 'rebuilding the index'));
        if (this.#state === 'rebuilding') this.#state = 'ready';
        return;
      } catch (error) {
        log.error({ error, waitMs }, 'the index could not be rebuilt; it is tried again');
      }
      await new Promise<void>((resolve) => {
        const cancel = clock.schedule(waitMs, resolve);
        this.#wakeRebuild = () => {
          cancel();
          resolve();
        };
      });
      waitMs = Math.min(waitMs * 2, REBUILD_BACKOFF_MS.longest);
    }
  }
}

/** Outside of every promise, so that nobody can catch it. */
function stopProcess(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

function isCorruption(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
}

/** The code of SQLite, also of one that a failed record carries. */
function codeOf(error: unknown): string {
  const cause = error instanceof RecordNotApplied ? error.cause : error;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : '';
}
