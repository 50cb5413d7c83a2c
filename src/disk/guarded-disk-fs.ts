import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import type { Clock } from '../model/clock.ts';
import { errnoOf, toDiskError } from './disk-error.ts';
import type { DiskFile, DiskFs, DiskSpace, FileFacts, OpenMode } from './disk-fs.ts';
import { type DiskOperation, MUTATING_OPERATIONS } from './disk-operation.ts';
import { ROOT_PATH } from './relative-path.ts';

/** Deadlines are kept to this coarseness: no timer for each call, one sweep over what is under way. */
const SWEEPS_PER_DEADLINE = 8;

export interface DiskGuardOptions {
  /** For messages. */
  name: string;
  clock: Clock;
  /** Of one call, waiting for a place included. It is missed after this time and at most an eighth more. */
  deadlineMs: number;
  /** Calls handed to the system at once; below the size of libuv's thread pool divided by the disks that may hang. */
  maxCallsInFlight: number;
  /** Told of every failure that may say something about the disk; runs before the caller's promise rejects. */
  onFailure?: (operation: DiskOperation, error: StoreError) => void;
  /** Told how long each write and sync took that succeeded, waiting for a place included. */
  onWritten?: (tookMs: number) => void;
}

/** A call that has not settled for its caller. */
interface Call {
  operation: DiskOperation;
  path: string;
  /** Sweeps seen; counted instead of reading a clock, so that a stall of this process is not blamed on the disk. */
  sweeps: number;
  /** Set while it waits for a place. */
  start: (() => void) | undefined;
  reject: (error: StoreError) => void;
  /** Set when the deadline was missed: the system has really returned. */
  onReturn: (() => void) | undefined;
}

const lateReturns = new WeakMap<StoreError, Promise<void>>();

/**
 * When the buffer of a failed call is free again. After a DiskTimeout the system may still read or write it: it goes back
 * to its pool, and its file region is used again, only then (which may be never). For any other error that is at once.
 */
export function whenReturned(error: unknown): Promise<void> {
  return (error instanceof StoreError ? lateReturns.get(error) : undefined) ?? Promise.resolve();
}

/**
 * Keeps one bad disk from freezing the process: at most `maxCallsInFlight` calls of this disk occupy threads, each call
 * rejects with DiskTimeout when its deadline passes, and while the guard is shut calls reject at once. A call that
 * missed its deadline keeps its place until the system really returns: the thread is still taken, and so is its buffer
 * (see `whenReturned`). If it was to change something it may still do so, over whatever was done after it: until it
 * returns no further change begins.
 */
export class DiskGuard {
  readonly #options: DiskGuardOptions;
  readonly #sweepMs: number;
  readonly #underWay = new Set<Call>();
  #waiting: Call[] = [];
  #inFlight = 0;
  /** Calls that change the medium, missed their deadline and have not returned. */
  #lateChangeCount = 0;
  #lateRefusal: StoreError | undefined;
  #shutReason: StoreError | undefined;
  #isSweeping = false;

  constructor(options: DiskGuardOptions) {
    assert(options.maxCallsInFlight > 0 && options.deadlineMs > 0, 'a guard needs places and a deadline');
    this.#options = options;
    this.#sweepMs = options.deadlineMs / SWEEPS_PER_DEADLINE;
  }

  /** Places taken, those of calls that missed their deadline included. */
  get inFlightCount(): number {
    return this.#inFlight;
  }

  /** May the system still carry out a change that its caller has given up? */
  get hasLateChange(): boolean {
    return this.#lateChangeCount > 0;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** From now on calls reject with `reason`; those waiting for a place do so now, those under way end by themselves. */
  shut(reason: StoreError): void {
    this.#shutReason = reason;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) {
      this.#underWay.delete(call);
      call.reject(reason);
    }
  }

  reopen(): void {
    this.#shutReason = undefined;
  }

  run<T>(operation: DiskOperation, path: string, proceed: () => Promise<T>): Promise<T> {
    const refusal = this.#refusalOf(operation);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise<T>((resolve, reject) => {
      const call: Call = { operation, path, sweeps: 0, start: undefined, reject, onReturn: undefined };
      this.#underWay.add(call);
      if (!this.#isSweeping) this.#scheduleSweep();
      if (this.#inFlight < this.#options.maxCallsInFlight) this.#start(call, proceed, resolve);
      else {
        call.start = () => this.#start(call, proceed, resolve);
        this.#waiting.push(call);
      }
    });
  }

  /** `run` for calls that tell how fast the disk is. */
  async runTimed(operation: DiskOperation, path: string, proceed: () => Promise<void>): Promise<void> {
    const { clock, onWritten } = this.#options;
    if (onWritten === undefined) return this.run(operation, path, proceed);
    const beganAtMs = clock.monotonicMs();
    await this.run(operation, path, proceed);
    onWritten(clock.monotonicMs() - beganAtMs);
  }

  /** Takes no place and passes a shut guard: for closing files. Its deadline holds. */
  runAlways<T>(operation: DiskOperation, path: string, proceed: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call: Call = { operation, path, sweeps: 0, start: undefined, reject, onReturn: undefined };
      this.#underWay.add(call);
      if (!this.#isSweeping) this.#scheduleSweep();
      callSafely(proceed).then(
        (value) => {
          this.#underWay.delete(call);
          resolve(value);
        },
        (error: unknown) => this.#fail(call, error),
      );
    });
  }

  #refusalOf(operation: DiskOperation): StoreError | undefined {
    return this.#shutReason ?? (MUTATING_OPERATIONS.has(operation) ? this.#lateRefusal : undefined);
  }

  #start<T>(call: Call, proceed: () => Promise<T>, resolve: (value: T) => void): void {
    call.start = undefined;
    const refusal = this.#refusalOf(call.operation);
    if (refusal !== undefined) {
      this.#underWay.delete(call);
      call.reject(refusal);
      return;
    }
    this.#inFlight++;
    callSafely(proceed).then(
      (value) => {
        this.#returned(call);
        this.#underWay.delete(call);
        resolve(value);
      },
      (error: unknown) => {
        this.#returned(call);
        this.#fail(call, error);
      },
    );
  }

  #returned(call: Call): void {
    this.#inFlight--;
    call.onReturn?.();
    while (this.#inFlight < this.#options.maxCallsInFlight) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next.start?.();
    }
  }

  #fail(call: Call, error: unknown): void {
    const isStillAwaited = this.#underWay.delete(call);
    if (!(error instanceof StoreError) && errnoOf(error) === undefined) {
      // Our own bug (an assertion): it must not look like a disk's failure.
      call.reject(error as StoreError);
      return;
    }
    const failure = toDiskError(error, call.operation, `${this.#options.name}/${call.path}`);
    this.#options.onFailure?.(call.operation, failure);
    if (isStillAwaited) call.reject(failure);
  }

  #scheduleSweep(): void {
    this.#isSweeping = true;
    this.#options.clock.schedule(this.#sweepMs, () => {
      this.#isSweeping = false;
      this.#sweep();
      if (this.#underWay.size > 0) this.#scheduleSweep();
    });
  }

  #noteLate(call: Call, error: StoreError): void {
    const isChange = MUTATING_OPERATIONS.has(call.operation);
    if (isChange) {
      this.#lateChangeCount++;
      // One for all that are refused meanwhile: whoever reports it reports nothing new.
      this.#lateRefusal ??= new StoreError(
        'DiskTimeout',
        `${this.#options.name} takes no change before ${call.operation} ${call.path} has returned`,
        { cause: error },
      );
    }
    const returned = new Promise<void>((resolve) => {
      call.onReturn = () => {
        if (isChange && --this.#lateChangeCount === 0) this.#lateRefusal = undefined;
        resolve();
      };
    });
    lateReturns.set(error, returned);
  }

  #sweep(): void {
    const { name, deadlineMs, onFailure } = this.#options;
    for (const call of this.#underWay) {
      // The first sweep may come right after the call.
      if (call.sweeps++ < SWEEPS_PER_DEADLINE) continue;
      this.#underWay.delete(call);
      const error = new StoreError(
        'DiskTimeout',
        `${call.operation} ${name}/${call.path} did not return in ${deadlineMs} ms`,
        { hint: 'the device hangs or is far too slow; look at the kernel log' },
      );
      if (call.start === undefined) this.#noteLate(call, error);
      else this.#waiting = this.#waiting.filter((other) => other !== call);
      onFailure?.(call.operation, error);
      call.reject(error);
    }
  }
}

/** A throw before the first await must not take a place for ever. */
function callSafely<T>(proceed: () => Promise<T>): Promise<T> {
  try {
    return proceed();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** A `DiskFs` behind a `DiskGuard`. */
export class GuardedDiskFs implements DiskFs {
  readonly guard: DiskGuard;
  readonly #inner: () => DiskFs;

  /** `inner` is asked at each call: a disk may come back at another path. */
  constructor(inner: () => DiskFs, guard: DiskGuard) {
    this.#inner = inner;
    this.guard = guard;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const opening: { file?: Promise<DiskFile> } = {};
    try {
      const inner = await this.guard.run('open', path, () => (opening.file = this.#inner().open(path, mode)));
      return new GuardedDiskFile(inner, this.guard);
    } catch (error) {
      // A file that opens after its deadline has nobody who would close it.
      opening.file
        ?.then(
          (file) => file.close(),
          () => undefined,
        )
        .catch(() => undefined);
      throw error;
    }
  }

  createDurable(path: string): Promise<void> {
    return this.guard.run('createDurable', path, () => this.#inner().createDurable(path));
  }

  createDirectoryDurable(path: string): Promise<void> {
    return this.guard.run('createDirectoryDurable', path, () => this.#inner().createDirectoryDurable(path));
  }

  publish(temporary: string, final: string): Promise<void> {
    return this.guard.run('publish', final, () => this.#inner().publish(temporary, final));
  }

  unlink(path: string): Promise<void> {
    return this.guard.run('unlink', path, () => this.#inner().unlink(path));
  }

  list(directory: string): Promise<string[]> {
    return this.guard.run('list', directory, () => this.#inner().list(directory));
  }

  stat(path: string): Promise<FileFacts | undefined> {
    return this.guard.run('stat', path, () => this.#inner().stat(path));
  }

  statSpace(): Promise<DiskSpace> {
    return this.guard.run('statSpace', ROOT_PATH, () => this.#inner().statSpace());
  }
}

class GuardedDiskFile implements DiskFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly #inner: DiskFile;
  readonly #guard: DiskGuard;

  constructor(inner: DiskFile, guard: DiskGuard) {
    this.#inner = inner;
    this.#guard = guard;
    this.path = inner.path;
    this.device = inner.device;
    this.inode = inner.inode;
  }

  write(buffer: Uint8Array, offset: number): Promise<void> {
    return this.#guard.runTimed('write', this.path, () => this.#inner.write(buffer, offset));
  }

  read(buffer: Uint8Array, offset: number): Promise<number> {
    return this.#guard.run('read', this.path, () => this.#inner.read(buffer, offset));
  }

  datasync(): Promise<void> {
    return this.#guard.runTimed('datasync', this.path, () => this.#inner.datasync());
  }

  truncate(lengthBytes: number): Promise<void> {
    return this.#guard.run('truncate', this.path, () => this.#inner.truncate(lengthBytes));
  }

  stillThere(): Promise<boolean> {
    return this.#guard.run('stillThere', this.path, () => this.#inner.stillThere());
  }

  sizeBytes(): Promise<number> {
    return this.#guard.run('sizeBytes', this.path, () => this.#inner.sizeBytes());
  }

  close(): Promise<void> {
    return this.#guard.runAlways('close', this.path, () => this.#inner.close());
  }
}
