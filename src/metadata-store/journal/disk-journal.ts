import type { Disk, DiskSet } from '../../disk/disk-set.ts';
import { assert } from '../../errors/assert.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import { AlignedBuffers } from './aligned-buffers.ts';
import { readChain } from './chain-reader.ts';
import { type CheckpointHolder, CheckpointStore } from './checkpoint-store.ts';
import { isWriteQuorum, openEpoch } from './epoch-opening.ts';
import { forgetJournals } from './forget-journals.ts';
import { DEFAULT_SEGMENT_BYTES } from './format-journal.ts';
import { clusterTagOf, FRAME_HEADER_BYTES, samePosition, zeroPosition } from './frame.ts';
import type { CheckpointFacts, Journal, JournalDiskStatus, JournalFrame, JournalPosition } from './journal.ts';
import { type JournalConfiguration, writeQuorum } from './journal-configuration.ts';
import { isPresent, type JournalContext } from './journal-context.ts';
import type { JournalDisk } from './journal-disk.ts';
import { JournalDiskKeeper } from './journal-disk-keeper.ts';
import { knowsPosition, oldestBase, type ReadableChain, readPayloads } from './journal-reader.ts';
import { LevellingCrew } from './levelling-crew.ts';
import { LostDisks } from './lost-disks.ts';
import {
  type ChainView,
  chooseChain,
  configurationsInForce,
  inspectDisk,
  type Inspection,
  LOST_HINT,
  requireReadQuorum,
} from './recovery.ts';
import { otherChange, RunningEpoch } from './running-epoch.ts';
import { noteVoids } from './void-notes.ts';

export interface DiskJournalOptions {
  disks: DiskSet;
  clock: Clock;
  log: Log;
  /** Default 16 MiB; a multiple of 4096. The largest payload is 128 bytes less. */
  segmentBytes?: number;
  /** Zeroed segments kept on each disk beside the current one: room for a full disk. Default 4. */
  reserveSegments?: number;
  /** A disk that is more frames behind is out until it is level again. Default 64. */
  maxQueuedFrames?: number;
  /** Likewise in bytes. Default 16 MiB. */
  maxQueuedBytes?: number;
  /** So much of the end of each disk's journal is read at a start. Default 32 MiB. */
  scanBytes?: number;
  /** With spare disks: a journal disk lost for so long is replaced by another. Default one hour. */
  replaceLostAfterMs?: number;
  /**
   * Told which disks there are: when a start or a reopening knows, and at the end of each change of the list. The disks
   * that left it may be let go then.
   */
  onConfiguration?: (configuration: JournalConfiguration) => void;
}

/** How long stopping and reopening wait for calls that may hang. */
const HUNG_CALLS_MS = 1000;

/** A clock that is set by a few seconds is nothing to tell. */
const CLOCK_TOLERANCE_MS = 60_000;

/**
 * The journal on the disks of a `DiskSet`. Between `start` and `stop` it is in one of three conditions: an epoch is open
 * (`isWritable`); the open epoch has an undecided frame; or no epoch could be opened and the acknowledged prefix is
 * read from `#view`. `acknowledged` never goes back. See docs/decisions/0003-journal-protocol.md.
 */
export class DiskJournal implements Journal {
  readonly #context: JournalContext;
  readonly #limits: { maxQueuedFrames: number; maxQueuedBytes: number };
  readonly #checkpoints: CheckpointStore;
  readonly #lostDisks = new LostDisks();
  readonly #crew: LevellingCrew;
  readonly #keeper: JournalDiskKeeper;
  readonly #onConfiguration: (configuration: JournalConfiguration) => void;
  readonly #stopWatching: () => void;
  #running: RunningEpoch | undefined;
  /** What the last start or reopening without an open epoch saw. */
  #view: ChainView | undefined;
  #condition: 'new' | 'started' | 'stopped' = 'new';
  /** While no epoch is open. */
  #lastRecordAtMs: number | undefined;
  /** Disks whose journal did not reach to the end of the chain when this run began. */
  readonly #behindAtStart = new Set<string>();
  #acknowledged: JournalPosition = zeroPosition;
  #spentEpoch = 0;
  /** Calls of a failed opening may still land there: what is noted there may be taken back. */
  readonly #unsettledDiskIds = new Set<string>();
  #hasOpened = false;
  /** What lay after the newest checkpoint at the last look, less what the epoch had appended until then. */
  #checkpointDebtBytes = 0;

  constructor(options: DiskJournalOptions) {
    const { disks, clock, log } = options;
    this.#onConfiguration = options.onConfiguration ?? (() => {});
    this.#context = {
      disks,
      clock,
      log,
      clusterTag: clusterTagOf(disks.clusterId),
      buffers: new AlignedBuffers(),
      segmentBytes: options.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
      reserveSegments: options.reserveSegments ?? 4,
      scanBytes: options.scanBytes ?? 32 * 1024 * 1024,
      promisedFormat: 1,
      journalDisks: new Set(),
    };
    this.#limits = {
      maxQueuedFrames: options.maxQueuedFrames ?? 64,
      maxQueuedBytes: options.maxQueuedBytes ?? 16 * 1024 * 1024,
    };
    this.#checkpoints = new CheckpointStore(this.#context, {
      levelDisks: () => this.#running?.voters() ?? [],
      holders: () => this.#checkpointHolders(),
      oldestSequence: () => oldestBase(this.#readable())?.sequence ?? Infinity,
      rules: () => this.#running?.rules ?? [],
      configurationAt: (position) => this.#requireRunning().configurationAt(position),
    });
    this.#crew = new LevellingCrew(this.#context, this.#lostDisks, () => (this.isWritable ? this.#running : undefined));
    this.#keeper = new JournalDiskKeeper({
      context: this.#context,
      replaceAfterMs: options.replaceLostAfterMs ?? 3_600_000,
      configuration: () => (this.isWritable && this.#running?.rules.length === 1 ? this.#running.rules[0] : undefined),
      change: (next) => this.changeConfiguration(next),
    });
    this.#stopWatching = disks.onChange((disk) => this.#diskChanged(disk));
  }

  get isWritable(): boolean {
    return this.#condition === 'started' && this.#running?.isUndecided === false;
  }

  /** The newest acknowledged one, as far as this start knows; `undefined` before. */
  get configuration(): JournalConfiguration | undefined {
    if (this.#running !== undefined) return this.#running.rules[0];
    return this.#view && configurationsInForce(this.#view.configurations, this.#view.acknowledged)[0];
  }

  #tellConfiguration(): void {
    if (this.configuration !== undefined) this.#onConfiguration(this.configuration);
  }

  get epoch(): number {
    return this.#running?.epoch ?? 0;
  }

  get acknowledged(): JournalPosition {
    return this.#running?.acknowledged ?? this.#acknowledged;
  }

  get bytesSinceCheckpoint(): number {
    return this.#checkpointDebtBytes + (this.#running?.appendedBytes ?? 0);
  }

  /** Wall clock of the newest record that the start found; `undefined` on a new cluster. */
  get lastRecordAtMs(): number | undefined {
    return this.#lastRecordAtMs;
  }

  get maxPayloadBytes(): number {
    return this.#context.segmentBytes - FRAME_HEADER_BYTES;
  }

  // ——— starting and stopping ———

  async start(progress: (fraction: number) => void): Promise<void> {
    assert(this.#condition === 'new', 'a journal starts once');
    progress(0);
    const inspections = await this.#inspect();
    this.#noteClock(inspections);
    progress(0.5);
    const view = await chooseChain(inspections, this.#context.clusterTag);
    requireReadQuorum(view);
    for (const { disk, scan } of inspections) {
      if (scan === undefined || !samePosition(scan.last, view.tail)) this.#behindAtStart.add(disk.id);
    }
    try {
      await this.#open(view, inspections);
    } catch (error) {
      if (!isStoreError(error, 'QuorumLost')) throw error;
      await this.#readWithoutEpoch();
      this.#context.log.warn({ error }, 'journal: no epoch could be opened, reading the acknowledged prefix only');
    }
    this.#tellConfiguration();
    this.#condition = 'started';
    this.#begin();
    progress(1);
  }

  async reopen(): Promise<void> {
    assert(this.#condition === 'started' && !this.isWritable, 'reopen follows Undecided or a read-only start');
    await this.#dismantle();
    const inspections = await this.#inspect();
    const view = await chooseChain(inspections, this.#context.clusterTag);
    if (this.#hasOpened) await this.#requireAcknowledged(view);
    else requireReadQuorum(view);
    try {
      await this.#open(view, inspections);
    } catch (error) {
      // Other disks than before may be there to read from.
      if (!this.#hasOpened && isStoreError(error, 'QuorumLost') && !this.#isReadAlready(view)) {
        await this.#readWithoutEpoch();
      }
      throw error;
    }
    this.#tellConfiguration();
    this.#begin();
  }

  /**
   * Reads go on from the acknowledged prefix. What an opening that failed left is part of what is read; everything that
   * this view does not know is void from now on, and only when that is durable may anything be answered.
   */
  async #readWithoutEpoch(): Promise<void> {
    const inspections = await this.#inspect();
    const view = await chooseChain(inspections, this.#context.clusterTag);
    requireReadQuorum(view);
    await noteVoids(this.#context, {
      view,
      inspections,
      spentEpoch: this.#spentEpoch,
      unsettledDiskIds: this.#unsettledDiskIds,
    });
    this.#acknowledged = view.acknowledged;
    this.#view = view;
  }

  #isReadAlready(view: ChainView): boolean {
    const now = this.#view;
    return (
      now !== undefined && samePosition(now.tail, view.tail) && [...view.countable].every((id) => now.countable.has(id))
    );
  }

  #noteClock(inspections: readonly Inspection[]): void {
    const { clock, log } = this.#context;
    const times = inspections.flatMap(({ scan }) => scan?.lastWrittenAtMs ?? []);
    if (times.length === 0) return;
    const lastRecordAtMs = Math.max(...times);
    this.#lastRecordAtMs = lastRecordAtMs;
    const behindMs = lastRecordAtMs - clock.nowMs();
    if (behindMs > CLOCK_TOLERANCE_MS) {
      log.warn({ behindMs }, 'the clock is behind the last record: it labels new versions, it does not order them');
    }
  }

  async #inspect(): Promise<Inspection[]> {
    const candidates = this.#context.disks.disks.filter(
      (disk) => isPresent(disk) && !this.#lostDisks.isEnding(disk.id),
    );
    const results = await Promise.all(candidates.map((disk) => inspectDisk(this.#context, disk)));
    const inspections = results.filter((result) => result !== undefined);
    const formats = inspections.flatMap(({ scan }) => scan?.state.format ?? []);
    this.#context.promisedFormat = Math.max(this.#context.promisedFormat, ...formats);
    return inspections;
  }

  /** This process knows what it acknowledged, so m + 1 disks are enough if they still have all of it. */
  async #requireAcknowledged(view: ChainView): Promise<void> {
    if (view.corruption !== undefined) throw view.corruption;
    const known = this.acknowledged;
    if (samePosition(known, view.tail)) return;
    const chain = { sources: view.sources, patches: view.patches, bases: [view.base] };
    if (await knowsPosition(chain, known, this.#context.clusterTag)) return;
    throw new StoreError('QuorumLost', `no present disk has journal frame ${known.sequence}`, { hint: LOST_HINT });
  }

  async #open(view: ChainView, inspections: readonly Inspection[]): Promise<void> {
    const opened = await openEpoch(this.#context, {
      view,
      inspections,
      taintedDiskIds: this.#lostDisks.tainted,
      spentEpoch: this.#spentEpoch,
      onSpent: (epoch) => void (this.#spentEpoch = epoch),
      unsettledDiskIds: this.#unsettledDiskIds,
    });
    this.#hasOpened = true;
    this.#view = undefined;
    this.#running = new RunningEpoch({
      context: this.#context,
      opened,
      configurations: view.configurations,
      lostDisks: this.#lostDisks,
      ...this.#limits,
      onDisksChanged: (_diskId, isLevel) => this.#levelDisksChanged(isLevel),
    });
    for (const disk of opened.level) {
      this.#lostDisks.healed(disk.diskId);
      this.#context.disks.markLevel(disk.diskId);
      this.#crew.tidy(disk);
    }
    const { epoch, opening, level } = opened;
    this.#context.log.info({ epoch, sequence: opening.sequence, levelDisks: level.length }, 'journal: epoch opened');
  }

  /** Background work of an open epoch. */
  #begin(): void {
    if (!this.isWritable) return;
    this.#measureSinceCheckpoint();
    this.#crew.wake();
    this.#checkpoints.ensureHolders();
    this.#keeper.look();
  }

  async stop(): Promise<void> {
    this.#stopWatching();
    this.#keeper.stop();
    this.#condition = 'stopped';
    await this.#unlessHung(Promise.all([this.#crew.stop(), this.#checkpoints.settled()]));
    if (this.#running !== undefined) await this.#unlessHung(this.#running.drained());
    await this.#dismantle();
  }

  /** Ends the epoch. Disks with a write that has not returned are left alone until it has. */
  async #dismantle(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#acknowledged = running.acknowledged;
    await this.#unlessHung(running.dismantle());
  }

  /** Waits, but not for ever. */
  async #unlessHung(work: Promise<unknown>): Promise<void> {
    let cancel: (() => void) | undefined;
    const timeout = new Promise<void>((resolve) => (cancel = this.#context.clock.schedule(HUNG_CALLS_MS, resolve)));
    await Promise.race([Promise.allSettled([work]), timeout]);
    cancel?.();
  }

  // ——— appending ———

  async append(payload: Buffer): Promise<JournalPosition> {
    return this.#requireRunning().appendPayload(payload);
  }

  #requireRunning(): RunningEpoch {
    if (this.#running?.isUndecided === true) throw this.#running.undecided();
    if (this.isWritable && this.#running !== undefined) return this.#running;
    if (this.#condition === 'started') {
      throw new StoreError('QuorumLost', 'no epoch is open: too few journal disks are usable', { hint: LOST_HINT });
    }
    throw new StoreError('NotReady', 'the journal is not running');
  }

  #diskChanged(disk: Disk): void {
    if (this.#condition !== 'started') return;
    if (!isPresent(disk)) this.#running?.drop(disk.id);
    else this.#crew.wake();
    this.#keeper.look();
  }

  #levelDisksChanged(isLevel: boolean): void {
    if (!isLevel) this.#crew.retryLater();
    if (this.isWritable) this.#checkpoints.ensureHolders();
  }

  /**
   * Changes the disk list, k, m or the journal disks. The new journal disks are levelled first, as far as they are
   * present; the change is acknowledged under the old and the new rule, and the new one holds alone from then on.
   * @throws StoreError QuorumLost: too few of the new list's disks hold the chain, nothing was written | NotReady: another
   * change came first, nothing was written | Undecided.
   */
  async changeConfiguration(next: JournalConfiguration): Promise<void> {
    const running = this.#requireRunning();
    const [before, ...others] = running.rules;
    if (before === undefined || others.length > 0) throw otherChange();
    const isListed = (diskId: string): boolean => next.diskIds.includes(diskId);
    assert(next.journalDiskIds.every(isListed), 'journal disks are in the disk list');
    const endTeaching = this.#crew.teach(next.journalDiskIds);
    try {
      await this.#crew.idle();
      const level = new Set(running.voters().map((disk) => disk.diskId));
      const count = next.journalDiskIds.filter((diskId) => level.has(diskId)).length;
      if (count < writeQuorum(next)) {
        const message = `${count} of the new journal disks hold the chain, ${writeQuorum(next)} are needed`;
        throw new StoreError('QuorumLost', message, { hint: LOST_HINT });
      }
      await running.appendConfiguration(next, before);
      // Tells the disks that it is acknowledged, so that a later start needs only the new list.
      await running.appendNote();
    } finally {
      endTeaching();
    }
    for (const disk of running.voters()) {
      if (!next.journalDiskIds.includes(disk.diskId)) running.drop(disk.diskId);
    }
    const gone = before.diskIds.filter((diskId) => !isListed(diskId));
    await forgetJournals(this.#context, this.#lostDisks, gone);
    this.#tellConfiguration();
  }

  get promisedFormat(): number {
    return this.#context.promisedFormat;
  }

  async promiseFormat(format: number): Promise<void> {
    const running = this.#requireRunning();
    this.#context.promisedFormat = Math.max(this.#context.promisedFormat, format);
    const told = new Set<string>();
    const tell = async (disk: JournalDisk): Promise<void> => {
      try {
        await disk.promiseFormat();
        told.add(disk.diskId);
      } catch (error) {
        this.#context.log.warn({ diskId: disk.diskId, error }, 'journal: a disk could not be told of the new format');
      }
    };
    await Promise.all(running.voters().map(tell));
    if (isWriteQuorum(running.rules, told)) return;
    throw new StoreError(
      'QuorumLost',
      `${told.size} journal disks could be told of format ${format}, m + 1 are needed`,
      {
        hint: 'The upgrade is finalized as soon as enough disks are usable.',
      },
    );
  }

  // ——— reading ———

  #readable(): ReadableChain {
    if (this.#view !== undefined) {
      const { sources, patches, base } = this.#view;
      return { sources, patches, bases: [base] };
    }
    const voters = this.#running?.voters() ?? [];
    return { sources: voters, patches: undefined, bases: voters.map((disk) => disk.base.position) };
  }

  async *frames(after: JournalPosition | undefined): AsyncIterable<JournalFrame> {
    const from = after ?? oldestBase(this.#readable());
    if (from === undefined) throw new StoreError('QuorumLost', 'no level journal disk', { hint: LOST_HINT });
    yield* this.#payloads(from, this.acknowledged.sequence);
  }

  async *pendingFrames(): AsyncIterable<JournalFrame> {
    if (this.#view !== undefined) yield* this.#payloads(this.acknowledged, this.#view.tail.sequence);
  }

  #payloads(after: JournalPosition, upToSequence: number): AsyncGenerator<JournalFrame> {
    const { clusterTag } = this.#context;
    const onBadSource = (diskId: string, error: unknown): void => this.#running?.badSource(diskId, error);
    return readPayloads(this.#readable(), { clusterTag, after, upToSequence, onBadSource });
  }

  async canReplayFrom(position: JournalPosition): Promise<boolean> {
    if (position.sequence > this.acknowledged.sequence) return false;
    const chain = this.#readable();
    if (position.sequence === 0) return oldestBase(chain)?.sequence === 0;
    if (samePosition(position, this.acknowledged)) return true;
    return knowsPosition(chain, position, this.#context.clusterTag);
  }

  // ——— checkpoints ———

  /** To a segment: what lies before the newest checkpoint within its segment is counted too. */
  #measureSinceCheckpoint(): void {
    const newest = this.#checkpoints.list()[0]?.position.sequence ?? 0;
    const [disk] = this.#running?.voters() ?? [];
    if (disk === undefined) return;
    const first = disk.segments.findLastIndex((segment) => (segment.firstSequence ?? Infinity) <= newest + 1);
    this.#checkpointDebtBytes = disk.bytesFromSegment(Math.max(first, 0)) - (this.#running?.appendedBytes ?? 0);
  }

  #checkpointHolders(): readonly CheckpointHolder[] {
    if (this.#view !== undefined) return this.#view.holders;
    const voters = this.#running?.voters() ?? [];
    return voters.map((disk) => ({ diskId: disk.diskId, fs: disk.fs, checkpoints: disk.state.checkpoints }));
  }

  checkpoints(): readonly CheckpointFacts[] {
    return this.#checkpoints.list();
  }

  async installCheckpoint(sourceFile: string, position: JournalPosition): Promise<void> {
    assert(position.sequence <= this.#requireRunning().acknowledged.sequence, 'a checkpoint is of acknowledged frames');
    const appendedBytes = this.#running?.appendedBytes ?? 0;
    await this.#checkpoints.install(sourceFile, position);
    this.#checkpointDebtBytes = -appendedBytes;
  }

  async restoreCheckpoint(
    checkpoint: CheckpointFacts,
    targetFile: string,
    progress: (fraction: number) => void,
  ): Promise<void> {
    await this.#checkpoints.restore(checkpoint, targetFile, progress);
  }

  /**
   * Reads every frame and checkpoint on every level disk, one disk after the other. Damage is repaired from the others
   * in the background: a disk with a bad frame is levelled anew, a bad checkpoint is copied again.
   */
  async scrub(): Promise<void> {
    await this.#checkpoints.scrub(() => this.#scrubFrames());
  }

  async #scrubFrames(): Promise<void> {
    const { clusterTag, log } = this.#context;
    const running = this.#requireRunning();
    for (const disk of running.voters()) {
      const onBadSource = (diskId: string, error: unknown): void => running.badSource(diskId, error);
      const reading = { sources: [disk], clusterTag, after: disk.base.position, upToSequence: disk.lastSequence };
      try {
        for await (const { position } of readChain({ ...reading, onBadSource })) void position;
      } catch (error) {
        if (!isStoreError(error)) throw error;
        log.warn({ diskId: disk.diskId, error }, 'journal: the scrub of a disk ended early');
      }
    }
  }

  status(): JournalDiskStatus[] {
    const level = new Map((this.#running?.voters() ?? []).map((disk) => [disk.diskId, disk]));
    const members = this.#running?.rules.at(-1)?.journalDiskIds;
    return this.#context.disks.disks.map(({ id }) => {
      const disk = level.get(id);
      return {
        diskId: id,
        carriesJournal: members?.includes(id) ?? true,
        isLevel: disk !== undefined,
        wasBehindAtStart: this.#behindAtStart.has(id),
        journalBytes: disk?.journalBytes ?? 0,
        checkpointBytes: disk === undefined ? 0 : this.#checkpoints.bytesOn(disk),
      };
    });
  }
}
