/**
 * The one seam to files: every byte of the data path goes through it. Three implementations: `RealDiskFs` (node:fs),
 * `FaultDiskFs` (injects faults from a seed over another one) and `SimulatedDiskFs` (memory; forgets un-synced writes).
 * Paths are relative to the disk's root, with `/`, and never contain `..`. Nothing here creates the root itself: a
 * missing directory is never re-created.
 */
export interface DiskFs {
  /** Opens an existing file. @throws StoreError DiskFailed | DiskMissing | DiskTimeout; `cause.code` is the errno (`ENOENT`…). */
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** Creates an empty file that must not exist; file and parent directory are synced. Parent must exist. */
  createDurable(path: string): Promise<void>;
  /** Creates a directory (existing is fine) and syncs it and its parent. One level. */
  createDirectoryDurable(path: string): Promise<void>;
  /** Atomically renames `temporary` over `final` and syncs the directory or directories. The content must have been synced before. */
  publish(temporary: string, final: string): Promise<void>;
  /** Removes a file and syncs the directory. A missing file is fine. */
  unlink(path: string): Promise<void>;
  /** Names in a directory, unsorted; an absent directory throws ENOENT. */
  list(directory: string): Promise<string[]>;
  /** `undefined` when nothing has that name. */
  stat(path: string): Promise<FileFacts | undefined>;
  statSpace(): Promise<DiskSpace>;
}

/**
 * `read`: read only, buffered. `write`: buffered read-write; `datasync` makes it durable. `direct`: O_DIRECT read-write
 * (buffer address, length and offset in multiples of 4096); `datasync` still needed after appends. `direct-sync`:
 * O_DIRECT | O_DSYNC: a write has been synced when it returns (for space written before). Where the file system refuses
 * O_DIRECT both fall back to buffered, and `direct-sync` syncs after each write by itself.
 */
export type OpenMode = 'read' | 'write' | 'direct' | 'direct-sync';

export interface DiskFile {
  readonly path: string;
  /** Device and inode when it was opened. */
  readonly device: number;
  readonly inode: number;
  /** Writes all of `buffer` at `offset` or throws; never short. Buffer must not change until it returns. */
  write(buffer: Uint8Array, offset: number): Promise<void>;
  /** Reads up to `buffer.length` bytes at `offset`; returns the count, short only at the end of the file. */
  read(buffer: Uint8Array, offset: number): Promise<number>;
  /** Throws => the file is poisoned: every later write or datasync throws too; a failed sync is never retried. */
  datasync(): Promise<void>;
  /** Sets the length and syncs. */
  truncate(lengthBytes: number): Promise<void>;
  /** Does the path still name the device and inode that were opened? Checked after each sync, before it counts. */
  stillThere(): Promise<boolean>;
  sizeBytes(): Promise<number>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface FileFacts {
  device: number;
  inode: number;
  sizeBytes: number;
  isDirectory: boolean;
  modifiedMs: number;
}

export interface DiskSpace {
  totalBytes: number;
  /** Available to this process. */
  freeBytes: number;
}

/** Alignment of O_DIRECT writes, and the unit of journal frames. */
export const DIRECT_IO_ALIGNMENT_BYTES = 4096;
