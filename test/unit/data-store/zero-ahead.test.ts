import { expect, test } from 'vitest';
import { ZeroAhead } from '../../../src/data-store/volume/zero-ahead.ts';
import type { DiskFile } from '../../../src/disk/disk-fs.ts';
import { StoreError } from '../../../src/errors/store-error.ts';

/** Every write hangs until the test settles it. */
function hangingFile() {
  const writes: { offset: number; reject: (error: Error) => void }[] = [];
  const file: DiskFile = {
    path: 'volumes/x.shard',
    device: 1,
    inode: 1,
    write: (_buffer, offset) => new Promise((_, reject) => void writes.push({ offset, reject })),
    read: () => Promise.resolve(0),
    datasync: () => Promise.resolve(),
    truncate: () => Promise.resolve(),
    stillThere: () => Promise.resolve(true),
    sizeBytes: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
  return { file, writes };
}

test('nothing is appended where zeros that missed their deadline may still land', async () => {
  const { file, writes } = hangingFile();
  const failures: unknown[] = [];
  const zeros = new ZeroAhead({
    file,
    startBytes: 4096,
    limitBytes: 2 ** 24,
    onFailure: (error) => failures.push(error),
  });
  zeros.advance(4096, 0);
  expect(writes.map(({ offset }) => offset)).toEqual([4096]);
  const waiting = zeros.claim(8192);
  expect(waiting).toBeDefined();
  // The guard gives the call up; the system may still carry it out.
  writes[0]!.reject(new StoreError('DiskTimeout', 'write did not return'));
  await expect(waiting).rejects.toMatchObject({ code: 'DiskTimeout' });
  await expect(Promise.resolve(zeros.claim(8192))).rejects.toMatchObject({ code: 'DiskTimeout' });
  expect(failures).toHaveLength(1);
});
