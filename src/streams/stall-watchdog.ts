import type { Clock } from '../model/clock.ts';

/** One direction of one connection whose peer must keep up. */
export interface WatchedTransfer {
  /** Bytes moved so far. */
  readonly movedBytes: number;
  /** True while it is the peer we wait for, not our own disks. */
  readonly isWaitingForPeer: boolean;
  /** Bytes handed to the system in one piece whose progress cannot be seen; they get time of their own. */
  readonly unseenBytes: number;
  /** Called once, when the peer was too slow for a whole window. The transfer is no longer watched. */
  onStalled(): void;
}

interface Window {
  startMs: number;
  startBytes: number;
}

/**
 * Cuts clients that are slower than a minimum rate, averaged over `stallTimeoutMs`. No total time bounds a transfer: a
 * legal 5 GiB upload may take hours. One timer serves all transfers and runs only while there are any; time in which a
 * transfer waits for us does not count.
 */
export class StallWatchdog {
  readonly #clock: Clock;
  readonly #minimumBytesPerSecond: number;
  readonly #stallTimeoutMs: number;
  readonly #windows = new Map<WatchedTransfer, Window | undefined>();
  #isScheduled = false;

  constructor(options: { clock: Clock; minimumBytesPerSecond: number; stallTimeoutMs: number }) {
    this.#clock = options.clock;
    this.#minimumBytesPerSecond = options.minimumBytesPerSecond;
    this.#stallTimeoutMs = options.stallTimeoutMs;
  }

  watch(transfer: WatchedTransfer): void {
    this.#windows.set(transfer, undefined);
    this.#schedule();
  }

  unwatch(transfer: WatchedTransfer): void {
    this.#windows.delete(transfer);
  }

  get watchedCount(): number {
    return this.#windows.size;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.schedule(Math.max(50, Math.min(1000, this.#stallTimeoutMs / 4)), () => {
      this.#isScheduled = false;
      this.#sweep();
      if (this.#windows.size > 0) this.#schedule();
    });
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [transfer, window] of this.#windows) {
      if (!transfer.isWaitingForPeer) {
        this.#windows.set(transfer, undefined);
      } else if (window === undefined) {
        this.#windows.set(transfer, { startMs: nowMs, startBytes: transfer.movedBytes });
      } else {
        this.#judge(transfer, window, nowMs);
      }
    }
  }

  #judge(transfer: WatchedTransfer, window: Window, nowMs: number): void {
    const elapsedMs = nowMs - window.startMs;
    if (elapsedMs < this.#stallTimeoutMs) return;
    const movedBytes = transfer.movedBytes - window.startBytes;
    const neededBytes = (this.#minimumBytesPerSecond * elapsedMs) / 1000;
    if (movedBytes >= neededBytes) {
      window.startMs = nowMs;
      window.startBytes = transfer.movedBytes;
    } else if (movedBytes + transfer.unseenBytes < neededBytes) {
      this.#windows.delete(transfer);
      transfer.onStalled();
    }
  }
}
