import { afterEach, beforeEach, expect, test } from 'vitest';
import { dumpIndex } from '../../../support/index-dump.ts';
import { ALICE, createBucket, openVolume, putMutation } from '../../../support/metadata-fixtures.ts';
import { emptyDisk } from '../../../support/memory-journal.ts';
import { runWorkload } from '../../../support/metadata-workload.ts';
import { sqliteHarness, type SqliteHarness } from '../../../support/open-sqlite-store.ts';

let harness: SqliteHarness;
beforeEach(async () => {
  harness = await sqliteHarness();
});
afterEach(() => harness.close());

async function prepare(options: Parameters<SqliteHarness['open']>[1] = {}) {
  const { store, journal } = await harness.open(undefined, options);
  const bucketId = await createBucket(store, 'bucket');
  const volumeId = await openVolume(store);
  const put = (key: string, more: object = {}) =>
    store.commit({ ...putMutation(store, { bucketId, key, volumeId }), ...more });
  const get = (key: string) => store.getObject({ bucketId, key });
  return { store, journal, bucketId, volumeId, put, get };
}

/** Has the promise settled by now? Looks after the event loop has turned a few times. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

test('mutations that wait together are one frame', async () => {
  const { journal, put } = await prepare();
  const before = journal.appendCount;
  await Promise.all(Array.from({ length: 64 }, (_, index) => put(`k${index}`)));
  expect(journal.appendCount - before).toBe(1);
});

test('objects that follow one stripe are one frame, begun before the event loop turns', async () => {
  const { journal, put } = await prepare();
  const before = journal.appendCount;
  const framesAtTurn = new Promise<number>((resolve) => {
    setImmediate(() => resolve(journal.appendCount - before));
  });
  const stripe = Promise.resolve();
  await Promise.all(Array.from({ length: 25 }, (_, index) => stripe.then(() => put(`k${index}`))));
  expect(await framesAtTurn).toBe(1);
  expect(journal.appendCount - before).toBe(1);
});

test('a batch is bounded in mutations and in bytes', async () => {
  const { journal, put } = await prepare({ maxBatchMutations: 10, maxBatchBytes: 2000 });
  const before = journal.appendCount;
  await Promise.all(Array.from({ length: 30 }, (_, index) => put(`k${index}`)));
  expect(journal.appendCount - before).toBe(3);
  await Promise.all(Array.from({ length: 4 }, (_, index) => put(`k${index}`.padEnd(1000, 'x'))));
  expect(journal.appendCount - before).toBe(5);
});

test('nothing is visible before its batch is acknowledged, and no refusal that rests on it is told', async () => {
  const { store, journal, bucketId, put, get } = await prepare();
  const release = journal.holdAppends();
  const won = put('k', { preconditions: { ifNoneMatch: ['*'] } });
  const lost = put('k', { preconditions: { ifNoneMatch: ['*'] } });
  lost.catch(() => {});
  const notEmpty = store.commit({ type: 'DeleteBucket', bucketId });
  notEmpty.catch(() => {});
  expect(await isSettled(Promise.race([won, lost, notEmpty]))).toBe(false);
  expect(await get('k')).toBeUndefined();
  const page = await store.listObjects({ bucketId, prefix: '', delimiter: '', startAfter: '', limit: 10 });
  expect(page.objects).toEqual([]);
  // It waits for the batch in flight, also when it comes later.
  const later = put('k', { preconditions: { ifNoneMatch: ['*'] } });
  later.catch(() => {});
  expect(await isSettled(later)).toBe(false);
  release();
  await won;
  await expect(lost).rejects.toMatchObject({ code: 'PreconditionFailed' });
  await expect(later).rejects.toMatchObject({ code: 'PreconditionFailed' });
  await expect(notEmpty).rejects.toMatchObject({ code: 'BucketNotEmpty' });
  expect(await get('k')).toMatchObject({ key: 'k' });
});

test('a refused mutation takes nothing of its batch with it', async () => {
  const { store, bucketId, put, get } = await prepare();
  const results = await Promise.allSettled([
    put('a'),
    put('b', { preconditions: { ifMatch: ['x'] } }),
    put('c', { bucketId: 77 }),
    put('d', { blobs: [{ existingBlobId: 99 }] }),
    store.commit({
      type: 'DeleteObject',
      owner: ALICE,
      bucketId,
      key: 'a',
      preconditions: { ifMatch: ['*'] },
      atMs: 1,
    }),
    put('e'),
  ]);
  expect(results.map((result) => result.status)).toEqual([
    'fulfilled',
    'rejected',
    'rejected',
    'rejected',
    'fulfilled',
    'fulfilled',
  ]);
  expect(await get('a')).toBeUndefined();
  expect(await get('e')).toMatchObject({ key: 'e' });
});

test('when nothing was written anywhere the batch is refused, and the next goes through', async () => {
  const { journal, put, get } = await prepare();
  journal.appendFaults.push('quorum-lost');
  await expect(put('k')).rejects.toMatchObject({ code: 'QuorumLost' });
  expect(await get('k')).toBeUndefined();
  await put('k');
  expect(await get('k')).toMatchObject({ key: 'k' });
});

test('an undecided batch that the next epoch adopts is answered as done', async () => {
  const { store, journal, put, get } = await prepare();
  const epoch = store.epoch();
  journal.appendFaults.push('adopted');
  const [one, two] = await Promise.all([put('a'), put('b')]);
  expect(await get('a')).toMatchObject({ order: one.order });
  expect(await get('b')).toMatchObject({ order: two.order });
  expect(store.epoch()).toBe(epoch + 1);
  expect(Math.floor(store.nextIdentifier() / 2 ** 32)).toBe(epoch + 1);
});

test('an undecided batch that the next epoch voids is decided afresh, refusals included', async () => {
  const { journal, put, get } = await prepare();
  journal.appendFaults.push('void');
  const first = put('a', { preconditions: { ifNoneMatch: ['*'] } });
  const second = put('a', { preconditions: { ifNoneMatch: ['*'] } });
  second.catch(() => {});
  const written = await first;
  await expect(second).rejects.toMatchObject({ code: 'PreconditionFailed' });
  expect(await get('a')).toMatchObject({ order: written.order });
  expect(Math.floor(written.order / 2 ** 32)).toBe(journal.epoch);
});

test('while no epoch can be opened, what the batch touches gets an error and everything else is answered', async () => {
  const { store, journal, bucketId, put, get } = await prepare({ undecidedAnswerMs: 1 });
  await put('old');
  await put('other');
  journal.appendFaults.push('adopted');
  journal.reopenFailures = Infinity;
  await expect(put('old', { lastModifiedMs: 1 })).rejects.toMatchObject({ code: 'Undecided' });
  await expect(get('old')).rejects.toMatchObject({ code: 'Undecided' });
  await expect(
    store.listObjects({ bucketId, prefix: '', delimiter: '', startAfter: '', limit: 10 }),
  ).rejects.toMatchObject({ code: 'Undecided' });
  expect(await get('other')).toMatchObject({ key: 'other' });
  // The data store goes on with what is acknowledged.
  expect(await store.listVolumes()).toHaveLength(1);
  expect(await store.getBucket('bucket')).toMatchObject({ bucketId });
  await expect(put('new')).rejects.toMatchObject({ code: 'QuorumLost' });
  journal.reopenFailures = 0;
  await expect.poll(() => get('old').catch(() => undefined), { timeout: 60_000 }).toMatchObject({ lastModifiedMs: 1 });
  await put('new');
});

test('a mutation answered with Undecided is not done later when its frame is void', async () => {
  const { journal, put, get } = await prepare({ undecidedAnswerMs: 1 });
  journal.appendFaults.push('void');
  journal.reopenFailures = 1;
  await expect(put('k')).rejects.toMatchObject({ code: 'Undecided' });
  await expect.poll(() => put('next').catch(() => undefined), { timeout: 60_000 }).toMatchObject({ versionId: 'null' });
  expect(await get('k')).toBeUndefined();
});

test('a start that cannot open an epoch reads the acknowledged prefix and refuses the keys of later frames', async () => {
  const { store, journal, bucketId, put, volumeId } = await prepare();
  await put('sure');
  await put('unsure');
  await store.stop();
  const donor = await harness.open(journal.disk);
  donor.journal.appendFaults.push('adopted');
  donor.journal.reopenFailures = Infinity;
  const lost = donor.store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'unsure', atMs: 1 });
  lost.catch(() => {});
  await expect.poll(() => donor.journal.disk.undecided).toBeDefined();
  await donor.store.stop();
  const after = await harness.open(journal.disk, {}, (fresh) => {
    fresh.startsReadOnly = true;
    fresh.reopenFailures = 2;
  });
  expect(await after.store.getObject({ bucketId, key: 'sure' })).toMatchObject({ key: 'sure' });
  await expect(after.store.getObject({ bucketId, key: 'unsure' })).rejects.toMatchObject({ code: 'Undecided' });
  await expect(after.store.commit(putMutation(after.store, { bucketId, key: 'x', volumeId }))).rejects.toMatchObject({
    code: 'QuorumLost',
  });
  const read = () => after.store.getObject({ bucketId, key: 'unsure' }).catch(() => 'error');
  await expect.poll(read, { timeout: 60_000 }).toBeUndefined();
  await after.store.commit(putMutation(after.store, { bucketId, key: 'x', volumeId }));
});

test('random work with undecided batches in between stays equal to its replay', async () => {
  const { store, journal } = await harness.open(emptyDisk());
  for (let round = 0; round < 300; round += 1) {
    journal.appendFaults.push((['adopted', undefined, 'void', undefined, undefined] as const)[round % 5]);
  }
  await runWorkload(store, { seed: 99, steps: 120 });
  await store.stop();
  const dump = dumpIndex(harness.indexPath);
  const other = await sqliteHarness();
  try {
    const replayed = await other.open(journal.disk);
    await replayed.store.stop();
    expect(dumpIndex(other.indexPath)).toEqual(dump);
  } finally {
    await other.close();
  }
});

test('stop answers the batch in flight, refuses what waits and what comes later', async () => {
  const { store, journal, bucketId, volumeId, put } = await prepare({ maxBatchMutations: 1 });
  const release = journal.holdAppends();
  const inFlight = put('a');
  const waiting = put('b');
  waiting.catch(() => {});
  expect(await isSettled(inFlight)).toBe(false);
  const stopped = store.stop();
  await expect(waiting).rejects.toMatchObject({ code: 'NotReady' });
  release();
  await inFlight;
  await stopped;
  await expect(put('c')).rejects.toMatchObject({ code: 'NotReady' });
  await expect(store.getObject({ bucketId, key: 'a' })).rejects.toMatchObject({ code: 'NotReady' });
  const again = await harness.open(journal.disk);
  expect(await again.store.getObject({ bucketId, key: 'a' })).toMatchObject({ key: 'a', owner: ALICE });
  expect(await again.store.commit(putMutation(again.store, { bucketId, key: 'd', volumeId }))).toBeDefined();
});

test('an assertion of the journal ends committing at once: the batch and all others are refused, nothing is tried again', async () => {
  const broken: unknown[] = [];
  const { journal, put, get } = await prepare({ maxBatchMutations: 1, onBroken: (error) => void broken.push(error) });
  journal.appendFaults.push('bug');
  const results = await Promise.allSettled([put('a'), put('b')]);
  for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'NotReady' } });
  expect(broken).toMatchObject([{ name: 'AssertionFailure' }]);
  const { appendCount } = journal;
  await expect(put('c')).rejects.toMatchObject({ code: 'NotReady' });
  expect(journal.appendCount).toBe(appendCount);
  expect(await get('a')).toBeUndefined();
});

test('an assertion while an epoch is opened anew ends the attempts', async () => {
  const broken: unknown[] = [];
  const { journal, put } = await prepare({ onBroken: (error) => void broken.push(error) });
  journal.appendFaults.push('void');
  journal.reopen = () => Promise.reject(new TypeError('a bug'));
  await expect(put('a')).rejects.toMatchObject({ code: 'NotReady' });
  expect(broken).toMatchObject([{ message: 'a bug' }]);
  await expect(put('b')).rejects.toMatchObject({ code: 'NotReady' });
});
