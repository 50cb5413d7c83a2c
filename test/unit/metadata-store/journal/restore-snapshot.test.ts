import type * as FsPromises from 'node:fs/promises';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { restoreSnapshot } from '../../../../src/metadata-store/journal/checkpoint-file.ts';
import { bodyOf } from '../../../support/data-store-harness.ts';

/** The system takes at most so many bytes at once, as it may on a full file system or one with a quota. */
const SHORT_BYTES = 300_000;

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof FsPromises>();
  return {
    ...real,
    open: async (...parameters: Parameters<typeof real.open>) => {
      const handle = await real.open(...parameters);
      const write = handle.write.bind(handle) as (...rest: unknown[]) => Promise<unknown>;
      const short = (bytes: Buffer, offset: number, length: number, position: number): Promise<unknown> =>
        write(bytes, offset, Math.min(length, SHORT_BYTES), position);
      return Object.assign(handle, { write: short });
    },
  };
});

test('a restored snapshot is whole also when the system writes short', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-restore-'));
  try {
    const content = bodyOf('snapshot', 2_500_000);
    const dataBytes = 1024 * 1024 - 32;
    const checkpoint = {
      position: { epoch: 1, sequence: 1, hash: Buffer.alloc(16) },
      configuration: { diskIds: [], journalDiskIds: [], k: 1, m: 0 },
      name: 'checkpoint',
      sizeBytes: content.length,
      createdAtMs: 0,
    };
    const readBlock = (index: number): Promise<Buffer> =>
      Promise.resolve(content.subarray(index * dataBytes, (index + 1) * dataBytes));
    await restoreSnapshot(join(folder, 'target'), checkpoint, [readBlock], () => {});
    expect((await readFile(join(folder, 'target'))).equals(content)).toBe(true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
