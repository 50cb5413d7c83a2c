import type { NoParamCallback } from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RealDiskFs } from '../../../src/disk/real-disk-fs.ts';

/** The `fdatasync` that the test holds, once it has begun. */
const held = vi.hoisted(() => ({ finish: undefined as NoParamCallback | undefined }));

vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs')>();
  return { ...original, fdatasync: (_descriptor: number, finish: NoParamCallback) => void (held.finish = finish) };
});

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-relaxed-'));
  held.finish = undefined;
});
afterEach(() => rmSync(root, { recursive: true }));

/** A file with un-synced bytes that is being closed, its sync under way. */
async function closingFile() {
  const disk = new RealDiskFs(root, { sync: 'relaxed' });
  await disk.createDurable('one');
  const file = await disk.open('one', 'direct-sync');
  await file.write(Buffer.alloc(4096, 1), 0);
  const closed = file.close();
  await vi.waitFor(() => expect(held.finish).toBeDefined(), { timeout: 60_000 });
  return { disk, closed, finish: held.finish! };
}

test('a relaxed file that is being closed is durable before the next name is changed', async () => {
  const { disk, closed, finish } = await closingFile();
  const named = disk.publish('one', 'two');
  // Far more calls than there are before the renaming: one that did not wait would be done.
  for (let turn = 0; turn < 50; turn++) expect(await disk.stat('two')).toBeUndefined();
  finish(null);
  await Promise.all([closed, named]);
  expect(await disk.stat('two')).toBeDefined();
});

test('a failed sync at the close of a relaxed file fails every later change of a name', async () => {
  const { disk, closed, finish } = await closingFile();
  finish(Object.assign(new Error('EIO'), { code: 'EIO' }));
  await expect(closed).rejects.toMatchObject({ code: 'DiskFailed' });
  await expect(disk.publish('one', 'two')).rejects.toMatchObject({ code: 'DiskFailed' });
  await expect(disk.unlink('one'), 'again').rejects.toMatchObject({ code: 'DiskFailed' });
});
