import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import { readChain } from './chain-reader.ts';
import { DiskLane, type OutgoingFrame } from './disk-lane.ts';
import { isWriteQuorum, type OpenedEpoch } from './epoch-opening.ts';
import { encodeFrame, FRAME_HEADER_BYTES, frameBytesFor, type FrameKind } from './frame.ts';
import type { JournalPosition } from './journal.ts';
import {
  configurationToJson,
  type JournalConfiguration,
  type JournalRule,
  writeQuorum,
} from './journal-configuration.ts';
import type { JournalContext } from './journal-context.ts';
import type { JournalDisk } from './journal-disk.ts';
import type { LostDisks } from './lost-disks.ts';
import { configurationsInForce, LOST_HINT, type PositionedConfiguration } from './recovery.ts';

export interface RunningEpochOptions {
  context: JournalContext;
  opened: OpenedEpoch;
  lostDisks: LostDisks;
  /** A disk that is more frames or bytes behind is out until it is level again. */
  maxQueuedFrames: number;
  maxQueuedBytes: number;
  /** A disk has dropped out of the quorum, or has come back into it. */
  onDisksChanged: (diskId: string, isLevel: boolean) => void;
}

/** The frame that is on its way; one at a time. */
interface Round {
  frame: OutgoingFrame;
  kind: FrameKind;
  resolve: (position: JournalPosition) => void;
  reject: (error: StoreError) => void;
}

/**
 * An open epoch: the lanes of its disks and the frame on its way. Invariants: every voting lane holds the whole chain up
 * to its last frame; `acknowledged` only grows and lies on m + 1 disks under every rule in force; after an undecided
 * frame nothing more is written.
 */
export class RunningEpoch {
  readonly epoch: number;
  readonly #context: JournalContext;
  readonly #options: RunningEpochOptions;
  readonly #configurations: PositionedConfiguration[];
  #lanes: DiskLane[];
  #rules: JournalRule[] = [];
  /** 2m + 1: so many disks begin with a frame at once. */
  #eagerCount = 0;
  #acknowledged: JournalPosition;
  #round: Round | undefined;
  #waiting: (() => void)[] = [];
  #isUndecided = false;
  #appendedBytes = 0;

  constructor(options: RunningEpochOptions) {
    this.#options = options;
    this.#context = options.context;
    this.epoch = options.opened.epoch;
    this.#acknowledged = options.opened.last;
    this.#configurations = [...options.opened.configurations];
    this.#setRules();
    this.#lanes = options.opened.level.map((disk) => this.#makeLane(disk, true));
  }

  get acknowledged(): JournalPosition {
    return this.#acknowledged;
  }

  get isUndecided(): boolean {
    return this.#isUndecided;
  }

  /** The newest acknowledged configuration, and one on its way beside it. */
  get rules(): readonly JournalRule[] {
    return this.#rules;
  }

  /** Bytes of frames acknowledged since the epoch was opened. */
  get appendedBytes(): number {
    return this.#appendedBytes;
  }

  get maxPayloadBytes(): number {
    return this.#context.segmentBytes - FRAME_HEADER_BYTES;
  }

  /** Level disks. */
  voters(): JournalDisk[] {
    return this.#lanes.filter((lane) => lane.canVote).map((lane) => lane.disk);
  }

  /** Level, or on the way to it. */
  hasLane(diskId: string): boolean {
    return this.#lanes.some((lane) => lane.diskId === diskId);
  }

  configurationAt(position: JournalPosition): JournalConfiguration {
    const found = this.#configurations.findLast((one) => one.position.sequence <= position.sequence);
    const configuration = (found ?? this.#configurations[0])?.configuration;
    assert(configuration !== undefined, 'a chain has a configuration');
    return configuration;
  }

  /** Sequence of the newest acknowledged change; `undefined` when it lies before what is kept. */
  get configurationSequence(): number | undefined {
    const index = this.#configurations.findLastIndex((one) => one.position.sequence <= this.#acknowledged.sequence);
    return index > 0 ? this.#configurations[index]?.position.sequence : undefined;
  }

  #setRules(): void {
    this.#rules = configurationsInForce(this.#configurations, this.#acknowledged);
    this.#eagerCount = Math.max(...this.#rules.map((rule) => 2 * rule.m + 1));
  }

  // ——— appending ———

  /**
   * One batch at a time; frames of the journal itself wait for it and it for them.
   * @throws StoreError QuorumLost: nothing was written | Undecided
   */
  appendPayload(payload: Buffer): Promise<JournalPosition> {
    assert(this.#round?.kind !== 'payload', 'one append at a time');
    assert(payload.length <= this.maxPayloadBytes, `a journal payload of ${payload.length} bytes is too large`);
    if (this.#round !== undefined) return this.#whenFree().then(() => this.appendPayload(payload));
    return this.#append('payload', payload);
  }

  /** An empty frame: it carries the acknowledged position to the disks. */
  async appendNote(): Promise<JournalPosition> {
    while (this.#round !== undefined) await this.#whenFree();
    return this.#append('note', Buffer.alloc(0));
  }

  /**
   * From this frame on both quorums are needed, once it is acknowledged only the new one.
   * @throws StoreError NotReady: `before`, from which `next` was made, is no longer the only rule; nothing was written
   */
  async appendConfiguration(next: JournalConfiguration, before: JournalConfiguration): Promise<JournalPosition> {
    while (this.#round !== undefined) await this.#whenFree();
    if (this.#isUndecided) throw this.undecided();
    if (this.#rules.length !== 1 || this.#rules[0] !== before) {
      this.#waiting.shift()?.(); // No round follows that would wake the next one.
      throw otherChange();
    }
    return this.#append('configuration', Buffer.from(JSON.stringify(configurationToJson(next))), next);
  }

  #whenFree(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #append(kind: FrameKind, payload: Buffer, next?: JournalConfiguration): Promise<JournalPosition> {
    if (this.#isUndecided) throw this.undecided();
    const frameBytes = frameBytesFor(payload.length);
    try {
      this.#requireRoom(frameBytes);
    } catch (error) {
      this.#waiting.shift()?.(); // No round follows that would wake the next one.
      throw error;
    }
    const frame = this.#encode(kind, payload, frameBytes);
    if (next !== undefined) {
      this.#configurations.push({ position: frame.position, configuration: next });
      this.#setRules();
    }
    return new Promise((resolve, reject) => {
      this.#round = { frame, kind, resolve, reject };
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
        epoch: this.epoch,
        sequence,
        previous: this.#acknowledged,
        acknowledged: this.#acknowledged,
        writtenAtMs: this.#context.clock.nowMs(),
        configurationSequence: kind === 'configuration' ? sequence : (newest?.position.sequence ?? 0),
      },
      payload,
      this.#context.clusterTag,
    );
    return { buffer, bytes, position: { epoch: this.epoch, sequence, hash }, holders: 0, isPinned: false };
  }

  /** 2m + 1 idle lanes begin at once, the others when the frame is acknowledged or one of them fails. */
  #dispatch(frame: OutgoingFrame): void {
    let eager = 0;
    for (const lane of this.#lanes) {
      const isEager = lane.canVote && lane.isIdle && eager < this.#eagerCount;
      if (isEager) eager++;
      lane.enqueue(frame, isEager);
    }
    if (eager < this.#eagerCount || this.#rules.length > 1) this.#pumpAll();
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
    if (!isWriteQuorum(this.#rules, roomy)) {
      for (const lane of full) lane.disk.prepareAhead();
      throw new StoreError('QuorumLost', `${roomy.size} journal disks can take a frame, m + 1 are needed`, {
        hint: full.length > 0 ? 'Free space on the disks.' : LOST_HINT,
      });
    }
    for (const lane of full) lane.stop(undefined);
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
      if (possible < writeQuorum(rule)) return this.#endUndecided(round);
      if (synced < writeQuorum(rule)) isAcknowledged = false;
    }
    if (!isAcknowledged) return;
    this.#round = undefined;
    this.#acknowledged = round.frame.position;
    this.#appendedBytes += round.frame.bytes.length;
    if (round.kind === 'configuration') this.#setRules();
    this.#pumpAll();
    this.#waiting.shift()?.();
    round.resolve(round.frame.position);
  }

  #endUndecided(round: Round): void {
    this.#round = undefined;
    this.#isUndecided = true;
    for (const wake of this.#waiting.splice(0)) wake();
    round.reject(this.undecided());
  }

  /** Nothing more is written: a new epoch is to be opened. */
  end(): void {
    if (this.#round !== undefined) this.#endUndecided(this.#round);
    this.#isUndecided = true;
  }

  undecided(): StoreError {
    return new StoreError('Undecided', `journal frame ${this.#acknowledged.sequence + 1} is on too few disks`, {
      hint: 'The next epoch decides it, as soon as m + 1 journal disks are usable.',
    });
  }

  // ——— lanes ———

  #makeLane(disk: JournalDisk, canVote: boolean): DiskLane {
    const { maxQueuedFrames, maxQueuedBytes } = this.#options;
    return new DiskLane({
      disk,
      canVote,
      maxQueuedFrames,
      maxQueuedBytes,
      events: {
        synced: () => this.#checkRound(),
        stopped: (lane, error) => this.#laneStopped(lane, error),
        caughtUp: (lane) => this.#laneCaughtUp(lane),
        released: (frame) => this.#context.buffers.release(frame.buffer),
      },
    });
  }

  #letGo(frame: OutgoingFrame): void {
    if (--frame.holders === 0 && !frame.isPinned) this.#context.buffers.release(frame.buffer);
  }

  #laneStopped(lane: DiskLane, error: unknown): void {
    if (!this.#lanes.includes(lane)) return;
    this.#lanes = this.#lanes.filter((other) => other !== lane);
    this.#options.lostDisks.add(lane);
    const { disks, log } = this.#context;
    const reason = error === undefined ? 'the journal there is behind' : 'a journal write failed';
    log.warn({ diskId: lane.diskId, error }, `journal: ${reason}`);
    if (error !== undefined) disks.reportFailure(lane.diskId, { operation: 'journal write', error });
    disks.markBehind(lane.diskId, reason);
    this.#pumpAll();
    this.#checkRound();
    this.#options.onDisksChanged(lane.diskId, false);
  }

  #laneCaughtUp(lane: DiskLane): void {
    this.#context.log.info({ diskId: lane.diskId }, 'journal: the disk is level again');
    this.#context.disks.markLevel(lane.diskId);
    this.#checkRound();
    this.#options.onDisksChanged(lane.diskId, true);
  }

  /**
   * Takes a disk that is nearly at the end of the chain: from now on its lane gets every frame; what lies before is read
   * from other disks and put in front. It votes when all of that is written.
   */
  async join(journalDisk: JournalDisk): Promise<void> {
    const lane = this.#makeLane(journalDisk, false);
    const upToSequence = this.#acknowledged.sequence;
    this.#lanes = [...this.#lanes, lane];
    if (this.#round !== undefined) lane.enqueue(this.#round.frame, false);
    const backlog: OutgoingFrame[] = [];
    const { clusterTag, buffers } = this.#context;
    const reading = readChain({ sources: this.voters(), clusterTag, after: journalDisk.last, upToSequence });
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

  /** The disk is gone or is no journal disk any more. */
  drop(diskId: string): void {
    this.#lanes.find((lane) => lane.diskId === diskId)?.stop(undefined);
  }

  /** A frame there is bad or cannot be read: the journal there is written anew. */
  badSource(diskId: string, error: unknown): void {
    const lane = this.#lanes.find((candidate) => candidate.diskId === diskId);
    if (lane === undefined) return;
    this.#context.log.error({ diskId, error }, 'journal: a frame is damaged, the journal there is written anew');
    lane.disk.taint();
    lane.stop(undefined);
  }

  /** Resolves when nothing is being written. */
  async drained(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.settled()));
  }

  /** Ends all lanes without telling anybody. Resolves when all files are closed; a hung call holds it up. */
  async dismantle(): Promise<void> {
    const lanes = this.#lanes;
    this.#lanes = [];
    for (const lane of lanes) {
      lane.stop(undefined);
      this.#options.lostDisks.add(lane);
    }
    await Promise.all(lanes.map((lane) => lane.settled()));
    await Promise.all(lanes.map((lane) => lane.disk.close()));
  }
}

/** Two changes made from the same configuration: the second would undo the first. */
export function otherChange(): StoreError {
  return new StoreError('NotReady', 'another change of the journal disks is under way or came first', {
    hint: 'Try again.',
  });
}
