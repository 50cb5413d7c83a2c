import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errnoOf } from '../../../src/disk/disk-error.ts';
import { RealDiskFs } from '../../../src/disk/real-disk-fs.ts';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { BufferPool } from '../../../src/memory/buffer-pool.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-real-disk-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('should have failed'),
    (error: unknown) => error,
  );

describe('RealDiskFs', () => {
  test('never makes its own root, and says DiskMissing when it is gone', async () => {
    const root = join(folder, 'absent');
    const fs = new RealDiskFs(root);
    for (const failure of await Promise.all(
      [
        fs.open('a', 'read'),
        fs.createDurable('a'),
        fs.createDirectoryDurable('d'),
        fs.publish('a', 'b'),
        fs.unlink('a'),
        fs.list(''),
        fs.stat('a'),
        fs.statSpace(),
      ].map(failureOf),
    )) {
      expect(isStoreError(failure, 'DiskMissing')).toBe(true);
    }
    expect(existsSync(root)).toBe(false);
  });

  test('bound to a directory, it makes no names in another one at the same path', async () => {
    const root = join(folder, 'disk');
    mkdirSync(root);
    const facts = statSync(root);
    const fs = new RealDiskFs(root, { expectedRoot: { device: facts.dev, inode: facts.ino } });
    await fs.createDurable('a');
    renameSync(root, join(folder, 'unmounted'));
    mkdirSync(root);
    for (const failure of await Promise.all(
      [fs.createDurable('b'), fs.createDirectoryDurable('d'), fs.publish('a', 'c')].map(failureOf),
    )) {
      expect(isStoreError(failure, 'DiskMissing')).toBe(true);
    }
    expect(readdirSync(root)).toEqual([]);
    expect(readdirSync(join(folder, 'unmounted'))).toEqual(['a']);
  });

  test('files and directories are for their owner only', async () => {
    const fs = new RealDiskFs(folder);
    await fs.createDurable('a');
    await fs.createDirectoryDurable('d');
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'd')).mode & 0o777).toBe(0o700);
  });

  test('notices rm -rf, rename and an empty directory in place, though writes and syncs succeed', async () => {
    const root = join(folder, 'disk');
    mkdirSync(join(root, 'd'), { recursive: true });
    const fs = new RealDiskFs(root);
    await fs.createDurable('d/a');
    const file = await fs.open('d/a', 'write');
    renameSync(root, `${root}.gone`);
    await file.write(Buffer.from('x'), 0);
    await file.datasync();
    expect(await file.stillThere()).toBe(false);
    mkdirSync(root);
    expect(await file.stillThere()).toBe(false);
    rmSync(root, { recursive: true });
    renameSync(`${root}.gone`, root);
    expect(await file.stillThere()).toBe(true);
    rmSync(join(root, 'd'), { recursive: true });
    await file.datasync();
    expect(await file.stillThere()).toBe(false);
    await file.close();
  });

  test('closing waits for calls under way, so that no call meets a descriptor of another file', async () => {
    const fs = new RealDiskFs(folder);
    await fs.createDurable('a');
    const file = await fs.open('a', 'write');
    const writes = Array.from({ length: 50 }, (_, i) => file.write(Buffer.alloc(4096, i), i * 4096));
    const closing = file.close();
    expect(errnoOf(await failureOf(file.write(Buffer.alloc(1), 0)))).toBe('EBADF');
    await Promise.all([...writes, closing]);
    const content = readFileSync(join(folder, 'a'));
    expect(content.length).toBe(50 * 4096);
    expect(content.every((byte, i) => byte === Math.floor(i / 4096))).toBe(true);
  });

  test.runIf(existsSync('/dev/shm'))('works in all modes where O_DIRECT may be refused', async () => {
    const root = mkdtempSync('/dev/shm/holdfast-');
    try {
      const fs = new RealDiskFs(root);
      const slot = await new BufferPool({ slotSizeBytes: 65_536, budgetBytes: 65_536 }).acquire();
      await fs.createDurable('a');
      for (const mode of ['direct', 'direct-sync'] as const) {
        const file = await fs.open('a', mode);
        await file.write(slot.bytes.fill(mode.length), 0);
        await file.datasync();
        await file.close();
        expect(readFileSync(join(root, 'a')).equals(slot.bytes)).toBe(true);
      }
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test.runIf(existsSync('/dev/full'))('a failed sync is never retried: the file is poisoned', async () => {
    const fs = new RealDiskFs('/dev');
    const file = await fs.open('full', 'write');
    const failedWrite = await failureOf(file.write(Buffer.alloc(1), 0));
    expect(isStoreError(failedWrite, 'DiskFull')).toBe(true);
    expect(errnoOf(await failureOf(file.write(Buffer.alloc(1), 0)))).toBe('ENOSPC');
    const first = await failureOf(file.datasync());
    expect(errnoOf(first)).toBe('EINVAL');
    for (const failure of await Promise.all(
      [file.datasync(), file.write(Buffer.alloc(1), 0), file.truncate(0)].map(failureOf),
    )) {
      expect(failure).toMatchObject({
        code: 'DiskFailed',
        message: expect.stringMatching(/earlier sync/),
      });
    }
    await file.close();
  });

  test.runIf(existsSync('/dev/full'))('a failed write of direct-sync is a failed sync', async () => {
    const file = await new RealDiskFs('/dev').open('full', 'direct-sync');
    expect(isStoreError(await failureOf(file.write(Buffer.alloc(4096), 0)), 'DiskFull')).toBe(true);
    expect(await failureOf(file.write(Buffer.alloc(4096), 0))).toMatchObject({
      message: expect.stringMatching(/earlier sync/),
    });
    await file.close();
  });
});
