import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { Clock, Randomness, TrustedTime } from '../../model/clock.ts';
import type { JournalPosition } from '../journal/journal.ts';
import type { Mutation } from '../metadata-store.ts';
import { bucketOfDocument } from '../records/bucket-configuration-codec.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import { BatchEncoder } from '../records/record-codec.ts';
import { RecordApplier } from './apply-record.ts';
import { MutationDecider } from './decide-mutation.ts';
import { IndexQueries } from './index-queries.ts';
import { KnownRows } from './known-rows.ts';
import { ObjectLister } from './list-objects.ts';
import { VersionLister } from './list-versions.ts';
import { OwnerTable } from './owner-table.ts';
import { prepareSchema } from './prepare-schema.ts';
import { UploadQueries } from './upload-queries.ts';
import { VolumeCatalog } from './volume-catalog.ts';

/** Where the index stands: the last batch applied and the frame that carried it. */
export interface AppliedPosition {
  /** 0: nothing was ever applied. */
  batchNumber: number;
  position: JournalPosition | undefined;
}

export interface IndexDatabaseOptions {
  path: string;
  clock: Clock;
  randomness: Pick<Randomness, 'bytes'>;
  trustedTime: TrustedTime;
  nextIdentifier: () => number;
  /**
   * `serving`: WAL, a writer and a reader. `building`: a file that nobody believes until it is finished, synced and
   * renamed: no journal, no syncs, much cache, one transaction to the end.
   */
  mode: IndexMode;
}

export type IndexMode = 'serving' | 'building';

/** A record that was decided but could not be applied: the transaction is worth nothing any more. */
export class RecordNotApplied extends Error {
  override name = 'RecordNotApplied';
}

/** The file is not an index of this format, or contradicts the journal: it is rebuilt. */
export class IndexUnusable extends Error {
  override name = 'IndexUnusable';
}

/** SQLite before 3.51.3 can corrupt a database in WAL mode. */
const OLDEST_SQLITE = [3, 51, 3] as const;

/**
 * The open index: a writer, whose transaction spans one batch, and a read-only connection that sees what is committed,
 * which is what is acknowledged. Everything here is synchronous; one batch at a time is the caller's promise.
 *
 * A crash leaves the last committed batches or earlier ones (WAL, `synchronous=NORMAL`): the journal replays the rest.
 */
export class IndexDatabase {
  readonly path: string;
  readonly queries: IndexQueries;
  readonly objects: ObjectLister;
  readonly versions: VersionLister;
  readonly uploads: UploadQueries;
  readonly volumes: VolumeCatalog;
  /** The records of the open transaction. */
  readonly batch = new BatchEncoder();
  readonly #writer: Database.Database;
  readonly #reader: Database.Database;
  readonly #applier: RecordApplier;
  readonly #decider: MutationDecider;
  readonly #sql;
  /** As they were opened. */
  readonly file: FileIdentity;
  readonly #files: readonly FileIdentity[];
  #applied: AppliedPosition;
  #changesBuckets = false;
  #formatVersion: number;

  /**
   * Opens the index, or makes an empty one; in `serving` mode it counts as open from here until `close`.
   * @throws IndexUnusable | SqliteError
   */
  constructor({ path, clock, randomness, trustedTime, nextIdentifier, mode }: IndexDatabaseOptions) {
    this.path = path;
    this.#writer = openConnection(path, mode === 'serving' ? 'read-write' : 'building');
    try {
      prepareSchema(this.#writer);
      const { formatVersion, ...applied } = readApplied(this.#writer);
      this.#applied = applied;
      this.#formatVersion = formatVersion;
      this.#writer.exec('UPDATE applied SET is_closed = 0');
      this.#reader = mode === 'serving' ? openConnection(path, 'read-only') : this.#writer;
    } catch (error) {
      this.#writer.close();
      throw error;
    }
    const owners = new OwnerTable(this.#writer);
    const known = new KnownRows(this.#writer);
    this.#applier = new RecordApplier(this.#writer, owners, known);
    this.#decider = new MutationDecider({
      db: this.#writer,
      owners,
      known,
      clock,
      randomness,
      trustedTime,
      nextIdentifier,
      formatVersion: () => this.#formatVersion,
      emit: (record) => this.#emit(record),
    });
    this.queries = new IndexQueries(this.#reader, owners);
    this.objects = new ObjectLister(this.#reader, owners);
    this.versions = new VersionLister(this.#reader, owners);
    this.uploads = new UploadQueries(this.#reader, owners, (blobIds) => this.queries.blobs(blobIds));
    this.volumes = new VolumeCatalog(this.queries, () => this.#applied.batchNumber);
    this.#sql = {
      begin: this.#writer.prepare('BEGIN IMMEDIATE'),
      commit: this.#writer.prepare('COMMIT'),
      rollback: this.#writer.prepare('ROLLBACK'),
      beginRead: this.#reader.prepare('BEGIN'),
      endRead: this.#reader.prepare('COMMIT'),
      setApplied: this.#writer.prepare<[number, number, number, Buffer]>(
        'UPDATE applied SET batch_number = ?, epoch = ?, sequence = ?, hash = ? WHERE id = 1',
      ),
      formatVersion: this.#writer.prepare<[], number>('SELECT format_version FROM applied WHERE id = 1').pluck(),
      walFrames: this.#writer.prepare<[], [number, number, number]>('PRAGMA wal_checkpoint(NOOP)').raw(),
    };
    this.file = identify(path);
    this.#files = mode === 'serving' ? [this.file, identify(`${path}-wal`)] : [this.file];
    this.refreshReader();
  }

  get applied(): AppliedPosition {
    return this.#applied;
  }

  /** Active on-disk format of the store, as the committed batches left it. */
  get formatVersion(): number {
    return this.#formatVersion;
  }

  begin(): void {
    this.batch.clear(this.#formatVersion);
    this.#sql.begin.run();
  }

  /**
   * Evaluates a mutation and applies its records. @throws S3Error | StoreError BlobGone | AssertionFailure: this
   * mutation alone is refused; SqliteError | RecordNotApplied: the transaction must be rolled back.
   */
  decide(mutation: Mutation, shortage?: StoreError): unknown {
    return this.#decider.decide(mutation, shortage);
  }

  applyDecided(records: readonly JournalRecord[]): void {
    for (const record of records) {
      this.#noteBuckets(record);
      this.#applier.apply(record);
    }
  }

  /** The reader's view keeps the buckets of before until the transaction is committed. */
  #noteBuckets(record: JournalRecord): void {
    if (!changesBucket(record)) return;
    this.#changesBuckets = true;
    if (this.#reader === this.#writer) this.queries.forgetBuckets();
  }

  /** Writes the sums; after it nothing but `commit` or `rollback`. */
  finishBatch(): void {
    this.#applier.flush();
  }

  /** Makes the transaction visible. With `applied`, the position of its batch goes with it. */
  commit(applied: { batchNumber: number; position: JournalPosition } | undefined): void {
    if (applied !== undefined) {
      const { batchNumber, position } = applied;
      this.#sql.setApplied.run(batchNumber, position.epoch, position.sequence, position.hash);
    }
    this.#sql.commit.run();
    if (applied !== undefined) {
      this.#applied = applied;
      this.#formatVersion = this.#sql.formatVersion.get() ?? 1;
    }
    this.refreshReader();
    if (this.#changesBuckets) this.queries.forgetBuckets();
    this.#changesBuckets = false;
    this.volumes.noteCommitted(this.#applier.touchedVolumeIds);
    this.#applier.touchedVolumeIds.clear();
  }

  /**
   * The reader keeps its view between commits: opening one for each statement costs as much as a small read. A view of a
   * WAL that was moved into the file must be given up before SQLite can start the WAL again.
   */
  refreshReader(): void {
    if (this.#reader === this.#writer) return;
    if (this.#reader.inTransaction) this.#sql.endRead.run();
    this.#sql.beginRead.run();
  }

  rollback(): void {
    if (this.#writer.inTransaction) this.#sql.rollback.run();
    this.#applier.discard();
  }

  /** During replay SQLite moves its WAL into the file by itself; at run time the worker does. */
  setAutomaticCheckpoint(walPages: number): void {
    this.#writer.pragma(`wal_autocheckpoint = ${walPages}`);
  }

  /** Pages that the WAL holds now, moved into the file or not. Outside a transaction only. */
  walPages(): number {
    return Math.max(0, this.#sql.walFrames.get()?.[1] ?? 0);
  }

  sizeBytes(): number {
    return identify(this.path).sizeBytes;
  }

  /** Why the files under this path are no longer those that were opened; `undefined` while they are. */
  whyReplaced(): string | undefined {
    for (const opened of this.#files) {
      const name = opened.path;
      let now: FileIdentity;
      try {
        now = identify(name);
      } catch (error) {
        return `${name} is gone: ${String(error)}`;
      }
      if (now.device !== opened.device || now.inode !== opened.inode) return `${name} is another file now`;
      if (name === this.path && now.sizeBytes < opened.sizeBytes) return `${name} was truncated`;
      opened.sizeBytes = now.sizeBytes;
    }
    return undefined;
  }

  /** Whole and at rest: the last connection to close moves the WAL into the file. */
  close(): void {
    if (this.#reader !== this.#writer) this.#reader.close();
    this.#writer.exec('UPDATE applied SET is_closed = 1');
    this.#writer.close();
  }

  /** For an index that failed, or may have. */
  abandon(): void {
    if (this.#reader !== this.#writer) this.#reader.close();
    this.#writer.close();
  }

  #emit(record: JournalRecord): void {
    try {
      this.batch.add(record);
      this.#noteBuckets(record);
      this.#applier.apply(record);
    } catch (cause) {
      throw new RecordNotApplied(`a ${record.type} record could not be applied`, { cause });
    }
  }
}

function changesBucket(record: JournalRecord): boolean {
  switch (record.type) {
    case 'CreateBucket':
    case 'DeleteBucket':
      return true;
    case 'PutDocument':
    case 'DeleteDocument':
      return bucketOfDocument(record.address) !== undefined;
    default:
      return false;
  }
}

/** What SQLite itself throws. */
export function isSqliteError(error: unknown): boolean {
  return error instanceof Database.SqliteError;
}

/** `maintenance` writes too, but reads every page once at most. */
export type ConnectionKind = 'read-write' | 'read-only' | 'maintenance' | 'building';

/**
 * KiB of page cache, as SQLite wants it: negative. Room for the inner pages of the tables and the pages of a batch: the
 * leaves that random keys lie on come from the system's cache, and twice as much made no read or write of a million
 * objects cheaper. The reader's also holds what a page of 1,000 common prefixes touches, two pages for each: with half of
 * it such a page of a listing costs 5.6 ms instead of 2.1.
 */
const CACHE_SIZE: Readonly<Record<ConnectionKind, number>> = {
  'read-write': -16_384,
  'read-only': -16_384,
  maintenance: -4096,
  building: -196_608,
};

/** With the pragmas that every connection needs, each time: SQLite does not store them. */
export function openConnection(path: string, kind: ConnectionKind): Database.Database {
  const readonly = kind === 'read-only';
  const db = new Database(path, { readonly, fileMustExist: readonly, timeout: 1000 });
  try {
    checkSqliteVersion(db);
    db.pragma('mmap_size = 0');
    db.pragma(`cache_size = ${CACHE_SIZE[kind]}`);
    db.pragma(`synchronous = ${kind === 'building' ? 'OFF' : 'NORMAL'}`);
    if (kind === 'building') {
      // SQLite refuses to be without a journal unless told that this is meant.
      db.unsafeMode(true);
      setJournalMode(db, 'off');
    }
    if (kind === 'read-write' || kind === 'maintenance') {
      setJournalMode(db, 'wal');
      db.pragma('wal_autocheckpoint = 0');
      db.pragma('journal_size_limit = 134217728');
    }
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function setJournalMode(db: Database.Database, wanted: 'wal' | 'off'): void {
  const mode = db.pragma(`journal_mode = ${wanted}`, { simple: true });
  assert(mode === wanted, `SQLite refuses journal mode ${wanted}: ${String(mode)}`);
}

/** Was this index closed, or else is its WAL there? @throws SqliteError */
export function wasClosed(path: string): boolean {
  const db = openConnection(path, 'read-only');
  try {
    return db.prepare<[], number>('SELECT is_closed FROM applied').pluck().get() === 1;
  } finally {
    db.close();
  }
}

/** The applied position of an index or a snapshot of one. @throws IndexUnusable | SqliteError */
export function readApplied(db: Database.Database): AppliedPosition & { formatVersion: number } {
  const row = db
    .prepare<
      [],
      {
        batch_number: number;
        epoch: number | null;
        sequence: number | null;
        hash: Buffer | null;
        format_version?: number;
      }
    >('SELECT * FROM applied WHERE id = 1')
    .get();
  if (row === undefined) throw new IndexUnusable('the index names no applied position');
  // Snapshots of format 1 do not name it.
  const { batch_number: batchNumber, epoch, sequence, hash, format_version: formatVersion = 1 } = row;
  const isPlaced = epoch !== null && sequence !== null && hash !== null;
  return { batchNumber, position: isPlaced ? { epoch, sequence, hash } : undefined, formatVersion };
}

function checkSqliteVersion(db: Database.Database): void {
  const version = db.prepare<[], string>('SELECT sqlite_version()').pluck().get() ?? '';
  const numbers = version.split('.').map(Number);
  for (const [index, oldest] of OLDEST_SQLITE.entries()) {
    const number = numbers[index] ?? 0;
    if (number > oldest) return;
    if (number < oldest) {
      throw new StoreError('IndexFailed', `SQLite ${version} is older than ${OLDEST_SQLITE.join('.')}`, {
        hint: 'Reinstall better-sqlite3: SQLite before 3.51.3 can corrupt its files.',
      });
    }
  }
}

export interface FileIdentity {
  path: string;
  device: number;
  inode: number;
  sizeBytes: number;
}

/** What the path names now. @throws ENOENT … */
export function identify(path: string): FileIdentity {
  const { dev, ino, size } = statSync(path);
  return { path, device: dev, inode: ino, sizeBytes: size };
}
