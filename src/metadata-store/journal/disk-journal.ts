import type { Disk, DiskSet, DiskState } from '../../disk/disk-set.ts';
import { assert } from '../../errors/assert.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import { AlignedBuffers } from './aligned-buffers.ts';
import { type ChainSource, readChain, readFrameOf } from './chain-reader.ts';
import { type CheckpointHolder, CheckpointStore } from './checkpoint-store.ts';
import { DiskLane, type OutgoingFrame } from './disk-lane.ts';
import { levelDisk } from './disk-leveller.ts';
import { isWriteQuorum, openEpoch } from './epoch-opening.ts';
import {
  clusterTagOf,
  encodeFrame,
  FRAME_HEADER_BYTES,
  frameBytesFor,
  type FrameKind,
  positionOf,
  samePosition,
  zeroPosition,
} from './frame.ts';
import { DEFAULT_SEGMENT_BYTES } from './format-journal.ts';
import type { CheckpointFacts, Journal, JournalDiskStatus, JournalFrame, JournalPosition } from './journal.ts';
import { type JournalConfiguration, writeQuorum } from './journal-configuration.ts';
import { isPresent, type JournalContext } from './journal-context.ts';
import type { JournalDisk } from './journal-disk.ts';
import {
  type ChainView,
  chooseChain,
  configurationsInForce,
  inspectDisk,
  type Inspection,
  LOST_HINT,
  type PositionedConfiguration,
  requireReadQuorum,
} from './recovery.ts';

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
}

const LEVELLING_RETRY_MS = 1000;

/** The frame that is on its way; one at a time. */
interface Round {
  frame: OutgoingFrame;
  resolve: (position: JournalPosition) => void;
  reject: (error: StoreError) => void;
}

/**
 * The journal on the disks of a `DiskSet`. Invariants: every voting lane holds the whole chain up to its last frame;
 * `#acknowledged` only grows and lies on m + 1 disks; a frame is written only in an epoch that this instance opened;
 * after an undecided frame nothing is written before a new epoch is open. See docs/decisions/0003-journal-protocol.md.
 */
export class DiskJournal implements Journal {
  readonly #context: JournalContext;
  readonly #maxQueuedFrames: number;
  readonly #maxQueuedBytes: number;
  readonly #checkpoints: CheckpointStore;
  readonly #stopWatching: () => void;
  #lanes: DiskLane[] = [];
  #rules: JournalConfiguration[] = [];
  #configurations: PositionedConfiguration[] = [];
  /** 2m + 1: so many disks begin with a frame at once. */
  #eagerCount = 0;
  #epoch = 0;
  #spentEpoch = 0;
  #acknowledged: JournalPosition = zeroPosition;
  #state: 'new' | 'open' | 'undecided' | 'read-only' | 'stopped' = 'new';
  #hasOpened = false;
  #round: Round | undefined;
  #view: ChainView | undefined;
  /** Their files failed in this process: they take a whole new journal. */
  readonly #tainted = new Set<string>();
  /** Stopped lanes whose last write has not returned: the disk is left alone until it has. */
  readonly #ending = new Map<string, DiskLane>();
  readonly #levelling = new Map<string, Promise<void>>();
  #cancelRetry: (() => void) | undefined;
  #bytesSinceCheckpoint = 0;

  constructor(options: DiskJournalOptions) {
    const { disks, clock, log } = options;
    this.#context = {
      disks,
      clock,
      log,
      clusterTag: clusterTagOf(disks.clusterId),
      buffers: new AlignedBuffers(),
      segmentBytes: options.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
      reserveSegments: options.reserveSegments ?? 4,
    };
    this.#maxQueuedFrames = options.maxQueuedFrames ?? 64;
    this.#maxQueuedBytes = options.maxQueuedBytes ?? 16 * 1024 * 1024;
    this.#checkpoints = new CheckpointStore(this.#context, {
      levelDisks: () => this.#voters(),
      holders: () => this.#checkpointHolders(),
      oldestSequence: () => this.#oldest()?.sequence ?? Infinity,
      rules: () => this.#rules,
      configurationAt: (position) => this.#configurationAt(position),
    });
    this.#stopWatching = disks.onChange((disk, before) => this.#diskChanged(disk, before));
  }

  get isWritable(): boolean {
    return this.#state === 'open';
  }

  get epoch(): number {
    return this.#epoch;
  }

  get acknowledged(): JournalPosition {
    return this.#acknowledged;
  }

  get bytesSinceCheckpoint(): number {
    return this.#bytesSinceCheckpoint;
  }

  get maxPayloadBytes(): number {
    return this.#context.segmentBytes - FRAME_HEADER_BYTES;
  }

  // ——— starting ———

  async start(progress: (fraction: number) => void): Promise<void> {
    assert(this.#state === 'new', 'a journal starts once');
    progress(0);
    const inspections = await this.#inspect();
    progress(0.5);
    const view = await chooseChain(inspections, this.#context.clusterTag);
    requireReadQuorum(view);
    this.#acknowledged = view.acknowledged;
    try {
      await this.#open(view, inspections);
    } catch (error) {
      if (!isStoreError(error, 'QuorumLost')) throw error;
      this.#state = 'read-only';
      this.#view = view;
      this.#context.log.warn({ error }, 'journal: no epoch could be opened, reading the acknowledged prefix only');
    }
    progress(1);
  }

  async reopen(): Promise<void> {
    assert(this.#state === 'undecided' || this.#state === 'read-only', 'reopen follows Undecided or a read-only start');
    await this.#dismantle();
    const inspections = await this.#inspect();
    const view = await chooseChain(inspections, this.#context.clusterTag);
    if (this.#hasOpened) await this.#requireAcknowledged(view);
    else {
      requireReadQuorum(view);
      this.#acknowledged = view.acknowledged;
      this.#view = view;
    }
    await this.#open(view, inspections);
  }

  async #inspect(): Promise<Inspection[]> {
    const { disks, clusterTag } = this.#context;
    const candidates = disks.disks.filter((disk) => isPresent(disk) && !this.#ending.has(disk.id));
    const results = await Promise.all(candidates.map((disk) => inspectDisk(disk, disks.clusterId, clusterTag)));
    return results.filter((result) => result !== undefined);
  }

  /** This process knows what it acknowledged, so m + 1 disks are enough if they still have all of it. */
  async #requireAcknowledged(view: ChainView): Promise<void> {
    if (view.corruption !== undefined) throw view.corruption;
    const known = this.#acknowledged;
    if (samePosition(known, view.base) || samePosition(known, view.tail)) return;
    for (const source of view.sources) {
      const frame = await readFrameOf(source, known.sequence, this.#context.clusterTag).catch(() => undefined);
      if (frame !== undefined && samePosition(positionOf(frame), known)) return;
    }
    throw new StoreError('QuorumLost', `no present disk has journal frame ${known.sequence}`, { hint: LOST_HINT });
  }

  async #open(view: ChainView, inspections: readonly Inspection[]): Promise<void> {
    this.#spentEpoch = Math.max(this.#spentEpoch, view.highestEpoch);
    const opened = await openEpoch(this.#context, {
      view,
      inspections,
      taintedDiskIds: this.#tainted,
      spentEpoch: this.#spentEpoch,
    }).catch((error: unknown) => {
      this.#spentEpoch++;
      throw error;
    });
    this.#epoch = opened.epoch;
    this.#spentEpoch = opened.epoch;
    this.#acknowledged = opened.opening;
    this.#configurations = view.configurations;
    this.#setRules();
    this.#hasOpened = true;
    this.#view = undefined;
    this.#state = 'open';
    this.#lanes = opened.level.map((disk) => this.#makeLane(disk, true));
    for (const disk of opened.level) {
      this.#tainted.delete(disk.diskId);
      this.#context.disks.markLevel(disk.diskId);
    }
    this.#bytesSinceCheckpoint = this.#measureSinceCheckpoint();
    this.#context.log.info(
      { epoch: opened.epoch, sequence: opened.opening.sequence, levelDisks: opened.level.length },
      'journal: epoch opened',
    );
    this.#tidy(opened.level);
    this.#levelOthers();
    this.#checkpoints.ensureHolders();
  }

  #tidy(disks: readonly JournalDisk[]): void {
    for (const disk of disks) {
      void disk.removeLeftovers().then(
        () => disk.prepareAhead(),
        (error: unknown) => this.#context.log.warn({ error, diskId: disk.diskId }, 'journal: leftovers stay'),
      );
    }
  }

  #setRules(): void {
    this.#rules = configurationsInForce(this.#configurations, this.#acknowledged);
    this.#eagerCount = Math.max(...this.#rules.map((rule) => 2 * rule.m + 1));
  }

  #configurationAt(position: JournalPosition): JournalConfiguration {
    const found = this.#configurations.findLast((one) => one.position.sequence <= position.sequence);
    const configuration = (found ?? this.#configurations[0])?.configuration;
    assert(configuration !== undefined, 'a chain has a configuration');
    return configuration;
  }

  async stop(): Promise<void> {
    this.#stopWatching();
    this.#cancelRetry?.();
    this.#state = 'stopped';
    await Promise.allSettled(this.#levelling.values());
    await Promise.allSettled(this.#lanes.map((lane) => lane.settled()));
    await this.#checkpoints.settled();
    await this.#dismantle();
  }

  /** Ends all lanes. Disks with a write that has not returned are left alone until it has. */
  async #dismantle(): Promise<void> {
    const lanes = this.#lanes;
    this.#lanes = [];
    for (const lane of lanes) {
      lane.stop(undefined);
      this.#remember(lane);
    }
    await Promise.race([Promise.allSettled(lanes.map((lane) => lane.settled())), this.#after(LEVELLING_RETRY_MS)]);
    const closing = lanes.filter((lane) => !this.#ending.has(lane.diskId)).map((lane) => lane.disk.close());
    await Promise.race([Promise.allSettled(closing), this.#after(LEVELLING_RETRY_MS)]);
  }

  #after(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#context.clock.schedule(delayMs, resolve));
  }

  // ——— appending ———

  async append(payload: Buffer): Promise<JournalPosition> {
    return this.#append('payload', payload);
  }

  #append(kind: FrameKind, payload: Buffer): Promise<JournalPosition> {
    if (this.#state !== 'open') throw this.#notWritable();
    assert(this.#round === undefined, 'one append at a time');
    assert(payload.length <= this.maxPayloadBytes, `a journal payload of ${payload.length} bytes is too large`);
    const frameBytes = frameBytesFor(payload.length);
    this.#requireRoom(frameBytes);
    const frame = this.#encode(kind, payload, frameBytes);
    return new Promise((resolve, reject) => {
      this.#round = { frame, resolve, reject };
      frame.holders++; // ours, so that the buffer outlives the loop
      this.#dispatch(frame);
      this.#letGo(frame);
      this.#checkRound();
    });
  }

  #encode(kind: FrameKind, payload: Buffer, frameBytes: number): OutgoingFrame {
    const buffer = this.#context.buffers.take(frameBytes);
    const bytes = buffer.subarray(0, frameBytes);
    const sequence = this.#acknowledged.sequence + 1;
    const newest = this.#configurations.length > 1 ? this.#configurations.at(-1) : undefined;
    const hash = encodeFrame(
      bytes,
      {
        kind,
        epoch: this.#epoch,
        sequence,
        previous: this.#acknowledged,
        acknowledged: this.#acknowledged,
        writtenAtMs: this.#context.clock.nowMs(),
        configurationSequence: newest?.position.sequence ?? 0,
      },
      payload,
      this.#context.clusterTag,
    );
    return { buffer, bytes, position: { epoch: this.#epoch, sequence, hash }, holders: 0, isPinned: false };
  }

  /** 2m + 1 idle lanes begin at once, the others when the frame is acknowledged or one of them fails. */
  #dispatch(frame: OutgoingFrame): void {
    let eager = 0;
    for (const lane of this.#lanes) {
      const isEager = lane.canVote && lane.isIdle && eager < this.#eagerCount;
      if (isEager) eager++;
      lane.enqueue(frame, isEager);
    }
    if (eager < this.#eagerCount) this.#pumpAll();
  }

  #pumpAll(): void {
    for (const lane of this.#lanes) lane.pump();
  }

  /** Refuses before anything is written when too few disks have room; a full disk among enough others is left behind. */
  #requireRoom(frameBytes: number): void {
    const roomy = new Set<string>();
    const full: DiskLane[] = [];
    for (const lane of this.#lanes) {
      if (!lane.canVote) continue;
      if (lane.disk.hasRoomFor(frameBytes)) roomy.add(lane.diskId);
      else full.push(lane);
    }
    if (!this.#isQuorum(roomy)) {
      for (const lane of full) lane.disk.prepareAhead();
      throw new StoreError('QuorumLost', `${roomy.size} journal disks can take a frame, m + 1 are needed`, {
        hint: full.length > 0 ? 'Free space on the disks.' : LOST_HINT,
      });
    }
    for (const lane of full) lane.stop(undefined);
  }

  #isQuorum(diskIds: ReadonlySet<string>): boolean {
    return isWriteQuorum(this.#rules, diskIds);
  }

  #checkRound(): void {
    const round = this.#round;
    if (round === undefined) return;
    const { sequence } = round.frame.position;
    let isAcknowledged = true;
    for (const rule of this.#rules) {
      let synced = 0;
      let possible = 0;
      for (const lane of this.#lanes) {
        if (!lane.canVote || !rule.journalDiskIds.includes(lane.diskId)) continue;
        possible++;
        if (lane.syncedSequence >= sequence) synced++;
      }
      if (possible < writeQuorum(rule)) return this.#undecided(round);
      if (synced < writeQuorum(rule)) isAcknowledged = false;
    }
    if (!isAcknowledged) return;
    this.#round = undefined;
    this.#acknowledged = round.frame.position;
    this.#bytesSinceCheckpoint += round.frame.bytes.length;
    this.#pumpAll();
    round.resolve(round.frame.position);
  }

  #undecided(round: Round): void {
    this.#round = undefined;
    this.#state = 'undecided';
    round.reject(this.#notWritable());
  }

  #notWritable(): StoreError {
    if (this.#state === 'undecided') {
      return new StoreError('Undecided', `journal frame ${this.#acknowledged.sequence + 1} is on too few disks`, {
        hint: 'The next epoch decides it, as soon as m + 1 journal disks are usable.',
      });
    }
    if (this.#state === 'read-only') {
      return new StoreError('QuorumLost', 'no epoch is open: too few journal disks are usable', { hint: LOST_HINT });
    }
    return new StoreError('NotReady', 'the journal is not running');
  }

  // ——— lanes ———

  #voters(): JournalDisk[] {
    return this.#lanes.filter((lane) => lane.canVote).map((lane) => lane.disk);
  }

  #makeLane(disk: JournalDisk, canVote: boolean): DiskLane {
    return new DiskLane({
      disk,
      canVote,
      maxQueuedFrames: this.#maxQueuedFrames,
      maxQueuedBytes: this.#maxQueuedBytes,
      events: {
        synced: () => this.#checkRound(),
        stopped: (lane, error) => this.#laneStopped(lane, error),
        caughtUp: (lane) => this.#laneCaughtUp(lane),
        released: (frame) => this.#release(frame),
      },
    });
  }

  #letGo(frame: OutgoingFrame): void {
    if (--frame.holders === 0 && !frame.isPinned) this.#release(frame);
  }

  #release(frame: OutgoingFrame): void {
    this.#context.buffers.release(frame.buffer);
  }

  #laneStopped(lane: DiskLane, error: unknown): void {
    if (!this.#lanes.includes(lane)) return;
    this.#lanes = this.#lanes.filter((other) => other !== lane);
    this.#remember(lane);
    const { disks, log } = this.#context;
    const reason = error === undefined ? 'the journal there is too far behind' : 'a journal write failed';
    log.warn({ diskId: lane.diskId, error }, `journal: ${reason}`);
    if (error !== undefined) disks.reportFailure(lane.diskId, { operation: 'journal write', error });
    disks.markBehind(lane.diskId, reason);
    this.#pumpAll();
    this.#checkRound();
    this.#scheduleRetry();
    this.#checkpoints.ensureHolders();
  }

  #remember(lane: DiskLane): void {
    this.#ending.set(lane.diskId, lane);
    void lane.settled().then(() => {
      if (lane.disk.isTainted) this.#tainted.add(lane.diskId);
      void lane.disk.close();
      if (this.#ending.get(lane.diskId) === lane) this.#ending.delete(lane.diskId);
    });
  }

  #laneCaughtUp(lane: DiskLane): void {
    this.#context.log.info({ diskId: lane.diskId }, 'journal: the disk is level again');
    this.#context.disks.markLevel(lane.diskId);
    this.#checkRound();
    this.#checkpoints.ensureHolders();
  }

  // ——— levelling ———

  #diskChanged(disk: Disk, _before: DiskState): void {
    if (this.#state === 'stopped') return;
    const lane = this.#lanes.find((candidate) => candidate.diskId === disk.id);
    if (lane !== undefined && !isPresent(disk)) lane.stop(undefined);
    else if (lane === undefined && isPresent(disk)) this.#levelOthers();
  }

  /** Levels every present journal disk that has no lane; others have nothing to level. */
  #levelOthers(): void {
    if (this.#state !== 'open') return;
    const members = new Set(this.#rules.flatMap((rule) => rule.journalDiskIds));
    for (const disk of this.#context.disks.disks) {
      if (!isPresent(disk) || this.#lanes.some((lane) => lane.diskId === disk.id)) continue;
      if (!members.has(disk.id)) this.#context.disks.markLevel(disk.id);
      else if (!this.#levelling.has(disk.id)) this.#level(disk);
    }
  }

  #level(disk: Disk): void {
    const work = this.#levelOne(disk, this.#epoch)
      .catch((error: unknown) => {
        this.#context.log.warn({ diskId: disk.id, error }, 'journal: levelling failed, it is tried again');
        if (isStoreError(error, 'DiskFailed', 'DiskTimeout', 'DiskMissing')) {
          this.#context.disks.reportFailure(disk.id, { operation: 'journal levelling', error });
        }
        this.#scheduleRetry();
      })
      .finally(() => this.#levelling.delete(disk.id));
    this.#levelling.set(disk.id, work);
    // Last, because the set tells its listeners at once, and this one must know that it is at work.
    this.#context.disks.markBehind(disk.id, 'the journal there is not level');
  }

  async #levelOne(disk: Disk, epoch: number): Promise<void> {
    await this.#ending.get(disk.id)?.settled();
    const journalDisk = await levelDisk(this.#context, this.#levellingHost(), disk, this.#tainted.has(disk.id));
    if (this.#state !== 'open' || this.#epoch !== epoch || !isPresent(disk)) return journalDisk.close();
    this.#tainted.delete(disk.id);
    await this.#join(journalDisk);
    this.#tidy([journalDisk]);
  }

  #levellingHost() {
    // oxlint-disable-next-line no-this-alias, typescript/no-this-alias -- live getters
    const journal = this;
    return {
      get epoch() {
        return journal.#epoch;
      },
      get acknowledged() {
        return journal.#acknowledged;
      },
      sources: () => journal.#voters(),
      onBadSource: (diskId: string, error: unknown) => journal.#badSource(diskId, error),
    };
  }

  /** From now on the lane gets every frame; what lies before is read from other disks and put in front. */
  async #join(journalDisk: JournalDisk): Promise<void> {
    const lane = this.#makeLane(journalDisk, false);
    const upToSequence = this.#acknowledged.sequence;
    this.#lanes = [...this.#lanes, lane];
    if (this.#round !== undefined) lane.enqueue(this.#round.frame, false);
    const backlog: OutgoingFrame[] = [];
    const { clusterTag, buffers } = this.#context;
    const reading = readChain({ sources: this.#voters(), clusterTag, after: journalDisk.last, upToSequence });
    try {
      for await (const { frame, position } of reading) {
        const buffer = buffers.take(frame.bytes.length);
        const bytes = buffer.subarray(0, frame.bytes.length);
        frame.bytes.copy(bytes);
        backlog.push({ buffer, bytes, position, holders: 0, isPinned: false });
      }
    } catch (error) {
      lane.stop(undefined);
      throw error;
    }
    lane.begin(backlog);
  }

  #badSource(diskId: string, error: unknown): void {
    const lane = this.#lanes.find((candidate) => candidate.diskId === diskId);
    if (lane === undefined) return;
    this.#context.log.error({ diskId, error }, 'journal: a frame is damaged, the journal there is written anew');
    lane.disk.taint();
    lane.stop(undefined);
  }

  #scheduleRetry(): void {
    if (this.#cancelRetry !== undefined || this.#state === 'stopped') return;
    this.#cancelRetry = this.#context.clock.schedule(LEVELLING_RETRY_MS, () => {
      this.#cancelRetry = undefined;
      this.#levelOthers();
    });
  }

  // ——— reading ———

  #readable(): readonly (ChainSource & { base?: { position: JournalPosition } })[] {
    return this.#view?.sources ?? this.#voters();
  }

  async *frames(after: JournalPosition | undefined): AsyncIterable<JournalFrame> {
    const from = after ?? this.#oldest();
    if (from === undefined) throw new StoreError('QuorumLost', 'no level journal disk', { hint: LOST_HINT });
    yield* this.#payloads(from, this.#acknowledged.sequence);
  }

  async *pendingFrames(): AsyncIterable<JournalFrame> {
    if (this.#view !== undefined) yield* this.#payloads(this.#acknowledged, this.#view.tail.sequence);
  }

  #oldest(): JournalPosition | undefined {
    const bases = this.#view === undefined ? this.#voters().map((disk) => disk.base.position) : [this.#view.base];
    return bases.sort((a, b) => a.sequence - b.sequence)[0];
  }

  async *#payloads(after: JournalPosition, upToSequence: number): AsyncGenerator<JournalFrame> {
    const reading = readChain({
      sources: this.#readable(),
      ...(this.#view === undefined ? {} : { patches: this.#view.patches }),
      clusterTag: this.#context.clusterTag,
      after,
      upToSequence,
      onBadSource: (diskId, error) => this.#badSource(diskId, error),
    });
    for await (const { frame, position } of reading) {
      if (frame.kind === 'payload') yield { position, payload: Buffer.from(frame.payload) };
    }
  }

  async canReplayFrom(position: JournalPosition): Promise<boolean> {
    if (position.sequence > this.#acknowledged.sequence) return false;
    if (position.sequence === 0) return this.#oldest()?.sequence === 0;
    if (samePosition(position, this.#acknowledged)) return true;
    if (this.#view !== undefined && samePosition(position, this.#view.base)) return true;
    for (const source of this.#readable()) {
      if (source.base !== undefined && samePosition(source.base.position, position)) return true;
      const frame = await readFrameOf(source, position.sequence, this.#context.clusterTag).catch(() => undefined);
      if (frame !== undefined && samePosition(positionOf(frame), position)) return true;
    }
    return false;
  }

  // ——— checkpoints ———

  /** To a segment: what lies before the newest checkpoint within its segment is counted too. */
  #measureSinceCheckpoint(): number {
    const newest = this.#checkpoints.list()[0]?.position.sequence ?? 0;
    const [disk] = this.#voters();
    const first = disk?.segments.findLastIndex((segment) => (segment.firstSequence ?? Infinity) <= newest + 1) ?? 0;
    return disk === undefined ? 0 : disk.bytesFromSegment(Math.max(first, 0));
  }

  checkpoints(): readonly CheckpointFacts[] {
    return this.#checkpoints.list();
  }

  #checkpointHolders(): readonly CheckpointHolder[] {
    if (this.#view === undefined) {
      return this.#voters().map((disk) => ({ diskId: disk.diskId, fs: disk.fs, checkpoints: disk.state.checkpoints }));
    }
    return this.#view.holders;
  }

  async installCheckpoint(sourceFile: string, position: JournalPosition): Promise<void> {
    if (this.#state !== 'open') throw this.#notWritable();
    assert(position.sequence <= this.#acknowledged.sequence, 'a checkpoint lies at an acknowledged position');
    await this.#checkpoints.install(sourceFile, position);
    this.#bytesSinceCheckpoint = this.#measureSinceCheckpoint();
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
    for (const disk of this.#voters()) {
      const onBadSource = (diskId: string, error: unknown): void => this.#badSource(diskId, error);
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
    return this.#context.disks.disks.map((disk) => {
      const lane = this.#lanes.find((candidate) => candidate.diskId === disk.id);
      return {
        diskId: disk.id,
        isLevel: lane?.canVote ?? false,
        journalBytes: lane?.disk.journalBytes ?? 0,
        checkpointBytes: lane === undefined ? 0 : this.#checkpoints.bytesOn(lane.disk),
      };
    });
  }
}
