import type { Disk } from '../../disk/disk-set.ts';
import { assert } from '../../errors/assert.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { AlignedBuffers } from './aligned-buffers.ts';
import { changeRule } from './change-rule.ts';
import { type CheckpointHolder, CheckpointStore } from './checkpoint-store.ts';
import { declarationOn, requireKnownList } from './declare-lost.ts';
import type { DiskJournalOptions } from './disk-journal-options.ts';
import { isWriteQuorum, openEpoch } from './epoch-opening.ts';
import { forgetJournals } from './forget-journals.ts';
import { DEFAULT_SEGMENT_BYTES } from './format-journal.ts';
import { clusterTagOf, FRAME_HEADER_BYTES, samePosition, zeroPosition } from './frame.ts';
import type { CheckpointFacts, Journal, JournalDiskStatus, JournalFrame, JournalPosition } from './journal.ts';
import type { JournalConfiguration } from './journal-configuration.ts';
import { inspectDisks } from './inspect-disks.ts';
import { isPresent, type JournalContext } from './journal-context.ts';
import type { JournalDisk } from './journal-disk.ts';
import { JournalDiskKeeper } from './journal-disk-keeper.ts';
import { newestRecordAtMs, statusOf } from './journal-status.ts';
import { knowsPosition, oldestBase, type ReadableChain, readPayloads } from './journal-reader.ts';
import { LevellingCrew } from './levelling-crew.ts';
import { LostDisks } from './lost-disks.ts';
import {
  type ChainView,
  chooseChain,
  configurationsInForce,
  type Inspection,
  LOST_HINT,
  requireReadQuorum,
} from './recovery.ts';
import { RunningEpoch } from './running-epoch.ts';
import { scrubFrames } from './scrub-frames.ts';
import { noteVoids } from './void-notes.ts';

/** How long stopping and reopening wait for calls that may hang. */
const HUNG_CALLS_MS = 1000;
/** Of the store, from which on configurations may name disks that were declared lost. */
const DECLARATION_FORMAT = 2;

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
  readonly #leastListSequence: number;
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
    this.#leastListSequence = options.leastListSequence ?? 0;
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

  /** The journal's sequence of the newest change of the list; `undefined` when it lies before what is kept. */
  get listSequence(): number | undefined {
    return this.#running?.configurationSequence;
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
    const inspections = await this.#inspectEnough();
    this.#lastRecordAtMs = newestRecordAtMs(this.#context, inspections);
    progress(0.5);
    const view = await chooseChain(inspections, this.#context.clusterTag);
    await this.#requireEnough(view);
    for (const { id } of this.#candidates()) {
      const scan = inspections.find(({ disk }) => disk.id === id)?.scan;
      if (scan === undefined || !samePosition(scan.last, view.tail)) this.#behindAtStart.add(id);
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
    const inspections = await this.#inspectEnough();
    const view = await chooseChain(inspections, this.#context.clusterTag);
    await this.#requireEnough(view);
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
   * Opens a new epoch whose first change puts other disks in the place of disks that are lost for good, named in
   * `next.lostDiskIds`: also when too few of the old list are left for an ordinary change. All of the new disks must be there, and n − m of the
   * old list that are not lost. The format of the store is at least 2 from then on. Whatever happens, `reopen` goes on from it: a declaration that reached a disk may be completed then.
   * @throws StoreError FormatRefused: a disk that is declared lost is there, nothing was written | NotReady: another
   *   change came first | QuorumLost | DiskFailed: a new disk cannot take the journal
   */
  async declareLost(before: JournalConfiguration, next: JournalConfiguration): Promise<void> {
    assert(this.#condition === 'started', 'disks are declared lost while the journal runs');
    this.#running?.end();
    await this.#unlessHung(this.#crew.idle());
    await this.#dismantle();
    const inspections = await this.#inspect();
    const view = await chooseChain(inspections, this.#context.clusterTag);
    const { declaration, rules } = declarationOn(view, { before, next, inspections });
    requireReadQuorum(view, rules);
    if (this.#hasOpened) await this.#requireAcknowledged(view);
    // The same rename that reserves the epoch: a version that would pass over the declaration refuses these disks from then on.
    this.#context.promisedFormat = Math.max(this.#context.promisedFormat, DECLARATION_FORMAT);
    await this.#open(view, inspections, declaration);
    // As after any change: a later start needs only the new list.
    await this.#requireRunning().appendNote();
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

  #candidates(): Disk[] {
    return this.#context.disks.disks.filter((disk) => isPresent(disk) && !this.#lostDisks.isEnding(disk.id));
  }

  /** All present disks. */
  #inspect(): Promise<Inspection[]> {
    return this.#inspectUntil(() => Promise.resolve(false));
  }

  /** Those that answer in time, when an epoch can be opened on them: slow ones are levelled later. */
  #inspectEnough(): Promise<Inspection[]> {
    return this.#inspectUntil(async (found) => {
      try {
        const view = await chooseChain(found, this.#context.clusterTag);
        await this.#requireEnough(view);
        return isWriteQuorum(configurationsInForce(view.configurations, view.acknowledged), view.countable);
      } catch (error) {
        if (!isStoreError(error)) throw error;
        return false;
      }
    });
  }

  async #inspectUntil(isEnough: (found: readonly Inspection[]) => Promise<boolean>): Promise<Inspection[]> {
    const inspections = await inspectDisks(this.#context, this.#candidates(), isEnough);
    const formats = inspections.flatMap(({ scan }) => scan?.state.format ?? []);
    this.#context.promisedFormat = Math.max(this.#context.promisedFormat, ...formats);
    return inspections;
  }

  /** @throws StoreError QuorumLost | JournalCorrupt: nothing may be decided on these disks alone */
  async #requireEnough(view: ChainView): Promise<void> {
    if (this.#hasOpened) await this.#requireAcknowledged(view);
    else requireReadQuorum(view);
    requireKnownList(view, this.#leastListSequence);
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

  async #open(view: ChainView, inspections: readonly Inspection[], declaration?: JournalConfiguration): Promise<void> {
    const opened = await openEpoch(this.#context, {
      view,
      inspections,
      declaration,
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
      lostDisks: this.#lostDisks,
      ...this.#limits,
      onDisksChanged: (_diskId, isLevel) => this.#levelDisksChanged(isLevel),
    });
    for (const disk of opened.level) {
      this.#lostDisks.healed(disk.diskId);
      this.#context.disks.markLevel(disk.diskId);
      this.#crew.tidy(disk);
    }
    const { epoch, last, level } = opened;
    this.#context.log.info({ epoch, sequence: last.sequence, levelDisks: level.length }, 'journal: epoch opened');
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
    const before = await changeRule(running, this.#crew, next);
    const gone = before.diskIds.filter((diskId) => !next.diskIds.includes(diskId));
    await forgetJournals(this.#context, this.#lostDisks, gone);
    this.#tellConfiguration();
    // A greater m needs more copies of the checkpoints: the journals before them are cut.
    this.#checkpoints.ensureHolders();
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
    await this.#checkpoints.scrub(() => scrubFrames(this.#context, this.#requireRunning()));
  }

  status(): JournalDiskStatus[] {
    return statusOf(this.#context, {
      running: this.#running,
      behindAtStart: this.#behindAtStart,
      checkpointBytesOn: (disk) => this.#checkpoints.bytesOn(disk),
    });
  }
}
