import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StateReserve } from '../../../../src/metadata-store/sqlite/state-reserve.ts';
import { silentLog } from '../../../../src/observability/log.ts';
import { SystemClock } from '../../../../src/observability/system-clock.ts';
import { createBucket, openVolume, putMutation } from '../../../support/metadata-fixtures.ts';
import { sqliteHarness } from '../../../support/open-sqlite-store.ts';

const SIZE = 3 * 1024 * 1024;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-reserve-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function reserveAt(path: string): StateReserve {
  return new StateReserve({ path, sizeBytes: SIZE, clock: new SystemClock(), log: silentLog });
}

test('the reserve is really written, and given up when it is needed', async () => {
  const path = join(folder, 'reserve');
  const reserve = reserveAt(path);
  reserve.start();
  await expect.poll(() => statSync(path, { throwIfNoEntry: false })?.size).toBe(SIZE);
  await expect.poll(() => statSync(path).blocks * 512).toBeGreaterThanOrEqual(SIZE);
  expect(reserve.shortage).toBeUndefined();
  reserve.release();
  expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  expect(reserve.shortage).toMatchObject({ code: 'DiskFull' });
  // There is room here: it comes back by itself.
  await expect.poll(() => reserve.shortage, { timeout: 10_000 }).toBeUndefined();
  expect(statSync(path).size).toBe(SIZE);
  await reserve.stop();
});

/** Mounting in a namespace of one's own is not allowed everywhere. */
const mayMount = spawnSync('unshare', ['-Urm', 'true']).status === 0;

test.skipIf(!mayMount)('on a full file system deletes go on, writes are refused, and room ends that', () => {
  const script = join(import.meta.dirname, '../../../support/full-state-directory.ts');
  const commands = [
    `mount -t tmpfs -o size=80m none ${folder}`,
    `"${process.execPath}" --import tsx ${script} ${folder}`,
  ];
  const { status, stdout, stderr } = spawnSync('unshare', ['-Urm', 'sh', '-c', commands.join(' && ')], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.trim().split('\n')).toEqual([
    'before: put ok',
    'full: put DiskFull',
    'full: 500 deletes ok',
    'after: put ok',
    'after restart: 1 objects',
  ]);
});

test('without a reserve nothing is refused', async () => {
  const harness = await sqliteHarness();
  const { store } = await harness.open();
  const bucketId = await createBucket(store, 'bucket');
  const volumeId = await openVolume(store);
  await store.commit(putMutation(store, { bucketId, key: 'k', volumeId }));
  await harness.close();
});
