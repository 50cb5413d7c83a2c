import { copyFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StoreError } from '../../../../src/errors/store-error.ts';
import { IndexInspection } from '../../../../src/metadata-store/sqlite/index-inspection.ts';
import { createBucket } from '../../../support/metadata-fixtures.ts';
import { runWorkload } from '../../../support/metadata-workload.ts';
import { sqliteHarness, type SqliteHarness } from '../../../support/open-sqlite-store.ts';
import { RecordingLog } from '../../../support/recording-log.ts';

let harness: SqliteHarness;
beforeEach(async () => {
  harness = await sqliteHarness();
});
afterEach(() => harness.close());

test('attempts to start on too few disks look at the index once, and it is believed in the end', async () => {
  const { indexPath } = harness;
  const { store, journal } = await harness.open();
  await createBucket(store, 'bucket');
  await runWorkload(store, { seed: 9, steps: 30 });
  // As kill -9 leaves them.
  for (const name of [indexPath, `${indexPath}-wal`]) copyFileSync(name, `${name}.left`);
  await store.stop();
  for (const name of [indexPath, `${indexPath}-wal`]) {
    rmSync(name, { force: true });
    renameSync(`${name}.left`, name);
  }
  const inspection = new IndexInspection(indexPath);
  const attempt = (): Promise<unknown> =>
    harness.open(journal.disk, { inspection }, (tooFew) => {
      tooFew.start = () => Promise.reject(new StoreError('QuorumLost', 'too few disks'));
    });
  await expect(attempt()).rejects.toMatchObject({ code: 'QuorumLost' });
  const facts = inspection.begin();
  expect(await facts).toEqual({ problem: undefined, hadWal: true });
  expect(statSync(`${indexPath}-wal`, { throwIfNoEntry: false }), 'moved into the file by the look').toBeUndefined();
  await expect(attempt()).rejects.toMatchObject({ code: 'QuorumLost' });
  expect(inspection.begin(), 'no second look').toBe(facts);
  const log = new RecordingLog();
  await harness.open(journal.disk, { inspection, log });
  expect(log.lines).toContainEqual(
    expect.objectContaining({
      message: 'index recovered',
      fields: expect.objectContaining({ base: 'the existing index' }),
    }),
  );
  expect(inspection.begin(), 'what was found ends with the opening').not.toBe(facts);
  await inspection.stop();
});

test('another file in its place is looked at anew', async () => {
  const { indexPath } = harness;
  const { store } = await harness.open();
  await store.stop();
  const inspection = new IndexInspection(indexPath);
  const facts = inspection.begin();
  expect(await facts).toEqual({ problem: undefined, hadWal: false });
  copyFileSync(indexPath, `${indexPath}.other`);
  renameSync(`${indexPath}.other`, indexPath);
  const others = inspection.begin();
  expect(others).not.toBe(facts);
  await others;
  rmSync(indexPath);
  expect(inspection.begin()).toBeUndefined();
  await inspection.stop();
});
