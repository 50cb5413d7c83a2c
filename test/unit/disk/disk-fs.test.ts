import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DiskFs, OpenMode } from '../../../src/disk/disk-fs.ts';
import { errnoOf } from '../../../src/disk/disk-error.ts';
import { RealDiskFs } from '../../../src/disk/real-disk-fs.ts';
import { RELAXED_RUN_FILE } from '../../../src/disk/relaxed-run.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { BufferPool } from '../../../src/memory/buffer-pool.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const pool = new BufferPool({ slotSizeBytes: 65_536, budgetBytes: 1 << 22 });
const random = new SeededRandomness(11);

/** Page-aligned, `pages` × 4096 bytes of `fill`. */
function aligned(pages: number, fill: number): Buffer {
  return pool
    .tryAcquire()!
    .bytes.subarray(0, pages * 4096)
    .fill(fill);
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.unreachable('should have failed'),
    (error: unknown) => error,
  );
}

/** One suite over both implementations: the simulated disk must behave like the real one wherever both can be seen. */
describe.each([
  ['RealDiskFs', () => new RealDiskFs(mkdtempSync(join(folder, 'disk-')))],
  ['RealDiskFs, relaxed', () => new RealDiskFs(mkdtempSync(join(folder, 'disk-')), { sync: 'relaxed' })],
  ['SimulatedDiskFs', () => new SimulatedDiskFs()],
])('%s', (_, makeFs: () => DiskFs) => {
  test.each<OpenMode>(['write', 'direct', 'direct-sync'])('reads back what was written in mode %s', async (mode) => {
    const fs = makeFs();
    await fs.createDurable('a');
    const file = await fs.open('a', mode);
    await file.write(aligned(2, 7), 4096);
    await file.datasync();
    expect(await file.sizeBytes()).toBe(12_288);
    const back = aligned(4, 1);
    expect(await file.read(back, 0)).toBe(12_288);
    expect(back.subarray(0, 4096).every((byte) => byte === 0)).toBe(true);
    expect(back.subarray(4096, 12_288).every((byte) => byte === 7)).toBe(true);
    const buffered = await fs.open('a', 'read');
    const some = Buffer.alloc(100);
    expect(await buffered.read(some, 12_288 - 50)).toBe(50);
    expect(await buffered.read(some, 20_000)).toBe(0);
    expect(await file.stillThere()).toBe(true);
    await Promise.all([file.close(), file.close(), buffered.close()]);
  });

  test('unaligned buffered writes overlap as in any file', async () => {
    const fs = makeFs();
    await fs.createDurable('a');
    const file = await fs.open('a', 'write');
    const expected = Buffer.alloc(20_000);
    for (let i = 0; i < 50; i++) {
      const bytes = random.bytes(1 + random.below(6000));
      const offset = random.below(expected.length - bytes.length);
      bytes.copy(expected, offset);
      await file.write(bytes, offset);
    }
    await file.write(Buffer.from([1]), expected.length - 1);
    expected[expected.length - 1] = 1;
    const back = Buffer.alloc(expected.length);
    expect(await file.read(back, 0)).toBe(expected.length);
    expect(back.equals(expected)).toBe(true);
  });

  test('truncate cuts, and what is grown again is zeros', async () => {
    const fs = makeFs();
    await fs.createDurable('a');
    const file = await fs.open('a', 'write');
    await file.write(Buffer.alloc(5000, 9), 0);
    await file.truncate(10);
    expect(await file.sizeBytes()).toBe(10);
    await file.truncate(20);
    const back = Buffer.alloc(30);
    expect(await file.read(back, 0)).toBe(20);
    expect(back.subarray(0, 20)).toEqual(Buffer.concat([Buffer.alloc(10, 9), Buffer.alloc(10)]));
  });

  test('names: create, list, publish over another, unlink', async () => {
    const fs = makeFs();
    await fs.createDirectoryDurable('d');
    await fs.createDirectoryDurable('d');
    await fs.createDurable('d/one');
    await fs.createDurable('two');
    const file = await fs.open('d/one', 'write');
    await file.write(Buffer.from('one'), 0);
    expect((await fs.list('d')).sort()).toEqual(['one']);
    expect((await fs.list('')).filter((name) => name !== RELAXED_RUN_FILE).sort()).toEqual(['d', 'two']);
    await fs.publish('d/one', 'two');
    expect(await fs.list('d')).toEqual([]);
    expect(await fs.stat('d/one')).toBeUndefined();
    expect((await fs.stat('two'))?.sizeBytes).toBe(3);
    expect((await fs.stat('two'))?.inode).toBe(file.inode);
    expect((await fs.stat('d'))?.isDirectory).toBe(true);
    await fs.unlink('two');
    await fs.unlink('two');
    await fs.unlink('absent-directory/file');
    expect((await fs.list('')).filter((name) => name !== RELAXED_RUN_FILE)).toEqual(['d']);
  });

  test('failures carry their errno and no path is opened, created or listed by accident', async () => {
    const fs = makeFs();
    await fs.createDurable('a');
    await fs.createDirectoryDurable('d');
    expect(errnoOf(await failureOf(fs.open('absent', 'read')))).toBe('ENOENT');
    expect(errnoOf(await failureOf(fs.createDurable('a')))).toBe('EEXIST');
    expect(errnoOf(await failureOf(fs.createDurable('absent/a')))).toBe('ENOENT');
    expect(errnoOf(await failureOf(fs.createDirectoryDurable('absent/d')))).toBe('ENOENT');
    expect(errnoOf(await failureOf(fs.list('absent')))).toBe('ENOENT');
    expect(errnoOf(await failureOf(fs.publish('absent', 'b')))).toBe('ENOENT');
    expect(errnoOf(await failureOf(fs.createDirectoryDurable('a')))).toBe('EEXIST');
    expect(await failureOf(fs.open('absent', 'read'))).toMatchObject({ name: 'StoreError', code: 'DiskFailed' });
    for (const path of ['../a', '/a', 'd//a', 'd/./a', '', 'a\0']) {
      expect(await failureOf(fs.createDurable(path))).toMatchObject({ name: 'AssertionFailure' });
    }
    const file = await fs.open('a', 'write');
    await file.close();
    expect(errnoOf(await failureOf(file.write(Buffer.alloc(1), 0)))).toBe('EBADF');
    expect(errnoOf(await failureOf(file.datasync()))).toBe('EBADF');
    const readOnly = await fs.open('a', 'read');
    expect(errnoOf(await failureOf(readOnly.write(Buffer.alloc(1), 0)))).toBe('EBADF');
  });

  test('an open file whose name was removed or taken by another is not still there, though it works', async () => {
    const fs = makeFs();
    await fs.createDurable('a');
    await fs.createDurable('b');
    const removed = await fs.open('a', 'write');
    const replaced = await fs.open('b', 'write');
    await fs.unlink('a');
    await fs.createDurable('c');
    await fs.publish('c', 'b');
    for (const file of [removed, replaced]) {
      await file.write(Buffer.from('x'), 0);
      await file.datasync();
      expect(await file.stillThere()).toBe(false);
    }
  });

  test('reports space', async () => {
    const { totalBytes, freeBytes } = await makeFs().statSpace();
    expect(totalBytes).toBeGreaterThan(0);
    expect(freeBytes).toBeGreaterThan(0);
    expect(freeBytes).toBeLessThanOrEqual(totalBytes);
  });
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-disk-fs-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
