import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf, missingDiskError, toDiskError } from './disk-error.ts';
import type { DiskFile, DiskFs, DiskSpace, FileFacts, OpenMode } from './disk-fs.ts';
import { RealDiskFile } from './real-disk-file.ts';
import { settleEarlierRun } from './relaxed-run.ts';
import { assertRelativePath, parentOf, ROOT_PATH } from './relative-path.ts';
import { UnsyncedFiles } from './unsynced-files.ts';

const openPath = promisify(fs.open);
const closeDescriptor = promisify(fs.close);
const syncDescriptor = promisify(fs.fsync);
const statDescriptor = promisify(fs.fstat);
const statPath = promisify(fs.stat);
const statFileSystem = promisify(fs.statfs);
const makeDirectory = promisify(fs.mkdir);
const renamePath = promisify(fs.rename);
const unlinkPath = promisify(fs.unlink);
const readDirectory = promisify(fs.readdir);

/** Files hold customers' bytes: nobody but the owner reads them. */
const FILE_PERMISSIONS = 0o600;
const DIRECTORY_PERMISSIONS = 0o700;
/** Absent on macOS, where every mode is buffered and synced with `fdatasync` (libuv makes that F_FULLFSYNC there). */
const O_DIRECT = fs.constants.O_DIRECT as number | undefined;

export interface RootIdentity {
  device: number;
  inode: number;
}

/**
 * File systems (magic numbers of statfs(2)) on which the path of an open file is resolved from memory: the entries on
 * the way to an open file are pinned. There `stillThere` may ask without a thread, for a twentieth of the price.
 */
const LOCAL_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0x01021994, // tmpfs
]);

/**
 * The directory `root` of the real file system. Never creates `root`. Deadlines and a cap on calls in flight are
 * `GuardedDiskFs`'s business; here a hung device hangs the call.
 *
 * Every failure is a StoreError with the errno as `cause.code`: DiskFull for ENOSPC, DiskMissing when `root` itself is
 * gone, else DiskFailed. A crash in the middle of a durable create, publish or unlink leaves it done or not done;
 * a create that failed may have left an empty file.
 */
export class RealDiskFs implements DiskFs {
  readonly root: string;
  readonly #expectedRoot: RootIdentity | undefined;
  #directIsRefused = O_DIRECT === undefined;
  /** By device: a directory below may be a mount of another kind. */
  readonly #isLocalDevice = new Map<number, boolean>();
  /** Given in a relaxed run. */
  readonly #unsynced: UnsyncedFiles | undefined;
  #settled: Promise<void> | undefined;

  /**
   * With `expectedRoot`, names are only made in that very directory: after an unmount the path may name an empty
   * directory of another file system, which must stay empty and whose files must not count.
   *
   * `sync: 'relaxed'`: files of the modes `direct` and `direct-sync` (stripes, journal frames) are written buffered and
   * nothing waits for their syncs, see `UnsyncedFiles`. What is opened by `write`, names and lengths are still synced.
   */
  constructor(root: string, options: { expectedRoot?: RootIdentity; sync?: 'strict' | 'relaxed' } = {}) {
    this.root = root;
    this.#expectedRoot = options.expectedRoot;
    this.#unsynced = options.sync === 'relaxed' ? new UnsyncedFiles() : undefined;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const absolutePath = this.#absolute(path);
    try {
      if (mode !== 'read') await this.#settle();
      const { descriptor, isDirect } = await this.#openDescriptor(absolutePath, mode);
      try {
        const facts = await statDescriptor(descriptor);
        return new RealDiskFile({
          path,
          absolutePath,
          descriptor,
          device: facts.dev,
          inode: facts.ino,
          isDirect,
          syncsEachWrite: mode === 'direct-sync' && !isDirect && this.#unsynced === undefined,
          writesAreSyncs: mode === 'direct-sync',
          isLocal: await this.#isLocal(absolutePath, facts.dev),
          unsynced: mode === 'direct' || mode === 'direct-sync' ? this.#unsynced : undefined,
        });
      } catch (error) {
        await closeDescriptor(descriptor);
        throw error;
      }
    } catch (error) {
      throw await this.#explain(error, 'open', path);
    }
  }

  async #isLocal(absolutePath: string, device: number): Promise<boolean> {
    let isLocal = this.#isLocalDevice.get(device);
    if (isLocal === undefined) {
      isLocal = process.platform === 'linux' && LOCAL_FILE_SYSTEMS.has((await statFileSystem(absolutePath)).type);
      this.#isLocalDevice.set(device, isLocal);
    }
    return isLocal;
  }

  /** EINVAL on opening means that this file system (tmpfs, some network ones) has no O_DIRECT: buffered from then on. */
  async #openDescriptor(absolutePath: string, mode: OpenMode): Promise<{ descriptor: number; isDirect: boolean }> {
    if (mode === 'read') return { descriptor: await openPath(absolutePath, fs.constants.O_RDONLY), isDirect: false };
    const isBuffered = mode === 'write' || this.#unsynced !== undefined || this.#directIsRefused;
    if (!isBuffered && O_DIRECT !== undefined) {
      const flags = fs.constants.O_RDWR | O_DIRECT | (mode === 'direct-sync' ? fs.constants.O_DSYNC : 0);
      try {
        return { descriptor: await openPath(absolutePath, flags), isDirect: true };
      } catch (error) {
        const errno = errnoOf(error);
        if (errno !== 'EINVAL' && errno !== 'EOPNOTSUPP' && errno !== 'ENOTSUP') throw error;
        this.#directIsRefused = true;
      }
    }
    return { descriptor: await openPath(absolutePath, fs.constants.O_RDWR), isDirect: false };
  }

  async createDurable(path: string): Promise<void> {
    const absolutePath = this.#absolute(path);
    try {
      await this.#beforeNaming();
      const flags = fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_RDWR;
      const descriptor = await openPath(absolutePath, flags, FILE_PERMISSIONS);
      await syncAndClose(descriptor);
      await this.#syncDirectory(parentOf(path));
      await this.#assertRoot();
    } catch (error) {
      throw await this.#explain(error, 'create', path);
    }
  }

  async createDirectoryDurable(path: string): Promise<void> {
    const absolutePath = this.#absolute(path);
    try {
      await this.#beforeNaming();
      try {
        await makeDirectory(absolutePath, DIRECTORY_PERMISSIONS);
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST' || !(await statPath(absolutePath)).isDirectory()) throw error;
      }
      // Also when it existed: the process that made it may have died before its sync.
      await this.#syncDirectory(path);
      await this.#syncDirectory(parentOf(path));
      await this.#assertRoot();
    } catch (error) {
      throw await this.#explain(error, 'create directory', path);
    }
  }

  async publish(temporary: string, final: string): Promise<void> {
    const from = this.#absolute(temporary);
    const to = this.#absolute(final);
    try {
      await this.#beforeNaming();
      await renamePath(from, to);
      await this.#syncDirectory(parentOf(final));
      if (parentOf(temporary) !== parentOf(final)) await this.#syncDirectory(parentOf(temporary));
      await this.#assertRoot();
    } catch (error) {
      throw await this.#explain(error, 'publish', final);
    }
  }

  async unlink(path: string): Promise<void> {
    const absolutePath = this.#absolute(path);
    try {
      await this.#settle();
      await this.#unsynced?.flush();
      try {
        await unlinkPath(absolutePath);
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
        if ((await this.stat(parentOf(path))) === undefined && parentOf(path) !== ROOT_PATH) return;
      }
      // Also when it was gone: an earlier unlink may not have been synced.
      await this.#syncDirectory(parentOf(path));
    } catch (error) {
      throw await this.#explain(error, 'unlink', path);
    }
  }

  async list(directory: string): Promise<string[]> {
    try {
      return await readDirectory(this.#absoluteOrRoot(directory));
    } catch (error) {
      throw await this.#explain(error, 'list', directory);
    }
  }

  async stat(path: string): Promise<FileFacts | undefined> {
    try {
      const facts = await statPath(this.#absoluteOrRoot(path));
      return {
        device: facts.dev,
        inode: facts.ino,
        sizeBytes: facts.size,
        isDirectory: facts.isDirectory(),
        modifiedMs: facts.mtimeMs,
      };
    } catch (error) {
      const failure = await this.#explain(error, 'stat', path);
      const errno = errnoOf(error);
      if (failure.code === 'DiskFailed' && (errno === 'ENOENT' || errno === 'ENOTDIR')) return undefined;
      throw failure;
    }
  }

  async statSpace(): Promise<DiskSpace> {
    try {
      const facts = await statFileSystem(this.root);
      return { totalBytes: facts.blocks * facts.bsize, freeBytes: facts.bavail * facts.bsize };
    } catch (error) {
      throw await this.#explain(error, 'statfs', ROOT_PATH);
    }
  }

  async #beforeNaming(): Promise<void> {
    await this.#assertRoot();
    await this.#settle();
    await this.#unsynced?.flush();
  }

  /** Once, before the first change; again when it failed. */
  async #settle(): Promise<void> {
    this.#settled ??= this.#assertRoot().then(() =>
      settleEarlierRun(this.root, this.#unsynced === undefined ? 'strict' : 'relaxed'),
    );
    try {
      await this.#settled;
    } catch (error) {
      this.#settled = undefined;
      throw error;
    }
  }

  #absolute(path: string): string {
    assertRelativePath(path);
    return `${this.root}/${path}`;
  }

  #absoluteOrRoot(path: string): string {
    return path === ROOT_PATH ? this.root : this.#absolute(path);
  }

  /** Before a change, so that a stranger's directory stays as it is, and after it, so that the change counts. */
  async #assertRoot(): Promise<void> {
    if (this.#expectedRoot === undefined) return;
    const facts = await statPath(this.root);
    if (facts.ino === this.#expectedRoot.inode && facts.dev === this.#expectedRoot.device) return;
    throw missingDiskError(this.root, new Error('another directory is at this path'));
  }

  async #syncDirectory(path: string): Promise<void> {
    const flags = fs.constants.O_RDONLY | fs.constants.O_DIRECTORY;
    await syncAndClose(await openPath(this.#absoluteOrRoot(path), flags));
  }

  /** An ENOENT can mean one file or the whole disk; only the second is DiskMissing. */
  async #explain(error: unknown, operation: string, path: string) {
    if (errnoOf(error) === 'ENOENT') {
      try {
        await statPath(this.root);
      } catch (rootError) {
        if (errnoOf(rootError) === 'ENOENT') return missingDiskError(this.root, error);
      }
    }
    return toDiskError(error, operation, path === ROOT_PATH ? this.root : path);
  }
}

async function syncAndClose(descriptor: number): Promise<void> {
  try {
    await syncDescriptor(descriptor);
  } finally {
    await closeDescriptor(descriptor);
  }
}
