import { closeSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SqliteMetadataStore } from '../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { silentLog } from '../../src/observability/log.ts';
import { SystemClock, SystemRandomness } from '../../src/observability/system-clock.ts';
import { ALICE, createBucket, openVolume, putMutation } from './metadata-fixtures.ts';
import { MemoryJournal, type MemoryJournalDisk } from './memory-journal.ts';

/** Run by `state-reserve.test.ts` in a small file system: fills it, deletes, makes room, and tells what happened. */
const folder = process.argv[2] ?? '';
const RESERVE_BYTES = 8 * 1024 * 1024;

async function open(disk?: MemoryJournalDisk) {
  const journal = new MemoryJournal(disk);
  const store = new SqliteMetadataStore({
    journal,
    indexPath: join(folder, 'index.sqlite'),
    clock: new SystemClock(),
    randomness: new SystemRandomness(),
    log: silentLog,
    reserveBytes: RESERVE_BYTES,
  });
  await store.start(() => {});
  return { store, journal };
}

const { store, journal } = await open();
const bucketId = await createBucket(store, 'bucket');
const volumeId = await openVolume(store);
const versionedId = await createBucket(store, 'versioned');
await store.commit({
  type: 'PutBucketConfiguration',
  bucketId: versionedId,
  name: 'versioning',
  value: { status: 'Enabled' },
});
const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => String((error as { code?: string }).code),
  );
const put = (key: string): Promise<string> => outcomeOf(store.commit(putMutation(store, { bucketId, key, volumeId })));
const { versionId } = await store.commit(putMutation(store, { bucketId: versionedId, key: 'kept', volumeId }));
const remove = (version?: string): Promise<string> => {
  const which = { bucketId: versionedId, key: 'kept', ...(version === undefined ? {} : { versionId: version }) };
  return outcomeOf(store.commit({ type: 'DeleteObject', owner: ALICE, atMs: 1, ...which }));
};

/** Tries again, at most 20 s, until the outcome is the one waited for. */
async function until<T>(wanted: T, attempt: () => Promise<T> | T): Promise<T> {
  const endMs = performance.now() + 20_000;
  for (;;) {
    const outcome = await attempt();
    if (outcome === wanted || performance.now() > endMs) return outcome;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await until(RESERVE_BYTES, () => statSync(join(folder, 'index.sqlite.reserve'), { throwIfNoEntry: false })?.size);
const keys = Array.from({ length: 500 }, (_, index) => `k${index}`);
await Promise.all(keys.map(put));
console.log(`before: put ${await put('k0')}`);
fill(join(folder, 'foreign'));
console.log(`full: put ${await until('DiskFull', () => put('new'))}`);
for (const key of keys) await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key, atMs: 1 });
// Taken by the attempt that found the file system full, or not: one of both is true.
await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'new', atMs: 1 });
console.log('full: 500 deletes ok');
console.log(`full: delete marker ${await remove()}, version ${await remove(versionId)}`);
rmSync(join(folder, 'foreign'));
console.log(`after: put ${await until('ok', () => put('last'))}`);
await store.stop();
const again = await open(journal.disk);
console.log(`after restart: ${(await again.store.status()).objectCount} objects`);
await again.store.stop();

function fill(path: string): void {
  writeFileSync(path, '');
  const file = openSync(path, 'r+');
  try {
    for (let offset = 0; ; offset += 65_536) writeSync(file, Buffer.alloc(65_536), 0, 65_536, offset);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}
