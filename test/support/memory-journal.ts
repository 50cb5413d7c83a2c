import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { assert, AssertionFailure } from '../../src/errors/assert.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import { NEWEST_STORE_FORMAT } from '../../src/model/store-format.ts';
import type {
  CheckpointFacts,
  Journal,
  JournalDiskStatus,
  JournalFrame,
  JournalPosition,
} from '../../src/metadata-store/journal/journal.ts';

interface StoredCheckpoint {
  facts: CheckpointFacts;
  content: Buffer;
}

/** What outlives a process: the frames that disks hold, checkpoints, and the number of the last epoch. */
export interface MemoryJournalDisk {
  frames: JournalFrame[];
  checkpoints: StoredCheckpoint[];
  epoch: number;
  /** A frame on too few disks: the next epoch adopts it or voids it. */
  undecided: { payload: Buffer; willBeAdopted: boolean } | undefined;
  promisedFormat: number;
}

/** How the next append ends. `adopted` and `void`: Undecided, and what the next epoch makes of it. `bug`: an assertion. */
export type AppendFault = 'bug' | 'quorum-lost' | 'adopted' | 'void';

const GENESIS: JournalPosition = { epoch: 0, sequence: 0, hash: Buffer.alloc(32) };

/** As it was formatted; the newest format by default. */
export function emptyDisk(promisedFormat = NEWEST_STORE_FORMAT): MemoryJournalDisk {
  return { frames: [], checkpoints: [], epoch: 0, undecided: undefined, promisedFormat };
}

/**
 * A journal in memory, for tests of the metadata store. Every start and `reopen` opens a new epoch, which adopts or
 * voids an undecided frame. Keep `disk` and make a new journal over it for a restart; `copyOf(disk)` is a crash image.
 */
export class MemoryJournal implements Journal {
  readonly disk: MemoryJournalDisk;
  isWritable = false;
  /** Consumed from the front, one for each append. */
  readonly appendFaults: (AppendFault | undefined)[] = [];
  /** So many calls of `reopen` fail with QuorumLost. */
  reopenFailures = 0;
  /** The next start can read but opens no epoch. */
  startsReadOnly = false;
  appendCount = 0;
  bytesSinceCheckpoint = 0;
  #gate: Promise<void> | undefined;
  #openGate: () => void = () => {};

  constructor(disk: MemoryJournalDisk = emptyDisk()) {
    this.disk = disk;
  }

  get epoch(): number {
    return this.disk.epoch;
  }

  get acknowledged(): JournalPosition {
    return this.disk.frames.at(-1)?.position ?? this.disk.checkpoints[0]?.facts.position ?? GENESIS;
  }

  /** Appends wait until the returned function is called. */
  holdAppends(): () => void {
    this.#gate = new Promise((resolve) => {
      this.#openGate = resolve;
    });
    return () => {
      this.#gate = undefined;
      this.#openGate();
    };
  }

  start(progress: (fraction: number) => void): Promise<void> {
    progress(1);
    if (!this.startsReadOnly) this.#openEpoch();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.isWritable = false;
    return Promise.resolve();
  }

  async append(payload: Buffer): Promise<JournalPosition> {
    assert(this.isWritable, 'append to a journal that is not writable');
    this.appendCount += 1;
    const copy = Buffer.from(payload);
    if (this.#gate !== undefined) await this.#gate;
    const fault = this.appendFaults.shift();
    if (fault === 'bug') throw new AssertionFailure('injected: an assertion of the journal');
    if (fault === 'quorum-lost') throw new StoreError('QuorumLost', 'injected: nothing was written');
    if (fault !== undefined) {
      this.isWritable = false;
      this.disk.undecided = { payload: copy, willBeAdopted: fault === 'adopted' };
      throw new StoreError('Undecided', 'injected: synced on too few disks');
    }
    // Never in the same turn: a real disk takes its time.
    await new Promise((resolve) => setImmediate(resolve));
    return this.#push(copy);
  }

  reopen(): Promise<void> {
    if (this.reopenFailures > 0) {
      this.reopenFailures -= 1;
      return Promise.reject(new StoreError('QuorumLost', 'injected: no epoch can be opened'));
    }
    this.#openEpoch();
    return Promise.resolve();
  }

  async *frames(after: JournalPosition | undefined): AsyncIterable<JournalFrame> {
    const from = after === undefined ? 0 : this.#indexAfter(after);
    assert(from !== undefined, 'frames after a position that is not on the chain');
    yield* this.disk.frames.slice(from);
  }

  async *pendingFrames(): AsyncIterable<JournalFrame> {
    const { undecided } = this.disk;
    if (this.isWritable || undecided === undefined) return;
    const { epoch, sequence } = this.acknowledged;
    yield { position: { epoch, sequence: sequence + 1, hash: Buffer.alloc(32) }, payload: undecided.payload };
  }

  canReplayFrom(position: JournalPosition): Promise<boolean> {
    return Promise.resolve(this.#indexAfter(position) !== undefined);
  }

  checkpoints(): readonly CheckpointFacts[] {
    return this.disk.checkpoints.map((checkpoint) => checkpoint.facts);
  }

  async installCheckpoint(sourceFile: string, position: JournalPosition): Promise<void> {
    const content = await readFile(sourceFile);
    const facts = { position, sizeBytes: content.length, createdAtMs: 0, holderDiskIds: ['memory'] };
    this.disk.checkpoints = [{ facts, content }, ...this.disk.checkpoints].slice(0, 2);
    this.bytesSinceCheckpoint = 0;
    const oldest = this.disk.checkpoints[1]?.facts.position;
    if (oldest !== undefined) this.disk.frames.splice(0, this.#indexAfter(oldest) ?? 0);
  }

  async restoreCheckpoint(
    checkpoint: CheckpointFacts,
    targetFile: string,
    progress: (fraction: number) => void,
  ): Promise<void> {
    const stored = this.disk.checkpoints.find(({ facts }) => facts.position.hash.equals(checkpoint.position.hash));
    if (stored === undefined) throw new StoreError('JournalCorrupt', 'no holder of this checkpoint is left');
    await writeFile(targetFile, stored.content);
    progress(1);
  }

  get promisedFormat(): number {
    return this.disk.promisedFormat;
  }

  promiseFormat(format: number): Promise<void> {
    this.disk.promisedFormat = Math.max(this.disk.promisedFormat, format);
    return Promise.resolve();
  }

  /** Memory does not rot. */
  async scrub(): Promise<void> {}

  status(): JournalDiskStatus[] {
    return [
      {
        diskId: 'memory',
        carriesJournal: true,
        isLevel: true,
        wasBehindAtStart: false,
        journalBytes: 0,
        checkpointBytes: 0,
      },
    ];
  }

  #openEpoch(): void {
    this.disk.epoch += 1;
    this.isWritable = true;
    const { undecided } = this.disk;
    this.disk.undecided = undefined;
    if (undecided?.willBeAdopted) this.#push(undecided.payload);
  }

  #push(payload: Buffer): JournalPosition {
    const before = this.acknowledged;
    const hash = createHash('sha256').update(before.hash).update(payload).digest();
    const position = { epoch: this.disk.epoch, sequence: before.sequence + 1, hash };
    this.disk.frames.push({ position, payload });
    this.bytesSinceCheckpoint += payload.length;
    return position;
  }

  #indexAfter(position: JournalPosition): number | undefined {
    const index = this.disk.frames.findIndex((frame) => frame.position.hash.equals(position.hash));
    if (index !== -1) return index + 1;
    const isBase = this.disk.checkpoints.some(({ facts }) => facts.position.hash.equals(position.hash));
    // The oldest checkpoint lies just before the oldest frame that is kept.
    const oldest = this.disk.checkpoints.at(-1)?.facts.position;
    return isBase && oldest?.hash.equals(position.hash) ? 0 : undefined;
  }
}

/** The disks as a crash at this moment leaves them. */
export function copyOf(disk: MemoryJournalDisk): MemoryJournalDisk {
  return { ...disk, frames: [...disk.frames], checkpoints: [...disk.checkpoints] };
}
