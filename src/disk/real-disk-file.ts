import * as fs from 'node:fs';
import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import { errnoOf, makeErrno, toDiskError } from './disk-error.ts';
import { DIRECT_IO_ALIGNMENT_BYTES, type DiskFile } from './disk-fs.ts';
import type { UnsyncedFiles } from './unsynced-files.ts';

export interface OpenedDescriptor {
  path: string;
  absolutePath: string;
  descriptor: number;
  device: number;
  inode: number;
  isDirect: boolean;
  /** No O_DSYNC, but the mode promises it: `fdatasync` follows each write. */
  syncsEachWrite: boolean;
  /** A failed write is a failed sync. */
  writesAreSyncs: boolean;
  /** Its path can be looked up without waiting for a device. */
  isLocal: boolean;
  /** Given: nothing waits for syncs, this keeps account of what lacks one. */
  unsynced: UnsyncedFiles | undefined;
}

/**
 * An open file of `RealDiskFs`. Callbacks of `node:fs` are wrapped thinly: one promise and one closure for each call.
 *
 * Invariants: after a failed sync (or a failed write of `direct-sync`) every later write, sync and truncate throws, as
 * the kernel may have dropped the pages and would report success the second time. The descriptor is closed only when
 * no call is under way on it: its number could otherwise name another file for a call that still runs.
 */
export class RealDiskFile implements DiskFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly #absolutePath: string;
  readonly #descriptor: number;
  readonly #isDirect: boolean;
  readonly #syncsEachWrite: boolean;
  readonly #writesAreSyncs: boolean;
  readonly #isLocal: boolean;
  readonly #unsynced: UnsyncedFiles | undefined;
  #poison: StoreError | undefined;
  #inFlight = 0;
  #closing: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(opened: OpenedDescriptor) {
    this.path = opened.path;
    this.device = opened.device;
    this.inode = opened.inode;
    this.#absolutePath = opened.absolutePath;
    this.#descriptor = opened.descriptor;
    this.#isDirect = opened.isDirect;
    this.#syncsEachWrite = opened.syncsEachWrite;
    this.#writesAreSyncs = opened.writesAreSyncs;
    this.#isLocal = opened.isLocal;
    this.#unsynced = opened.unsynced;
  }

  write(buffer: Uint8Array, offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal('write');
      if (refusal !== undefined) return reject(refusal);
      this.#inFlight++;
      this.#writeFrom(buffer, 0, offset, (error) => {
        this.#settled();
        this.#unsynced?.noteWrite(this, buffer.length);
        if (error === undefined) return resolve();
        const failure = toDiskError(error, 'write', this.path);
        if (this.#writesAreSyncs) this.#poison ??= failure;
        reject(failure);
      });
    });
  }

  /** Writes `buffer` from `done` on at `offset + done`; the system may take several calls for it. */
  #writeFrom(buffer: Uint8Array, done: number, offset: number, finish: (error?: unknown) => void): void {
    fs.write(this.#descriptor, buffer, done, buffer.length - done, offset + done, (error, written) => {
      if (error !== null) return finish(error);
      const total = done + written;
      if (total < buffer.length) {
        if (written === 0) return finish(makeErrno('EIO', 'write of nothing', this.path));
        return this.#writeFrom(buffer, total, offset, finish);
      }
      if (!this.#syncsEachWrite) return finish();
      fs.fdatasync(this.#descriptor, (syncError) => finish(syncError ?? undefined));
    });
  }

  read(buffer: Uint8Array, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#closing !== undefined) return reject(this.#closedError('read'));
      this.#inFlight++;
      this.#readFrom(buffer, 0, offset, (error, count) => {
        this.#settled();
        if (error === undefined) resolve(count);
        else reject(toDiskError(error, 'read', this.path));
      });
    });
  }

  #readFrom(buffer: Uint8Array, done: number, offset: number, finish: (error: unknown, count: number) => void): void {
    fs.read(this.#descriptor, buffer, done, buffer.length - done, offset + done, (error, count) => {
      if (error !== null) return finish(error, 0);
      const total = done + count;
      // A direct read is short only at the end of the file, and its rest would not be aligned.
      const isAtEnd = count === 0 || (this.#isDirect && count % DIRECT_IO_ALIGNMENT_BYTES !== 0);
      if (total === buffer.length || isAtEnd) finish(undefined, total);
      else this.#readFrom(buffer, total, offset, finish);
    });
  }

  datasync(): Promise<void> {
    if (this.#unsynced === undefined) return this.#sync('datasync', fs.fdatasync);
    const refusal = this.#refusal('datasync');
    return refusal === undefined ? this.#unsynced.whenBounded() : Promise.reject(refusal);
  }

  /** For `UnsyncedFiles`: the sync that nobody waited for. */
  async flush(): Promise<void> {
    if (this.#closing !== undefined) await this.#closing;
    else if (this.#unsynced?.take(this) === true) await this.#sync('flush', fs.fdatasync);
  }

  truncate(lengthBytes: number): Promise<void> {
    assert(Number.isSafeInteger(lengthBytes) && lengthBytes >= 0, `bad length: ${lengthBytes}`);
    return this.#sync('truncate', (descriptor, finish) => {
      fs.ftruncate(descriptor, lengthBytes, (error) => {
        if (error === null) fs.fsync(descriptor, finish);
        else finish(error);
      });
    });
  }

  #sync(operation: string, call: (descriptor: number, finish: (error: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(operation);
      if (refusal !== undefined) return reject(refusal);
      this.#inFlight++;
      call(this.#descriptor, (error) => {
        this.#settled();
        if (error === null) return resolve();
        const failure = toDiskError(error, operation, this.path);
        this.#poison ??= failure;
        reject(failure);
      });
    });
  }

  /** After every sync on the hot path: asked at once where that cannot block, see `LOCAL_FILE_SYSTEMS`. */
  async stillThere(): Promise<boolean> {
    if (!this.#isLocal) return this.#isThereSlowly();
    try {
      const facts = fs.statSync(this.#absolutePath, { throwIfNoEntry: false });
      return facts !== undefined && facts.ino === this.inode && facts.dev === this.device;
    } catch (error) {
      throw toDiskError(error, 'stat', this.path);
    }
  }

  #isThereSlowly(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      fs.stat(this.#absolutePath, (error, facts) => {
        if (error === null) return resolve(facts.ino === this.inode && facts.dev === this.device);
        const errno = errnoOf(error);
        if (errno === 'ENOENT' || errno === 'ENOTDIR') resolve(false);
        else reject(toDiskError(error, 'stat', this.path));
      });
    });
  }

  sizeBytes(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#closing !== undefined) return reject(this.#closedError('stat'));
      this.#inFlight++;
      fs.fstat(this.#descriptor, (error, facts) => {
        this.#settled();
        if (error === null) resolve(facts.size);
        else reject(toDiskError(error, 'stat', this.path));
      });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeWhenIdle();
    return this.#closing;
  }

  async #closeWhenIdle(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    const sync = this.#unsynced?.take(this) === true ? this.#unsynced.track(this.#syncBeforeClose()) : undefined;
    await Promise.allSettled([sync]);
    const closeError = await settledError((finish) => fs.close(this.#descriptor, finish));
    await sync;
    if (closeError !== undefined) throw toDiskError(closeError, 'close', this.path);
  }

  async #syncBeforeClose(): Promise<void> {
    const error = await settledError((finish) => fs.fdatasync(this.#descriptor, finish));
    if (error !== undefined) throw toDiskError(error, 'flush', this.path);
  }

  #settled(): void {
    if (--this.#inFlight === 0) this.#whenIdle?.();
  }

  #refusal(operation: string): StoreError | undefined {
    if (this.#closing !== undefined) return this.#closedError(operation);
    if (this.#poison === undefined) return undefined;
    return new StoreError('DiskFailed', `${operation} ${this.path} refused: an earlier sync of this file failed`, {
      cause: this.#poison,
    });
  }

  #closedError(operation: string): StoreError {
    return toDiskError(makeErrno('EBADF', operation, this.path), operation, this.path);
  }
}

/** The error that a call of `node:fs` ends with, if any. */
function settledError(call: (finish: (error?: Error | null) => void) => void): Promise<Error | undefined> {
  return new Promise((resolve) => call((error) => resolve(error ?? undefined)));
}
