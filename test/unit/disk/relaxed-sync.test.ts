import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LOCK_FILE } from '../../../src/disk/disk-identity.ts';
import { lockDisk } from '../../../src/disk/disk-lock.ts';
import { RealDiskFs } from '../../../src/disk/real-disk-fs.ts';
import { RELAXED_RUN_FILE } from '../../../src/disk/relaxed-run.ts';
import { UnsyncedFiles } from '../../../src/disk/unsynced-files.ts';
import { StoreError } from '../../../src/errors/store-error.ts';

const MIB = 1024 * 1024;

/** A file whose syncs the test lets through. */
class Fake {
  syncCount = 0;
  #syncs: { resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly #unsynced: UnsyncedFiles;

  constructor(unsynced: UnsyncedFiles) {
    this.#unsynced = unsynced;
  }

  async flush(): Promise<void> {
    if (!this.#unsynced.take(this)) return;
    this.syncCount++;
    await new Promise<void>((resolve, reject) => this.#syncs.push({ resolve, reject }));
  }

  finish(): void {
    for (const sync of this.#syncs.splice(0)) sync.resolve();
  }

  fail(): void {
    for (const sync of this.#syncs.splice(0)) sync.reject(new StoreError('DiskFailed', 'the sync failed'));
  }
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  return settled;
}

describe('UnsyncedFiles', () => {
  test('lets nobody wait for a little, flushes behind much, and bounds what is un-synced', async () => {
    const unsynced = new UnsyncedFiles();
    const file = new Fake(unsynced);
    unsynced.noteWrite(file, 31 * MIB);
    await unsynced.whenBounded();
    expect(file.syncCount).toBe(0);
    unsynced.noteWrite(file, MIB);
    await unsynced.whenBounded();
    expect(file.syncCount, 'behind the writer').toBe(1);
    unsynced.noteWrite(file, 64 * MIB);
    const bounded = unsynced.whenBounded();
    expect(await isSettled(bounded)).toBe(false);
    file.finish();
    await bounded;
  });

  test('a flush waits for one that is under way, and for what was written since', async () => {
    const unsynced = new UnsyncedFiles();
    const [first, second] = [new Fake(unsynced), new Fake(unsynced)];
    unsynced.noteWrite(first, 32 * MIB);
    unsynced.noteWrite(second, 1);
    const flushed = unsynced.flush();
    expect(await isSettled(flushed)).toBe(false);
    expect([first.syncCount, second.syncCount]).toEqual([1, 0]);
    first.finish();
    expect(await isSettled(flushed)).toBe(false);
    expect(second.syncCount).toBe(1);
    second.finish();
    await flushed;
  });

  test('a second flush waits for what the first one is still syncing', async () => {
    const unsynced = new UnsyncedFiles();
    const file = new Fake(unsynced);
    unsynced.noteWrite(file, 4096);
    const first = unsynced.flush();
    const second = unsynced.flush();
    expect(await isSettled(second)).toBe(false);
    expect(file.syncCount).toBe(1);
    file.finish();
    await Promise.all([first, second]);
  });

  test('a failed sync fails every later flush, also when nobody waited for it', async () => {
    const unsynced = new UnsyncedFiles();
    const file = new Fake(unsynced);
    unsynced.noteWrite(file, 64 * MIB);
    const bounded = unsynced.whenBounded();
    file.fail();
    await bounded;
    await expect(unsynced.flush()).rejects.toMatchObject({ code: 'DiskFailed' });
    await expect(unsynced.flush(), 'again').rejects.toMatchObject({ code: 'DiskFailed' });
  });
});

describe('a disk after a relaxed run', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'holdfast-relaxed-'));
    mkdirSync(join(root, 'volumes'));
    writeFileSync(join(root, 'volumes/1'), 'left by the system');
    writeFileSync(join(root, LOCK_FILE), '');
  });
  afterEach(() => rmSync(root, { recursive: true }));
  const isMarked = (): boolean => existsSync(join(root, RELAXED_RUN_FILE));

  test('carries a mark from before its first change until a strict start has synced it', async () => {
    const relaxed = new RealDiskFs(root, { sync: 'relaxed' });
    await relaxed.list('volumes');
    await (await relaxed.open('volumes/1', 'read')).close();
    expect(isMarked(), 'reading marks nothing').toBe(false);
    await (await relaxed.open('volumes/1', 'direct-sync')).close();
    expect(isMarked()).toBe(true);
    await new RealDiskFs(root, { sync: 'relaxed' }).createDurable('volumes/2');
    expect(isMarked()).toBe(true);
    const strict = new RealDiskFs(root);
    await strict.stat('volumes/1');
    expect(isMarked(), 'reading settles nothing').toBe(true);
    await strict.createDurable('volumes/3');
    expect(isMarked()).toBe(false);
  });

  test('keeps its lock while it is synced', async () => {
    await new RealDiskFs(root, { sync: 'relaxed' }).createDurable('volumes/2');
    const lock = lockDisk(root);
    try {
      await new RealDiskFs(root).createDurable('volumes/3');
      // Another process would see a lock that was dropped; within this one SQLite shares its locks, so ask the system.
      const { execFileSync } = await import('node:child_process');
      const script = `const D = require('better-sqlite3'); const d = new D(process.argv[1], { timeout: 0 }); d.pragma('journal_mode = MEMORY'); d.exec('BEGIN EXCLUSIVE')`;
      expect(() => execFileSync(process.execPath, ['-e', script, join(root, LOCK_FILE)], { stdio: 'pipe' })).toThrow(
        /SQLITE_BUSY|locked/,
      );
    } finally {
      lock.release();
    }
  });
});
