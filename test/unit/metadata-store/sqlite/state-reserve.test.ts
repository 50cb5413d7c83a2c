import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StateReserve } from '../../../../src/metadata-store/sqlite/state-reserve.ts';
import { silentLog } from '../../../../src/observability/log.ts';
import { createBucket, openVolume, putMutation } from '../../../support/metadata-fixtures.ts';
import { sqliteHarness } from '../../../support/open-sqlite-store.ts';
import { ManualClock } from '../../../support/simulated-clock.ts';

const SIZE = 3 * 1024 * 1024;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-reserve-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Writing three mebibytes may take a busy machine long; nothing is said about how long. */
const EVENTUALLY = { timeout: 60_000, interval: 10 };

function reserveAt(path: string): { reserve: StateReserve; clock: ManualClock } {
  const clock = new ManualClock();
  return { clock, reserve: new StateReserve({ path, sizeBytes: SIZE, clock, log: silentLog }) };
}

/** Looks once a second until the file is whole. */
async function untilWritten(path: string, clock: ManualClock): Promise<void> {
  const isWhole = async (): Promise<boolean> => {
    await clock.advance(1000);
    const facts = statSync(path, { throwIfNoEntry: false });
    return facts?.size === SIZE && facts.blocks * 512 >= SIZE;
  };
  await expect.poll(isWhole, EVENTUALLY).toBe(true);
}

test('the reserve is really written, and given up when it is needed', async () => {
  const path = join(folder, 'reserve');
  const { reserve, clock } = reserveAt(path);
  reserve.start();
  await untilWritten(path, clock);
  expect(reserve.shortage).toBeUndefined();
  reserve.release();
  expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  expect(reserve.shortage).toMatchObject({ code: 'DiskFull' });
  // There is room here: it comes back by itself.
  await untilWritten(path, clock);
  await expect.poll(() => reserve.shortage, EVENTUALLY).toBeUndefined();
  expect(statSync(path).size).toBe(SIZE);
  await reserve.stop();
}, 120_000);

test('a reserve that is given up while it is written is not taken for whole', async () => {
  const path = join(folder, 'reserve');
  const { reserve } = reserveAt(path);
  reserve.start();
  reserve.release();
  await reserve.stop();
  expect(reserve.shortage).toMatchObject({ code: 'DiskFull' });
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
    'full: delete marker DiskFull, version ok',
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
