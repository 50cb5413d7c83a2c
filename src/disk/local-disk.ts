import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import { makeErrno, missingDiskError } from './disk-error.ts';
import type { DiskFs, DiskSpace } from './disk-fs.ts';
import type { DiskLocation } from './disk-location.ts';
import { CallPace, isSlowProbe } from './call-pace.ts';
import { classifyFailure, DiskHealth, type HealthLimits } from './disk-health.ts';
import { IDENTITY_FILE, LOCK_FILE } from './disk-identity.ts';
import { type DiskLock, isReadOnlyLockFailure } from './disk-lock.ts';
import type { Disk, DiskState } from './disk-set.ts';
import { DiskGuard, GuardedDiskFs } from './guarded-disk-fs.ts';
import { probeDisk } from './probe-disk.ts';

export interface LocalDiskOptions {
  id: string;
  index: number;
  /** False: it is being added, and is not online before `enlist`. */
  isListed: boolean;
  /** Where it was seen last, in an earlier run. */
  lastPath: string | undefined;
  clock: Clock;
  random: Randomness;
  log: Log;
  reserveBytes: number;
  deadlineMs: number;
  maxCallsInFlight: number;
  health: HealthLimits;
  acquireLock: (path: string) => DiskLock;
  onChange: (disk: LocalDisk, before: DiskState) => void;
}

/** After an ENOSPC the disk takes no data for this long, whatever it says of its space (inodes, quotas). */
const FULL_HOLD_MS = 5000;
/** Writes so long ago say nothing any more about how fast it is. */
const PACE_WINDOW_MS = 2000;
/** Looks in a row, one each second or so, after which a slow disk is suspect. */
const SLOW_LOOKS = 2;
/** Watches and probes have places of their own: they must get through when the stores' calls fill all others. */
const WATCH_PLACES = 3;

/**
 * One disk of the set: where it is, what state it is in, and why. States change here only.
 *
 * missing → returning (its directory is back) → online (the journal levelled it). online or returning → suspect (a missed
 * deadline, failed writes, many failed reads) → failed (strikes go on: calls are refused at once). A probe that succeeds
 * makes it returning, or online when the journal missed nothing. Any → missing (the path does not show the identity file that was found there).
 */
export class LocalDisk implements Disk {
  readonly id: string;
  readonly fs: GuardedDiskFs;
  readonly #options: LocalDiskOptions;
  readonly #guard: DiskGuard;
  readonly #watchFs: GuardedDiskFs;
  readonly #health: DiskHealth;
  readonly #pace = new CallPace();
  /** Suspect for that alone: a probe must be fast. */
  #isSlow = false;
  /** Looks in a row at which it was slow beside the others. */
  #slowLooks = 0;
  /** Errors seen already: the guard reports what its caller will report again. */
  readonly #seen = new WeakSet<object>();
  #location: DiskLocation | undefined;
  #lock: DiskLock | undefined;
  #state: DiskState = 'missing';
  #stateSinceMs: number;
  #stateReason: string | undefined = 'no given path carries it';
  #space: DiskSpace = { totalBytes: 0, freeBytes: 0 };
  /** As the journal said last; decides where a disk that works again returns to. */
  #isLevel = false;
  #isAboveReserve = false;
  #isListed: boolean;
  #isDraining = false;
  #index: number;
  #lastPath: string | undefined;
  readonly #changeCounts = new Map<DiskState, number>();
  #fullUntilMs = -Infinity;
  #isWatching = false;
  #isProbing = false;
  #cancelProbe: (() => void) | undefined;
  #isClosed = false;

  constructor(options: LocalDiskOptions) {
    this.#options = options;
    this.id = options.id;
    this.#index = options.index;
    this.#isListed = options.isListed;
    this.#lastPath = options.lastPath;
    this.#stateSinceMs = options.clock.nowMs();
    this.#health = new DiskHealth(options.health, options.random);
    const guardOptions = {
      name: `disk ${options.index}`,
      clock: options.clock,
      deadlineMs: options.deadlineMs,
      onFailure: (operation: string, error: StoreError) => this.noteFailure(operation, error),
    };
    this.#guard = new DiskGuard({
      ...guardOptions,
      maxCallsInFlight: options.maxCallsInFlight,
      onWritten: (tookMs) => this.#pace.note(tookMs, options.clock.monotonicMs()),
    });
    const watchGuard = new DiskGuard({ ...guardOptions, maxCallsInFlight: WATCH_PLACES });
    const inner = (): DiskFs => {
      assert(this.#location !== undefined, 'a call passed the guard of a disk that is nowhere');
      return this.#location.fs;
    };
    this.fs = new GuardedDiskFs(inner, this.#guard);
    this.#watchFs = new GuardedDiskFs(inner, watchGuard);
    this.#shut(missingDiskError(`of disk ${options.index} (${options.id})`, undefined));
  }

  get index(): number {
    return this.#index;
  }

  get path(): string | undefined {
    return this.#location?.path;
  }

  /** Where it is, or was when it was seen last. */
  get lastPath(): string | undefined {
    return this.#lastPath;
  }

  /** In the cluster's list; false while it is being added. */
  get isListed(): boolean {
    return this.#isListed;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** How often it has come into each state since this process began. */
  get changeCounts(): ReadonlyMap<DiskState, number> {
    return this.#changeCounts;
  }

  get state(): DiskState {
    return this.#state;
  }

  get acceptsData(): boolean {
    return this.#state === 'online' && this.#isAboveReserve && !this.#isDraining;
  }

  get space(): DiskSpace {
    return this.#space;
  }

  get stateSinceMs(): number {
    return this.#stateSinceMs;
  }

  get stateReason(): string | undefined {
    return this.#stateReason;
  }

  /** Of the file system it lies on, to tell disks that share a device; `undefined` while it is missing. */
  get device(): number | undefined {
    return this.#location?.identityFacts.device;
  }

  /** Calls that the system has not returned from. */
  get callsInFlight(): number {
    return this.#guard.inFlightCount;
  }

  /**
   * Its directory was found: `state` is `online` at the start and `returning` at run time.
   * @throws StoreError NotReady: another process holds its lock
   */
  bind(location: DiskLocation, state: 'online' | 'returning'): void {
    assert(this.#location === undefined, 'a disk is in two places');
    let isReadOnly = false;
    try {
      this.#lock = this.#options.acquireLock(location.path);
    } catch (error) {
      if (!isReadOnlyLockFailure(error)) throw error;
      isReadOnly = true;
    }
    this.#location = location;
    this.#isSlow = false;
    this.#slowLooks = 0;
    this.#pace.forget();
    this.#lastPath = location.path;
    this.#isLevel = state === 'online';
    this.#noteSpace(location.space);
    this.#guard.reopen();
    this.#setState(state, state === 'online' ? undefined : 'its directory is back; the journal is not level yet');
    if (isReadOnly) this.noteFailure('lock', makeErrno('EROFS', 'lock', location.path));
  }

  /** Its directory cannot be used now; `foreign` when one is there that must not be. */
  unbind(state: 'missing' | 'foreign', reason: string): void {
    this.#cancelProbe?.();
    this.#cancelProbe = undefined;
    const where = this.path ?? `of disk ${this.index}`;
    this.#location = undefined;
    this.#isLevel = false;
    this.#lock?.release();
    this.#lock = undefined;
    this.#shut(missingDiskError(where, undefined));
    this.#setState(state, reason);
  }

  /** A suspect disk stays so until a probe succeeds, and is online then. */
  markLevel(): void {
    if (this.#location === undefined) return;
    this.#isLevel = true;
    if (this.#state === 'returning' && this.#isListed) this.#setState('online', undefined);
  }

  /** It is in the cluster's list, at this position. */
  enlist(index: number): void {
    this.#index = index;
    if (this.#isListed) return;
    this.#isListed = true;
    if (this.#isLevel) this.markLevel();
  }

  setDraining(isDraining: boolean): void {
    if (this.#isDraining === isDraining) return;
    this.#isDraining = isDraining;
    const fields = { diskId: this.id, diskIndex: this.index, path: this.path };
    this.#options.log.info(fields, isDraining ? 'disk is draining' : 'disk is no longer draining');
    this.#options.onChange(this, this.#state);
  }

  markBehind(reason: string): void {
    this.#isLevel = false;
    if (this.#state === 'online') this.#setState('returning', reason);
  }

  /** What a failed call means for this disk; each error counts once, whoever reports it. */
  noteFailure(operation: string, error: unknown): void {
    if (this.#location === undefined || this.#isClosed) return;
    if (typeof error === 'object' && error !== null) {
      if (this.#seen.has(error)) return;
      this.#seen.add(error);
    }
    const { clock, log } = this.#options;
    const kind = classifyFailure(operation, error);
    if (kind === 'none') return;
    log.warn({ diskId: this.id, path: this.path, operation, err: error }, 'a disk call failed');
    const why = `${operation}: ${error instanceof Error ? error.message : String(error)}`;
    if (kind === 'missing') return this.unbind('missing', why);
    if (kind === 'full') {
      this.#fullUntilMs = clock.monotonicMs() + FULL_HOLD_MS;
      return this.#decideSpace();
    }
    const verdict = this.#health.note(kind, clock.monotonicMs());
    if (verdict === undefined) return;
    if (verdict === 'failed') {
      this.#isLevel = false;
      this.#shut(
        new StoreError('DiskFailed', `disk ${this.index} (${this.path}) was ejected: ${why}`, {
          hint: 'it is probed and comes back by itself when it works; see the kernel log',
          cause: error,
        }),
      );
    }
    if (this.#state !== 'failed') this.#setState(verdict, why);
    this.#scheduleProbe();
  }

  /** What a write or a sync of it usually took lately; `undefined` while it is not in use or there were too few. */
  writeMs(): number | undefined {
    if (this.#state !== 'online') return undefined;
    return this.#pace.medianMs(this.#options.clock.monotonicMs() - PACE_WINDOW_MS);
  }

  /** How it compares with the others: every write waits for its slowest disk, so one that stays slow is not written to. */
  notePace({ writeMs, isSlow }: { writeMs: number | undefined; isSlow: boolean }): void {
    this.#slowLooks = isSlow ? this.#slowLooks + 1 : 0;
    if (this.#slowLooks < SLOW_LOOKS || this.#state !== 'online') return;
    this.#slowLooks = 0;
    this.#noteSlow(`a write takes ${Math.round(writeMs ?? 0)} ms, far longer than on the other disks`);
  }

  #noteSlow(why: string): void {
    this.#isSlow = true;
    this.#pace.forget();
    this.#health.note('slow', this.#options.clock.monotonicMs());
    if (this.#state !== 'failed') this.#setState('suspect', why);
    this.#scheduleProbe();
  }

  /** One look at the directory, unless the last one is still under way. Never rejects. */
  async watch(): Promise<void> {
    const location = this.#location;
    if (location === undefined || this.#isWatching) return;
    this.#isWatching = true;
    try {
      const [identity, space] = await Promise.all([this.#watchFs.stat(IDENTITY_FILE), this.#watchFs.statSpace()]);
      if (this.#location !== location) return;
      const { device, inode } = location.identityFacts;
      if (identity === undefined) this.unbind('missing', `${location.path}/${IDENTITY_FILE} is gone`);
      else if (identity.device !== device || identity.inode !== inode) {
        this.unbind('missing', `another directory is at ${location.path}`);
      } else {
        this.#noteSpace(space);
        this.#health.forgetOldStrikes(this.#options.clock.monotonicMs());
      }
    } catch (error) {
      // The watch's guard has told `noteFailure`; a second report of the same error is ignored.
      if (this.#location === location) this.noteFailure('watch', error);
    } finally {
      this.#isWatching = false;
    }
  }

  /** Releases the lock and refuses further calls. Calls that hang are left to the system. */
  close(): void {
    this.#isClosed = true;
    this.#cancelProbe?.();
    this.#guard.shut(new StoreError('NotReady', 'the server is stopping'));
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** A watch or a probe that has not come back. */
  get isBusy(): boolean {
    return this.#isWatching || this.#isProbing;
  }

  #scheduleProbe(): void {
    if (this.#cancelProbe !== undefined || this.#isProbing || this.#isClosed) return;
    this.#cancelProbe = this.#options.clock.schedule(this.#health.probeDelayMs(), () => {
      this.#cancelProbe = undefined;
      void this.#probe();
    });
  }

  /** Never rejects. */
  async #probe(): Promise<void> {
    const location = this.#location;
    if (location === undefined || this.#isProbing) return;
    this.#isProbing = true;
    let isGood = false;
    const beganAtMs = this.#options.clock.monotonicMs();
    try {
      const callCount = await probeDisk(this.#watchFs);
      const tookMs = this.#options.clock.monotonicMs() - beganAtMs;
      const isStillSlow = this.#isSlow && isSlowProbe(tookMs, callCount);
      if (this.#lock === undefined && (await this.#watchFs.stat(LOCK_FILE)) === undefined) {
        await this.#watchFs.createDurable(LOCK_FILE);
      }
      if (this.#location === location) this.#lock ??= this.#options.acquireLock(location.path);
      isGood = !isStillSlow;
      if (isStillSlow) this.#health.note('slow', this.#options.clock.monotonicMs());
    } catch (error) {
      if (this.#location === location) this.noteFailure('probe', error);
    } finally {
      this.#isProbing = false;
    }
    if (this.#location !== location || this.#isClosed) return;
    if (this.#state !== 'suspect' && this.#state !== 'failed') return;
    // While a late call may still change something there, what is levelled now would not stay so.
    if (!isGood || this.#guard.hasLateChange) return this.#scheduleProbe();
    this.#isSlow = false;
    this.#guard.reopen();
    if (this.#isLevel && this.#isListed) this.#setState('online', undefined);
    else this.#setState('returning', 'it works again; the journal is not level yet');
  }

  #noteSpace(space: DiskSpace): void {
    this.#space = space;
    this.#decideSpace();
  }

  /** At most a tenth of the disk is kept back. A little more than the reserve must be free to begin again, so that the line is not crossed with every delete. */
  #decideSpace(): void {
    const { clock, onChange } = this.#options;
    const reserveBytes = Math.min(this.#options.reserveBytes, this.#space.totalBytes / 10);
    const neededBytes = this.#isAboveReserve ? reserveBytes : reserveBytes + reserveBytes / 16;
    const isAboveReserve = this.#space.freeBytes >= neededBytes && clock.monotonicMs() >= this.#fullUntilMs;
    if (isAboveReserve === this.#isAboveReserve) return;
    this.#isAboveReserve = isAboveReserve;
    if (this.#state === 'online') onChange(this, 'online');
  }

  #setState(state: DiskState, reason: string | undefined): void {
    const before = this.#state;
    if (state === before) {
      this.#stateReason = reason;
      return;
    }
    this.#state = state;
    this.#stateReason = reason;
    this.#changeCounts.set(state, (this.#changeCounts.get(state) ?? 0) + 1);
    const { clock, log, onChange } = this.#options;
    this.#stateSinceMs = clock.nowMs();
    const fields = { diskId: this.id, diskIndex: this.index, path: this.path, before, state, reason };
    if (state === 'online') log.info(fields, 'disk is online');
    else log.warn(fields, `disk is ${state}`);
    onChange(this, before);
  }

  /** The reason itself says nothing new about the disk when callers report it. */
  #shut(reason: StoreError): void {
    this.#seen.add(reason);
    this.#guard.shut(reason);
  }
}
