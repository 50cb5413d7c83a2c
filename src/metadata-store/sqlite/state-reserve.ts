import { statfsSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoreError } from '../../errors/store-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';

export interface StateReserveOptions {
  /** Of the reserve file, beside the index. */
  path: string;
  /** 0: no reserve. */
  sizeBytes: number;
  clock: Clock;
  log: Log;
}

const CHUNK_BYTES = 1024 * 1024;
const LOOK_MS = 1000;
/** Less free space than this, and the reserve is given up. */
const SHORT_BYTES = 16 * 1024 * 1024;

/**
 * Space that the index keeps for itself: a file of zeros, really written. When the file system of the state directory
 * runs full, the file goes, mutations that make the index grow are refused with DiskFull, and deletes, the collector and
 * the moving of SQLite's WAL go on in the space that is now free. When there is room again the file comes back.
 *
 * A crash leaves a whole file, a part of one, or none: the next start writes it again if it is not whole.
 */
export class StateReserve {
  readonly #options: StateReserveOptions;
  #isShort = false;
  #releaseCount = 0;
  #isStopped = false;
  #writing: Promise<void> | undefined;
  #cancelLook: () => void = () => {};

  constructor(options: StateReserveOptions) {
    this.#options = options;
  }

  /** Begins to watch; the file is written in the background. */
  start(): void {
    if (this.#options.sizeBytes > 0) this.#look();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelLook();
    await this.#writing;
  }

  /** Why nothing may grow now. */
  get shortage(): StoreError | undefined {
    if (!this.#isShort) return undefined;
    return new StoreError('DiskFull', 'the file system of the state directory is nearly full', {
      hint: 'Make room there; deleting objects is possible meanwhile.',
    });
  }

  /** SQLite found the file system full. */
  release(): void {
    const { path, sizeBytes, log } = this.#options;
    if (this.#isShort || sizeBytes === 0) return;
    this.#isShort = true;
    this.#releaseCount += 1;
    rmSync(path, { force: true });
    log.error({ path }, 'the state directory is nearly full: its reserve is released, only deletes go on');
  }

  #look(): void {
    if (this.#isStopped) return;
    try {
      this.#weigh();
    } catch (error) {
      // The state directory is gone: the index notices that by itself.
      this.#options.log.warn({ error }, 'the free space of the state directory is not known');
    }
    this.#cancelLook = this.#options.clock.schedule(LOOK_MS, () => this.#look());
  }

  #weigh(): void {
    const { path, sizeBytes } = this.#options;
    const { bavail, bsize } = statfsSync(dirname(path));
    const freeBytes = bavail * bsize;
    const isWhole = statSync(path, { throwIfNoEntry: false })?.size === sizeBytes;
    if (freeBytes < SHORT_BYTES) this.release();
    else if ((this.#isShort || !isWhole) && freeBytes > sizeBytes + 2 * SHORT_BYTES) this.#startWriting();
  }

  #startWriting(): void {
    const releaseCount = this.#releaseCount;
    this.#writing ??= this.#write()
      .then(() => {
        // Given up while it was written: what was written is gone.
        if (releaseCount !== this.#releaseCount) return;
        if (this.#isShort && !this.#isStopped) this.#options.log.info({}, 'the state directory has room again');
        this.#isShort = false;
      })
      .catch((error: unknown) => {
        rmSync(this.#options.path, { force: true });
        this.#options.log.warn({ error }, 'the reserve of the state directory could not be written');
      })
      .finally(() => {
        this.#writing = undefined;
      });
  }

  async #write(): Promise<void> {
    const { path, sizeBytes } = this.#options;
    const zeros = Buffer.alloc(CHUNK_BYTES);
    const file = await open(path, 'w');
    try {
      for (let written = 0; written < sizeBytes && !this.#isStopped; written += CHUNK_BYTES) {
        // Goes on after a short write, which `write` would only report.
        await file.appendFile(zeros.subarray(0, Math.min(CHUNK_BYTES, sizeBytes - written)));
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
