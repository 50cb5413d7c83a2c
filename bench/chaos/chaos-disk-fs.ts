import { readFileSync, statSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import type * as diskErrors from '../../src/disk/disk-error.ts';
import type { DiskFile, DiskFs, DiskSpace, OpenMode } from '../../src/disk/disk-fs.ts';
import { type DiskOperation, MUTATING_OPERATIONS } from '../../src/disk/disk-operation.ts';
import type * as faultDisks from '../../src/disk/fault-disk-fs.ts';
import type { Clock } from '../../src/model/clock.ts';

/** What is wrong with a disk now. */
export type StandingFault =
  | { kind: 'slow'; delayMs: number }
  /** Calls do not return, and keep their threads, until somebody opens this FIFO for writing. */
  | { kind: 'hang'; gate: string }
  | { kind: 'read-only' }
  /** No byte more than there is; what lies in files already can be written over. */
  | { kind: 'full' };

const LOOK_EVERY_MS = 20;

/** The faults of all disks by path, as a file says that the bench replaces: it outlives the server that it hurts. */
export class StandingFaults {
  readonly #path: string;
  #modifiedMs = 0;
  #byDisk: Record<string, StandingFault> = {};

  constructor(path: string) {
    this.#path = path;
    this.#look();
    setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  #look(): void {
    const { mtimeMs } = statSync(this.#path);
    if (mtimeMs === this.#modifiedMs) return;
    this.#modifiedMs = mtimeMs;
    this.#byDisk = JSON.parse(readFileSync(this.#path, 'utf8')) as Record<string, StandingFault>;
  }

  of(disk: string): StandingFault | undefined {
    return this.#byDisk[disk];
  }
}

/**
 * Makes disks of the server under test that are slow, hang, are read-only or full for as long as the bench says so. The
 * modules are those of the server: its errors are known by their class.
 */
export function chaosDisks({ FaultDiskFs }: typeof faultDisks, { makeErrno, toDiskError }: typeof diskErrors) {
  const refuse = (errno: string, operation: string, path: string): never => {
    throw toDiskError(makeErrno(errno, operation, path), operation, path);
  };
  class ChaosDiskFs extends FaultDiskFs {
    readonly #fault: () => StandingFault | undefined;
    readonly #pause: (delayMs: number) => Promise<void>;

    constructor(inner: DiskFs, clock: Clock, fault: () => StandingFault | undefined) {
      super(inner, clock);
      this.#fault = fault;
      this.#pause = (delayMs) => new Promise((resolve) => void clock.schedule(delayMs, resolve));
    }

    override async strike<T>(
      operation: DiskOperation,
      path: string,
      proceed: () => Promise<T>,
      short?: () => Promise<void>,
    ): Promise<T> {
      const fault = this.#fault();
      if (fault?.kind === 'slow') await this.#pause(fault.delayMs);
      if (fault?.kind === 'hang') await (await openFile(fault.gate, 'r')).close();
      if (fault?.kind === 'read-only' && MUTATING_OPERATIONS.has(operation)) refuse('EROFS', operation, path);
      const isNew = operation === 'createDurable' || operation === 'createDirectoryDurable';
      if (fault?.kind === 'full' && isNew) refuse('ENOSPC', operation, path);
      return super.strike(operation, path, proceed, short);
    }

    override async open(path: string, mode: OpenMode): Promise<DiskFile> {
      if (mode !== 'read' && this.#fault()?.kind === 'read-only') refuse('EROFS', 'open', path);
      const file = await super.open(path, mode);
      const write = file.write.bind(file);
      file.write = async (buffer, offset) => {
        const isMore = this.#fault()?.kind === 'full' && offset + buffer.length > (await file.sizeBytes());
        if (isMore) refuse('ENOSPC', 'write', path);
        return write(buffer, offset);
      };
      return file;
    }

    override async statSpace(): Promise<DiskSpace> {
      const space = await super.statSpace();
      return this.#fault()?.kind === 'full' ? { ...space, freeBytes: 0 } : space;
    }
  }

  return (inner: DiskFs, clock: Clock, fault: () => StandingFault | undefined): DiskFs =>
    new ChaosDiskFs(inner, clock, fault);
}
