import Database from 'better-sqlite3';
import { StoreError } from '../errors/store-error.ts';
import { LOCK_FILE } from './disk-identity.ts';

/** Held by this process on one disk's directory. */
export interface DiskLock {
  release(): void;
}

/**
 * Locks a disk against every other process: an empty SQLite file in an exclusive transaction that is never committed,
 * that is an operating system's lock on an open file, which dies with the process whatever kills it. Nothing is written.
 *
 * SQLite's calls are synchronous: call it for a disk that has just answered. The lock file must never be opened with
 * `node:fs` by this process: closing any descriptor of it would drop the lock (POSIX).
 *
 * @throws StoreError NotReady: another process holds it | DiskFailed, with SQLite's error (SQLITE_READONLY …) as cause
 */
export function lockDisk(path: string): DiskLock {
  let database: Database.Database | undefined;
  try {
    database = new Database(`${path}/${LOCK_FILE}`, { fileMustExist: true, timeout: 0 });
    database.pragma('journal_mode = MEMORY');
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new StoreError('NotReady', `the disk ${path} is in use by another process`, {
        hint: 'another server or command works on these disks; stop it first',
        cause: error,
      });
    }
    throw new StoreError('DiskFailed', `the disk ${path} cannot be locked: ${String(error)}`, { cause: error });
  }
  const held = database;
  return { release: () => held.close() };
}

/** On a read-only file system nothing can be locked, and nothing needs to be. */
export function isReadOnlyLockFailure(error: unknown): boolean {
  const cause = error instanceof StoreError ? error.cause : undefined;
  return cause instanceof Database.SqliteError && /^SQLITE_(READONLY|CANTOPEN)/.test(cause.code);
}
