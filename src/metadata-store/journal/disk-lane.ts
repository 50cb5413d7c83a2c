import { isStoreError } from '../../errors/store-error.ts';
import type { JournalPosition } from './journal.ts';
import type { JournalDisk } from './journal-disk.ts';

/** A frame on its way to the disks; the buffer goes back to the pool when no lane needs it any more. */
export interface OutgoingFrame {
  /** What the pool gave; `bytes` is its beginning. */
  buffer: Buffer;
  bytes: Buffer;
  position: JournalPosition;
  /** Lanes that still hold it. */
  holders: number;
  /** A call that missed its deadline may still read the bytes: never reused. */
  isPinned: boolean;
}

export interface LaneEvents {
  /** `lane.syncedSequence` has grown. Called outside of any await. */
  synced(lane: DiskLane): void;
  /** The lane stopped: it takes no more frames and has no vote. `error` is `undefined` when it fell too far behind. */
  stopped(lane: DiskLane, error: unknown): void;
  /** Everything queued when it joined has been written: it may vote. */
  caughtUp(lane: DiskLane): void;
  /** No lane holds the frame any more. */
  released(frame: OutgoingFrame): void;
}

/**
 * The queue of one disk: frames are written strictly one after the other, each synced before the next. A lane that hangs
 * holds up nobody: its queue is bounded, and when it overflows the disk is behind.
 */
export class DiskLane {
  readonly disk: JournalDisk;
  readonly #events: LaneEvents;
  readonly #maxQueuedFrames: number;
  readonly #maxQueuedBytes: number;
  #queue: OutgoingFrame[] = [];
  #queuedBytes = 0;
  #running: Promise<void> | undefined;
  #isStopped = false;
  #hasBegun: boolean;
  /** Counts for quorums. False while it joins. */
  canVote: boolean;

  constructor(options: {
    disk: JournalDisk;
    events: LaneEvents;
    canVote: boolean;
    maxQueuedFrames: number;
    maxQueuedBytes: number;
  }) {
    this.disk = options.disk;
    this.#events = options.events;
    this.canVote = options.canVote;
    this.#hasBegun = options.canVote;
    this.#maxQueuedFrames = options.maxQueuedFrames;
    this.#maxQueuedBytes = options.maxQueuedBytes;
  }

  get diskId(): string {
    return this.disk.diskId;
  }

  get syncedSequence(): number {
    return this.disk.lastSequence;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Nothing queued, nothing being written. */
  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  /** Takes a frame; `isEager` starts writing now, otherwise it waits for `pump`. */
  enqueue(frame: OutgoingFrame, isEager: boolean): void {
    if (this.#isStopped) return;
    if (this.#queue.length >= this.#maxQueuedFrames || this.#queuedBytes > this.#maxQueuedBytes) {
      this.stop(undefined);
      return;
    }
    frame.holders++;
    this.#queue.push(frame);
    this.#queuedBytes += frame.bytes.length;
    if (isEager) this.pump();
  }

  /** The lane of a joining disk begins: first the frames read from other disks, then what was queued since it joined. */
  begin(backlog: readonly OutgoingFrame[]): void {
    if (this.#isStopped) return;
    for (const frame of backlog) {
      frame.holders++;
      this.#queuedBytes += frame.bytes.length;
    }
    this.#queue = [...backlog, ...this.#queue];
    this.#hasBegun = true;
    if (this.#queue.length === 0) this.#becomeVoter();
    else this.pump();
  }

  pump(): void {
    if (this.#running !== undefined || this.#isStopped || !this.#hasBegun || this.#queue.length === 0) return;
    this.#running = this.#run();
  }

  #becomeVoter(): void {
    this.canVote = true;
    this.#events.caughtUp(this);
  }

  async #run(): Promise<void> {
    let frame = this.#queue[0];
    try {
      while (frame !== undefined && !this.#isStopped) {
        await this.disk.write(frame.bytes, frame.position);
        if (this.#isStopped) break; // the queue was given up meanwhile
        this.#queue.shift();
        this.#queuedBytes -= frame.bytes.length;
        this.#letGo(frame);
        this.#events.synced(this);
        frame = this.#queue[0];
      }
    } catch (error) {
      if (frame !== undefined && isStoreError(error, 'DiskTimeout')) frame.isPinned = true;
      this.#running = undefined;
      this.stop(error);
      return;
    }
    this.#running = undefined;
    if (this.#isStopped) {
      if (frame !== undefined) this.#letGo(frame);
    } else if (!this.canVote) {
      this.#becomeVoter();
    }
  }

  /** Gives the queue up. The frame being written is kept until its call returns. */
  stop(error: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.canVote = false;
    const given = this.#running === undefined ? this.#queue : this.#queue.slice(1);
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const frame of given) this.#letGo(frame);
    this.#events.stopped(this, error);
  }

  #letGo(frame: OutgoingFrame): void {
    if (--frame.holders === 0 && !frame.isPinned) this.#events.released(frame);
  }

  /** Resolves when no write is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }
}
