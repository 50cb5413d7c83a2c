import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog, type Log } from '../../../../src/observability/log.ts';
import type { SqliteMetadataStore } from '../../../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { dumpIndex, recountIndex } from '../../../support/index-dump.ts';
import { createBucket, openVolume, putMutation } from '../../../support/metadata-fixtures.ts';
import { runWorkload, seededRandom } from '../../../support/metadata-workload.ts';
import { copyOf, type MemoryJournal, type MemoryJournalDisk } from '../../../support/memory-journal.ts';
import { sqliteHarness, type SqliteHarness } from '../../../support/open-sqlite-store.ts';

let harness: SqliteHarness;
beforeEach(async () => {
  harness = await sqliteHarness();
});
afterEach(() => harness.close());

/** A stopped store after some work: its disks, and what its index held. */
async function prepare(options: { checkpoints?: boolean; steps?: number } = {}) {
  const { store, journal } = await harness.open(
    undefined,
    options.checkpoints ? { checkpointMinimumBytes: 20_000 } : {},
  );
  const bucketId = await createBucket(store, 'bucket');
  const volumeId = await openVolume(store);
  await runWorkload(store, { seed: 1, steps: options.steps ?? 60 });
  if (options.checkpoints) {
    await fillUntilTwoCheckpoints(store, journal);
    await runWorkload(store, { seed: 2, steps: 20 });
  }
  await store.stop();
  return { disk: journal.disk, bucketId, volumeId, dump: dumpIndex(harness.indexPath) };
}

async function reopenAndDump(disk: MemoryJournalDisk) {
  const { store } = await harness.open(disk);
  await store.stop();
  return dumpIndex(harness.indexPath);
}

/** Writes more than the index itself holds, twice; waits while a checkpoint is under way. */
async function fillUntilTwoCheckpoints(store: SqliteMetadataStore, journal: MemoryJournal): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (let round = 0; journal.checkpoints().length < 2; round += 1) {
    expect(performance.now()).toBeLessThan(deadline);
    const address = { collection: 'filler', id: String(round % 7) };
    if (journal.bytesSinceCheckpoint < 3_000_000) {
      await store.commit({ type: 'PutDocument', address, body: Buffer.alloc(20_000, round) });
    } else await new Promise((resolve) => setImmediate(resolve));
  }
}

function removeIndex(): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(harness.indexPath + suffix, { force: true });
}

test('replay of the records alone gives a logically identical index, and sums equal a recount', async () => {
  const { disk, dump } = await prepare({ steps: 150 });
  removeIndex();
  expect(await reopenAndDump(disk)).toEqual(dump);
  const { counted, stored } = recountIndex(harness.indexPath);
  expect(counted).toEqual(stored);
});

test('a deleted index is rebuilt from checkpoint and journal', async () => {
  const { disk, dump } = await prepare({ checkpoints: true });
  expect(disk.frames[0]?.position.sequence).toBeGreaterThan(1);
  removeIndex();
  expect(await reopenAndDump(disk)).toEqual(dump);
});

test('when the newest checkpoint is damaged the one before it serves', async () => {
  const { disk, dump } = await prepare({ checkpoints: true });
  disk.checkpoints[0]?.content.fill(0x55, 0, 8192);
  removeIndex();
  expect(await reopenAndDump(disk)).toEqual(dump);
});

test('without index and checkpoints a journal that was cut is refused, not replayed from its middle', async () => {
  const { disk } = await prepare({ checkpoints: true });
  disk.checkpoints = [];
  removeIndex();
  await expect(harness.open(disk)).rejects.toMatchObject({ code: 'JournalCorrupt' });
});

test('an index rolled back to an older commit is rolled forward', async () => {
  const { store, journal } = await harness.open();
  await runWorkload(store, { seed: 3, steps: 20 });
  await store.stop();
  const old = `${harness.indexPath}.old`;
  copyFileSync(harness.indexPath, old);
  const later = await harness.open(journal.disk);
  await runWorkload(later.store, { seed: 4, steps: 20 });
  await later.store.stop();
  const dump = dumpIndex(harness.indexPath);
  removeIndex();
  copyFileSync(old, harness.indexPath);
  expect(await reopenAndDump(later.journal.disk)).toEqual(dump);
});

test('an index older than every frame kept is not believed', async () => {
  const early = await harness.open();
  await createBucket(early.store, 'early');
  await early.store.stop();
  const old = `${harness.indexPath}.old`;
  copyFileSync(harness.indexPath, old);
  const disk = early.journal.disk;
  const { store, journal } = await harness.open(disk, { checkpointMinimumBytes: 20_000 });
  await fillUntilTwoCheckpoints(store, journal);
  await store.stop();
  const dump = dumpIndex(harness.indexPath);
  removeIndex();
  copyFileSync(old, harness.indexPath);
  expect(await reopenAndDump(disk)).toEqual(dump);
});

test('the index of another cluster is not believed', async () => {
  const other = await sqliteHarness();
  try {
    const foreign = await other.open();
    await createBucket(foreign.store, 'foreign');
    await foreign.store.stop();
    const { disk, dump } = await prepare();
    removeIndex();
    copyFileSync(other.indexPath, harness.indexPath);
    expect(await reopenAndDump(disk)).toEqual(dump);
  } finally {
    await other.close();
  }
});

test('a damaged index file is found at start and rebuilt', async () => {
  const { disk, dump } = await prepare();
  const random = seededRandom(7);
  for (let round = 0; round < 8; round += 1) {
    const size = statSync(harness.indexPath).size;
    if (round % 4 === 0) truncateSync(harness.indexPath, random(size));
    else overwrite(harness.indexPath, random(size / 4096) * 4096, Buffer.alloc(4096, random(256)));
    expect(await reopenAndDump(copyOf(disk))).toEqual(dump);
  }
});

test('a WAL left beside a missing index is not replayed into the new one', async () => {
  const { disk, dump } = await prepare();
  const crashed = await harness.open(copyOf(disk));
  await createBucket(crashed.store, 'only-in-the-wal');
  expect(existsSync(`${harness.indexPath}-wal`)).toBe(true);
  copyFileSync(`${harness.indexPath}-wal`, `${harness.indexPath}.kept`);
  await crashed.store.stop();
  removeIndex();
  copyFileSync(`${harness.indexPath}.kept`, `${harness.indexPath}-wal`);
  expect(await reopenAndDump(disk)).toEqual(dump);
});

test('an index that was not closed is not believed without its WAL', async () => {
  const { disk } = await prepare();
  const { store, journal } = await harness.open(disk, { walLimitBytes: 64 * 1024 });
  await runWorkload(store, { seed: 30, steps: 60 });
  const half = `${harness.indexPath}.half`;
  copyFileSync(harness.indexPath, half);
  await store.stop();
  const dump = dumpIndex(harness.indexPath);
  // As if a kill had come in the middle of moving the WAL, and the WAL were lost: pages of two moments in one file.
  const file = readFileSync(half);
  readFileSync(harness.indexPath).copy(file, file.length - 8 * 4096, file.length - 8 * 4096, file.length);
  removeIndex();
  writeFileSync(harness.indexPath, file);
  expect(await reopenAndDump(journal.disk)).toEqual(dump);
});

test('a crash at any moment leaves an index that the next start completes', async () => {
  const crash = await sqliteHarness();
  try {
    const { store, journal } = await harness.open(undefined, { checkpointMinimumBytes: 30_000 });
    for (let round = 0; round < 4; round += 1) {
      const work = runWorkload(store, { seed: 10 + round, steps: 10 });
      await new Promise((resolve) => setImmediate(resolve));
      // What a kill leaves: the journal now, and the index file with its WAL, copied while the work goes on.
      const disk = copyOf(journal.disk);
      for (const suffix of ['', '-wal']) copyFileSync(harness.indexPath + suffix, crash.indexPath + suffix);
      rmSync(`${crash.indexPath}-shm`, { force: true });
      const after = await crash.open(disk);
      await after.store.stop();
      const recovered = dumpIndex(crash.indexPath);
      rmSync(crash.indexPath);
      const replayed = await crash.open(disk);
      await replayed.store.stop();
      expect(recovered).toEqual(dumpIndex(crash.indexPath));
      await work;
    }
  } finally {
    await crash.close();
  }
});

test('an index deleted, replaced or truncated while running is rebuilt, and nothing is lost', async () => {
  for (const damage of ['delete', 'replace', 'truncate', 'delete-wal'] as const) {
    const own = await sqliteHarness();
    try {
      const first = await own.open();
      const bucketId = await createBucket(first.store, 'bucket');
      const volumeId = await openVolume(first.store);
      await first.store.commit(putMutation(first.store, { bucketId, key: 'before', volumeId }));
      await first.store.stop();
      let recoveries = 0;
      const log: Log = { ...silentLog, info: (_, message) => (recoveries += message === 'index recovered' ? 1 : 0) };
      const { store, journal } = await own.open(first.journal.disk, { log });
      await createBucket(store, 'in-the-wal');
      if (damage === 'delete') rmSync(own.indexPath);
      else if (damage === 'delete-wal') rmSync(`${own.indexPath}-wal`);
      else if (damage === 'truncate') truncateSync(own.indexPath, 4096);
      else {
        copyFileSync(own.indexPath, `${own.indexPath}.other`);
        rmSync(own.indexPath);
        copyFileSync(`${own.indexPath}.other`, own.indexPath);
      }
      await until(() => recoveries === 2);
      await untilReady(store);
      expect(await store.getObject({ bucketId, key: 'before' })).toMatchObject({ key: 'before' });
      await store.commit(putMutation(store, { bucketId, key: 'after', volumeId }));
      await store.stop();
      const dump = dumpIndex(own.indexPath);
      rmSync(own.indexPath);
      const again = await own.open(journal.disk);
      await again.store.stop();
      expect(dumpIndex(own.indexPath)).toEqual(dump);
    } finally {
      await own.close();
    }
  }
});

test('a checkpoint is made beside running commits, at a position the journal knows', async () => {
  const { store, journal } = await harness.open(undefined, { checkpointMinimumBytes: 10_000 });
  const bucketId = await createBucket(store, 'bucket');
  const volumeId = await openVolume(store);
  const writer = async (name: string) => {
    for (let index = 0; journal.checkpoints().length < 2; index += 1) {
      await store.commit(putMutation(store, { bucketId, key: `${name}${index % 50}`, volumeId }));
    }
  };
  const writers = [writer('a'), writer('b'), writer('c')];
  await Promise.all(writers);
  expect(await journal.canReplayFrom(journal.checkpoints()[0]!.position)).toBe(true);
  expect(journal.disk.frames[0]?.position.sequence).toBe(journal.checkpoints()[1]!.position.sequence + 1);
});

test("SQLite's WAL is moved into the index while commits run, and starts again from its front", async () => {
  const { store } = await harness.open(undefined, { walLimitBytes: 256 * 1024 });
  const bucketId = await createBucket(store, 'bucket');
  const volumeId = await openVolume(store);
  const starts = new Set<string>();
  const deadline = performance.now() + 20_000;
  for (let round = 0; starts.size < 4; round += 1) {
    expect(performance.now()).toBeLessThan(deadline);
    const keys = Array.from({ length: 8 }, (_, index) => `${(round * 7919) % 400}-${index}`);
    await Promise.all(keys.map((key) => store.commit(putMutation(store, { bucketId, key, volumeId }))));
    // SQLite chooses new salts each time it starts its WAL again.
    starts.add(readFileSync(`${harness.indexPath}-wal`).subarray(16, 24).toString('hex'));
  }
  await store.stop();
  const { counted, stored } = recountIndex(harness.indexPath);
  expect(counted).toEqual(stored);
});

function overwrite(path: string, offset: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

/** Waits for a condition, at most 10 s. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    expect(performance.now()).toBeLessThan(deadline);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function untilReady(store: SqliteMetadataStore): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      await store.status();
      return;
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/IndexFailed|NotReady/) as string });
      expect(performance.now()).toBeLessThan(deadline);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
