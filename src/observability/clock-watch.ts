import type { Clock, TrustedTime } from '../model/clock.ts';
import type { Log } from './log.ts';

/** Where the clock should be, and where it was found when the jump was seen. */
export interface ClockJump {
  expectedAtMs: number;
  foundAtMs: number;
}

/** What outlives the process about the clock. */
export interface ClockNote {
  /** Wall clock at the last moment at which it was believed. */
  trustedAtMs: number;
  /** Nobody has accepted it yet. */
  jump: ClockJump | undefined;
}

export interface ClockMemory {
  read(): Promise<ClockNote | undefined>;
  write(note: ClockNote): Promise<void>;
  /** Wall clock of the newest record that was there at the start; `undefined`: none was. */
  readonly lastRecordAtMs: number | undefined;
}

/** NTP corrects seconds; people set hours, days and years. */
const TOLERANCE_MS = 3_600_000;
/** While the server was off nothing tells a long pause from a jump: after more than this somebody has to say. */
const LONGEST_PAUSE_MS = 7 * 86_400_000;
const LOOK_EVERY_MS = 10_000;
const NOTE_EVERY_MS = 3_600_000;

/**
 * Says whether the wall clock may be believed. At run time it must keep step with the monotonic clock; a start must not
 * find it before the last trusted moment, nor more than seven days after it. A jump stays one, over restarts too, until it is
 * accepted or the clock is back where it should be. What a client is told of times is not touched by it.
 *
 * A crash within ten seconds after a forward jump at run time hides that jump when it is shorter than seven days.
 */
export class ClockWatch implements TrustedTime {
  readonly #clock: Clock;
  readonly #log: Log;
  #memory: ClockMemory | undefined;
  /** Wall and monotonic time of one trusted moment of this run. */
  #base: { wallMs: number; monotonicMs: number } | undefined;
  /** Until there is one: between these the clock is believed. */
  #startBounds: Bounds = { earliestMs: -Infinity, latestMs: Infinity };
  #jump: ClockJump | undefined;
  #trustedAtMs = -Infinity;
  #noted: { atMs: number; hasJumped: boolean } | undefined;
  #writing: Promise<void> | undefined;
  #cancel = (): void => {};

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Nothing is trusted before. Rejects as the memory's `read` does. */
  async start(memory: ClockMemory): Promise<void> {
    const note = await memory.read();
    const { lastRecordAtMs = -Infinity } = memory;
    // What was recorded behind an unaccepted jump was stamped by the clock that jumped.
    this.#trustedAtMs = note?.jump ? note.trustedAtMs : Math.max(note?.trustedAtMs ?? -Infinity, lastRecordAtMs);
    this.#startBounds = { earliestMs: this.#trustedAtMs - TOLERANCE_MS, latestMs: this.#latestAtStart(note) };
    this.#memory = memory;
    this.#look();
  }

  /** A note on its way is not waited for. */
  stop(): void {
    this.#cancel();
    this.#memory = undefined;
  }

  trustedNowMs(): number | undefined {
    if (this.#memory === undefined) return undefined;
    this.#judge();
    return this.#jump === undefined ? this.#clock.nowMs() : undefined;
  }

  latestNowMs(): number {
    const trustedNowMs = this.trustedNowMs();
    return trustedNowMs ?? Math.max(this.#clock.nowMs(), this.#bounds().earliestMs + TOLERANCE_MS);
  }

  /** `undefined`: the clock is believed, or the watch has not started. */
  get jump(): ClockJump | undefined {
    return this.#jump;
  }

  /** The clock is right as it is now. Believed when that is noted. Rejects as the memory's `write` does. */
  async accept(): Promise<void> {
    const base = { wallMs: this.#clock.nowMs(), monotonicMs: this.#clock.monotonicMs() };
    await this.#writing;
    await this.#memory?.write({ trustedAtMs: base.wallMs, jump: undefined });
    this.#base = base;
    this.#judge();
    this.#noted = { atMs: base.monotonicMs, hasJumped: false };
  }

  #latestAtStart(note: ClockNote | undefined): number {
    // A former version leaves no note, and then nothing tells how long nothing was recorded.
    if (note === undefined) return Infinity;
    const { jump } = note;
    if (jump !== undefined && jump.foundAtMs > jump.expectedAtMs) return jump.foundAtMs - TOLERANCE_MS;
    return this.#trustedAtMs + LONGEST_PAUSE_MS;
  }

  #look(): void {
    this.#cancel = this.#clock.schedule(LOOK_EVERY_MS, () => this.#look());
    this.#judge();
    const hasJumped = this.#jump !== undefined;
    const isDue = this.#clock.monotonicMs() - (this.#noted?.atMs ?? -Infinity) >= NOTE_EVERY_MS;
    if (this.#noted?.hasJumped !== hasJumped || (isDue && !hasJumped)) this.#note();
  }

  #judge(): void {
    const nowMs = this.#clock.nowMs();
    const { earliestMs, latestMs } = this.#bounds();
    const before = this.#jump;
    if (nowMs >= earliestMs && nowMs <= latestMs) {
      this.#jump = undefined;
      this.#trustedAtMs = nowMs;
      this.#base ??= { wallMs: nowMs, monotonicMs: this.#clock.monotonicMs() };
      if (before !== undefined) this.#log.info({ before }, 'the clock is believed again');
    } else if (before === undefined) {
      this.#jump = { expectedAtMs: earliestMs + TOLERANCE_MS, foundAtMs: nowMs };
      this.#log.error({ jump: this.#jump }, 'the clock has jumped: nothing expires until "holdfast clock accept"');
    }
  }

  #bounds(): Bounds {
    if (this.#base === undefined) return this.#startBounds;
    const expectedMs = this.#base.wallMs + this.#clock.monotonicMs() - this.#base.monotonicMs;
    return { earliestMs: expectedMs - TOLERANCE_MS, latestMs: expectedMs + TOLERANCE_MS };
  }

  /** In the background; tried again at the next look when it fails. */
  #note(): void {
    const memory = this.#memory;
    if (memory === undefined || this.#writing !== undefined) return;
    const jump = this.#jump;
    const atMs = this.#clock.monotonicMs();
    this.#writing = memory
      .write({ trustedAtMs: this.#trustedAtMs, jump })
      .then(
        () => void (this.#noted = { atMs, hasJumped: jump !== undefined }),
        (error: unknown) => {
          if (this.#memory !== undefined)
            this.#log.warn({ error }, 'the trusted time could not be noted; it is tried again');
        },
      )
      .finally(() => (this.#writing = undefined));
  }
}

interface Bounds {
  earliestMs: number;
  latestMs: number;
}
