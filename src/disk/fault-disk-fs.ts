import type { Clock } from '../model/clock.ts';
import { makeErrno, toDiskError } from './disk-error.ts';
import type { DiskFile, DiskFs, DiskSpace, FileFacts, OpenMode } from './disk-fs.ts';
import { type DiskOperation, MUTATING_OPERATIONS } from './disk-operation.ts';
import { ROOT_PATH } from './relative-path.ts';

export type FaultEffect =
  /** Fails. `isDone` false (default): without doing it. True: after doing it, as when an answer is lost. */
  | { kind: 'error'; errno: string; isDone?: boolean }
  /** A write puts only a beginning of its bytes (whole 512-byte sectors, half of them) and fails. */
  | { kind: 'short'; errno: string }
  | { kind: 'delay'; delayMs: number }
  /** Does not go on until `releaseHung`. */
  | { kind: 'hang' }
  /** Runs the test's own code, e.g. a crash, then goes on. */
  | { kind: 'do'; action: () => void };

export interface Fault {
  operation: DiskOperation | 'any' | 'mutation';
  /** Of the path; default every path. For `publish` the final one. */
  path?: RegExp;
  /** Which of the matching calls from now on, 1-based; default the next. */
  nth?: number;
  /** How many calls from the nth on; default 1. */
  times?: number;
  effect: FaultEffect;
}

/**
 * Any other `DiskFs` with faults on call. Counts all calls, so that a sweep «fail the Nth call» knows when N lies beyond
 * the end. A sync that was made to fail poisons its file as a real one does.
 */
export class FaultDiskFs implements DiskFs {
  readonly #inner: DiskFs;
  readonly #clock: Clock;
  readonly #faults: { fault: Fault; seen: number }[] = [];
  readonly #counts = new Map<DiskOperation, number>();
  #hung: (() => void)[] = [];
  /** How many calls a fault has struck. */
  struckCount = 0;

  constructor(inner: DiskFs, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  /** Faults are tried in the order they were added; the first that matches strikes. */
  addFault(fault: Fault): void {
    this.#faults.push({ fault, seen: 0 });
  }

  clearFaults(): void {
    this.#faults.length = 0;
  }

  releaseHung(): void {
    const hung = this.#hung;
    this.#hung = [];
    for (const release of hung) release();
  }

  get hungCount(): number {
    return this.#hung.length;
  }

  /** Calls so far of one operation, of all that change the medium, or of all. */
  countOf(operation: Fault['operation']): number {
    let total = 0;
    for (const [name, count] of this.#counts) if (isOperation(name, operation)) total += count;
    return total;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const inner = await this.strike('open', path, () => this.#inner.open(path, mode));
    return new FaultDiskFile(this, inner, mode);
  }

  createDurable(path: string): Promise<void> {
    return this.strike('createDurable', path, () => this.#inner.createDurable(path));
  }

  createDirectoryDurable(path: string): Promise<void> {
    return this.strike('createDirectoryDurable', path, () => this.#inner.createDirectoryDurable(path));
  }

  publish(temporary: string, final: string): Promise<void> {
    return this.strike('publish', final, () => this.#inner.publish(temporary, final));
  }

  unlink(path: string): Promise<void> {
    return this.strike('unlink', path, () => this.#inner.unlink(path));
  }

  list(directory: string): Promise<string[]> {
    return this.strike('list', directory, () => this.#inner.list(directory));
  }

  stat(path: string): Promise<FileFacts | undefined> {
    return this.strike('stat', path, () => this.#inner.stat(path));
  }

  statSpace(): Promise<DiskSpace> {
    return this.strike('statSpace', ROOT_PATH, () => this.#inner.statSpace());
  }

  /** Counts the call and lets the fault that matches, if any, have its way. `short` is what a short write does instead. */
  async strike<T>(
    operation: DiskOperation,
    path: string,
    proceed: () => Promise<T>,
    short?: () => Promise<void>,
  ): Promise<T> {
    this.#counts.set(operation, (this.#counts.get(operation) ?? 0) + 1);
    const effect = this.#effectOn(operation, path);
    if (effect === undefined) return proceed();
    this.struckCount++;
    switch (effect.kind) {
      case 'error':
        if (effect.isDone === true) await proceed();
        throw toDiskError(makeErrno(effect.errno, operation, path), operation, path);
      case 'short':
        await short?.();
        throw toDiskError(makeErrno(effect.errno, operation, path), operation, path);
      case 'delay':
        await new Promise<void>((resolve) => this.#clock.schedule(effect.delayMs, resolve));
        return proceed();
      case 'hang':
        await new Promise<void>((resolve) => this.#hung.push(resolve));
        return proceed();
      case 'do':
        effect.action();
        return proceed();
    }
  }

  #effectOn(operation: DiskOperation, path: string): FaultEffect | undefined {
    let effect: FaultEffect | undefined;
    for (const entry of this.#faults) {
      const { fault } = entry;
      if (!isOperation(operation, fault.operation) || fault.path?.test(path) === false) continue;
      const nth = fault.nth ?? 1;
      entry.seen++;
      if (entry.seen >= nth && entry.seen < nth + (fault.times ?? 1)) effect ??= fault.effect;
    }
    return effect;
  }
}

class FaultDiskFile implements DiskFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly #fs: FaultDiskFs;
  readonly #inner: DiskFile;
  readonly #mode: OpenMode;
  #poison: unknown;

  constructor(fs: FaultDiskFs, inner: DiskFile, mode: OpenMode) {
    this.#fs = fs;
    this.#inner = inner;
    this.#mode = mode;
    this.path = inner.path;
    this.device = inner.device;
    this.inode = inner.inode;
  }

  write(buffer: Uint8Array, offset: number): Promise<void> {
    const shortBytes = Math.floor(buffer.length / 2 / 512) * 512;
    const short = async (): Promise<void> => {
      if (shortBytes > 0 && this.#mode === 'write') await this.#inner.write(buffer.subarray(0, shortBytes), offset);
    };
    return this.#poisoning('write', this.#mode === 'direct-sync', () => this.#inner.write(buffer, offset), short);
  }

  read(buffer: Uint8Array, offset: number): Promise<number> {
    return this.#fs.strike('read', this.path, () => this.#inner.read(buffer, offset));
  }

  datasync(): Promise<void> {
    return this.#poisoning('datasync', true, () => this.#inner.datasync());
  }

  truncate(lengthBytes: number): Promise<void> {
    return this.#poisoning('truncate', true, () => this.#inner.truncate(lengthBytes));
  }

  stillThere(): Promise<boolean> {
    return this.#fs.strike('stillThere', this.path, () => this.#inner.stillThere());
  }

  sizeBytes(): Promise<number> {
    return this.#fs.strike('sizeBytes', this.path, () => this.#inner.sizeBytes());
  }

  close(): Promise<void> {
    return this.#fs.strike('close', this.path, () => this.#inner.close());
  }

  async #poisoning(
    operation: DiskOperation,
    isSync: boolean,
    proceed: () => Promise<void>,
    short?: () => Promise<void>,
  ): Promise<void> {
    if (this.#poison !== undefined) {
      throw toDiskError(makeErrno('EIO', 'poisoned file', this.path), operation, this.path);
    }
    try {
      await this.#fs.strike(operation, this.path, proceed, short);
    } catch (error) {
      if (isSync) this.#poison = error;
      throw error;
    }
  }
}

function isOperation(operation: DiskOperation, wanted: Fault['operation']): boolean {
  return wanted === 'any' || wanted === operation || (wanted === 'mutation' && MUTATING_OPERATIONS.has(operation));
}
