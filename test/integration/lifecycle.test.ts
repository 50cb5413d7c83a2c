import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import type { MetadataStore, Mutation } from '../../src/metadata-store/metadata-store.ts';
import { LifecycleWorker, type LifecycleWorkerOptions } from '../../src/service/lifecycle/lifecycle-worker.ts';
import { CALENDAR_DAY_MS } from '../../src/service/lifecycle/lifecycle-days.ts';
import { createMemoryFixture, type MemoryFixture } from '../support/service-fixture.ts';

const BUCKET = 'bucket';
const HOUR_MS = 3_600_000;

let fixture: MemoryFixture;
let bucketId: number;
beforeEach(async () => {
  fixture = await createMemoryFixture();
  await fixture.createBucket(BUCKET);
  ({ bucketId } = (await fixture.metadata.getBucket(BUCKET))!);
  // Not a midnight.
  pass(10 * HOUR_MS);
});
afterEach(() => fixture.stop());

function makeWorker(options: Partial<LifecycleWorkerOptions> = {}): LifecycleWorker {
  return new LifecycleWorker({
    metadataStore: fixture.metadata,
    dataStore: fixture.stores.dataStore,
    movedBytesPerSecond: 1e9,
    clock: fixture.clock,
    dayMs: CALENDAR_DAY_MS,
    actionsPerSecond: 1000,
    isTimeTrusted: () => true,
    requestsInFlight: () => 0,
    pause: async () => {},
    isStopped: () => false,
    pageLimit: 3,
    ...options,
  });
}

/** The same store, with something that happens before a commit. */
function storeWith(before: (mutation: Mutation) => Promise<void>): MetadataStore {
  return new Proxy(fixture.metadata, {
    get: (target, name) => {
      if (name === 'commit') {
        return async (mutation: Mutation) => {
          await before(mutation);
          return await target.commit(mutation);
        };
      }
      const member = target[name as keyof MetadataStore] as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function putRules(rules: string): Promise<void> {
  const body = `<LifecycleConfiguration>${rules}</LifecycleConfiguration>`;
  const headers = { 'content-md5': createHash('md5').update(body).digest('base64') };
  await fixture.call('PutBucketLifecycleConfiguration', { bucket: BUCKET, body, headers });
}

function rule(actions: string, filter = ''): string {
  return `<Rule><ID>r</ID><Filter>${filter}</Filter><Status>Enabled</Status>${actions}</Rule>`;
}

const afterDays = (days: number): string => `<Expiration><Days>${days}</Days></Expiration>`;
const oldAfterDays = (days: number, kept = ''): string =>
  `<NoncurrentVersionExpiration><NoncurrentDays>${days}</NoncurrentDays>${kept}</NoncurrentVersionExpiration>`;

async function enableVersioning(): Promise<void> {
  const value = { status: 'Enabled' } as const;
  await fixture.metadata.commit({ type: 'PutBucketConfiguration', bucketId, name: 'versioning', value });
}

async function put(...keys: string[]): Promise<void> {
  for (const key of keys) await fixture.put(BUCKET, key, `body of ${key}`);
}

async function keys(): Promise<string[]> {
  const page = await fixture.metadata.listObjects({ bucketId, prefix: '', delimiter: '', startAfter: '', limit: 1000 });
  return page.objects.map(({ key }) => key);
}

async function versions(): Promise<string[]> {
  const query = { bucketId, prefix: '', delimiter: '', keyMarker: '', versionIdMarker: '', limit: 1000 };
  const page = await fixture.metadata.listVersions(query);
  return page.versions.map(
    ({ key, isDeleteMarker, isLatest }) => `${key}${isDeleteMarker ? '!' : ''}${isLatest ? '*' : ''}`,
  );
}

/** Only the wall clock: the timers of a day of the stores are of no interest. */
const pass = (ms: number): void => fixture.clock.jumpWallClock(ms);
const days = (count: number): void => pass(count * CALENDAR_DAY_MS);

test('an object is there until the midnight that x-amz-expiration told, and then it is gone', async () => {
  await putRules(rule(afterDays(2)));
  const worker = makeWorker();
  const { headers } = await fixture.put(BUCKET, 'k', 'body');
  const told = /^expiry-date="(.+)", rule-id="r"$/.exec(String(headers['x-amz-expiration']))?.[1] ?? '';
  expect(new Date(told).getTime()).toBe(Date.UTC(2026, 0, 4));
  for (const operation of ['GetObject', 'HeadObject']) {
    const answer = await fixture.call(operation, { bucket: BUCKET, key: 'k' });
    expect(answer.headers['x-amz-expiration']).toBe(headers['x-amz-expiration']);
  }
  pass(new Date(told).getTime() - fixture.clock.nowMs() - 1);
  await worker.run();
  expect(await keys()).toEqual(['k']);
  pass(1);
  await worker.run();
  expect(await keys()).toEqual([]);
  expect(worker.report().counts).toMatchObject({ expired: 1, skipped: 0 });
});

test('only what lies under the prefixes of rules is looked at', async () => {
  await put('a/1', 'b/1', 'b/2', 'c/1');
  await putRules(rule(afterDays(1), '<Prefix>b/</Prefix>'));
  const worker = makeWorker();
  days(3);
  await worker.run();
  expect(await keys()).toEqual(['a/1', 'c/1']);
  expect(worker.report().counts).toMatchObject({ lookedAt: 2, expired: 2 });
});

test('rules by tags and sizes end only what has them', async () => {
  await fixture.put(BUCKET, 'tagged', 'xx', { 'x-amz-tagging': 'k=v&other=1' });
  await fixture.put(BUCKET, 'tagged-small', 'x', { 'x-amz-tagging': 'k=v' });
  await fixture.put(BUCKET, 'other', 'xx', { 'x-amz-tagging': 'k=w' });
  await putRules(
    rule(
      afterDays(1),
      '<And><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And>',
    ),
  );
  days(3);
  await makeWorker().run();
  expect(await keys()).toEqual(['other', 'tagged-small']);
});

test('in a versioned bucket objects get a delete marker, old versions go, and at last the marker', async () => {
  await enableVersioning();
  await put('a', 'b', 'b');
  await putRules(rule(afterDays(1) + oldAfterDays(3)));
  const worker = makeWorker();
  days(2);
  await worker.run();
  expect(await versions()).toEqual(['a!*', 'a', 'b!*', 'b', 'b']);
  days(2);
  await worker.run();
  // The older of b has been noncurrent since the first day, the others for two days.
  expect(await versions()).toEqual(['a!*', 'a', 'b!*', 'b']);
  days(2);
  await worker.run();
  expect(await versions()).toEqual(['a!*', 'b!*']);
  days(1);
  await worker.run();
  expect(await versions()).toEqual([]);
});

test('the newest old versions are kept where a rule says how many', async () => {
  await enableVersioning();
  await put(...Array.from({ length: 9 }, () => 'k'), 'l');
  const listed = await fixture.metadata.listVersions({
    bucketId,
    prefix: 'k',
    delimiter: '',
    keyMarker: '',
    versionIdMarker: '',
    limit: 100,
  });
  await putRules(rule(oldAfterDays(1, '<NewerNoncurrentVersions>3</NewerNoncurrentVersions>')));
  days(3);
  await makeWorker().run();
  const left = await fixture.metadata.listVersions({
    bucketId,
    prefix: 'k',
    delimiter: '',
    keyMarker: '',
    versionIdMarker: '',
    limit: 100,
  });
  expect(left.versions.map(({ versionId }) => versionId)).toEqual(
    listed.versions.slice(0, 4).map(({ versionId }) => versionId),
  );
  expect(await keys()).toEqual(['k', 'l']);
});

test('a delete marker over old versions stays, one with nothing under it goes', async () => {
  await enableVersioning();
  await put('full', 'empty');
  for (const key of ['full', 'empty']) await fixture.call('DeleteObject', { bucket: BUCKET, key });
  const { versions: listed } = await fixture.metadata.listVersions({
    bucketId,
    prefix: 'empty',
    delimiter: '',
    keyMarker: '',
    versionIdMarker: '',
    limit: 9,
  });
  const old = listed.find(({ isDeleteMarker }) => !isDeleteMarker)!;
  await fixture.call('DeleteObject', { bucket: BUCKET, key: 'empty', query: { versionId: old.versionId } });
  await putRules(rule('<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>'));
  const worker = makeWorker();
  await worker.run();
  expect(await versions()).toEqual(['full!*', 'full']);
  expect(worker.report().counts).toMatchObject({ deleted: 1 });
});

test('uploads are aborted when their days are over, as CreateMultipartUpload told', async () => {
  await putRules(
    rule(
      '<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>',
      '<Prefix>a</Prefix>',
    ),
  );
  const created = await fixture.call('CreateMultipartUpload', { bucket: BUCKET, key: 'a' });
  await fixture.call('CreateMultipartUpload', { bucket: BUCKET, key: 'b' });
  expect(created.headers).toMatchObject({
    'x-amz-abort-date': new Date(Date.UTC(2026, 0, 3)).toUTCString(),
    'x-amz-abort-rule-id': 'r',
  });
  const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
  const parts = await fixture.call('ListParts', { bucket: BUCKET, key: 'a', query: { uploadId } });
  expect(parts.headers['x-amz-abort-rule-id']).toBe('r');
  const worker = makeWorker();
  days(1);
  await worker.run();
  const uploads = async (): Promise<string[]> => {
    const query = { bucketId, prefix: '', delimiter: '', keyMarker: '', uploadIdMarker: '', limit: 9 };
    return (await fixture.metadata.listUploads(query)).uploads.map(({ key }) => key);
  };
  expect(await uploads()).toEqual(['a', 'b']);
  days(1);
  await worker.run();
  expect(await uploads()).toEqual(['b']);
});

test('an object that is overwritten between the look and the deed stays', async () => {
  await put('a', 'b');
  await putRules(rule(afterDays(1)));
  days(3);
  const overwritten = new Set<string>();
  const metadataStore = storeWith(async (mutation) => {
    if (mutation.type !== 'DeleteObject' || mutation.key !== 'a' || overwritten.has('a')) return;
    overwritten.add('a');
    await fixture.put(BUCKET, 'a', 'new');
  });
  const worker = makeWorker({ metadataStore });
  await worker.run();
  expect(await keys()).toEqual(['a']);
  expect((await fixture.get(BUCKET, 'a')).body.toString()).toBe('new');
  expect(worker.report().counts).toMatchObject({ expired: 1, skipped: 1 });
});

test('an old version that becomes the current one between the look and the deed stays', async () => {
  await enableVersioning();
  await put('k');
  const { headers } = await fixture.call('DeleteObject', { bucket: BUCKET, key: 'k' });
  await putRules(rule(oldAfterDays(1)));
  days(3);
  let isUndone = false;
  const metadataStore = storeWith(async (mutation) => {
    if (mutation.type !== 'DeleteObject' || isUndone) return;
    isUndone = true;
    const query = { versionId: String(headers['x-amz-version-id']) };
    await fixture.call('DeleteObject', { bucket: BUCKET, key: 'k', query });
  });
  const worker = makeWorker({ metadataStore });
  await worker.run();
  expect((await fixture.get(BUCKET, 'k')).body.toString()).toBe('body of k');
  expect(worker.report().counts).toMatchObject({ deleted: 0, skipped: 1 });
});

test('delete markers have no tags: rules that ask for some leave them', async () => {
  await enableVersioning();
  await put('k');
  for (let count = 0; count < 2; count++) await fixture.call('DeleteObject', { bucket: BUCKET, key: 'k' });
  await fixture.call('DeleteObject', { bucket: BUCKET, key: 'only' });
  await putRules(rule(afterDays(1) + oldAfterDays(1), '<Tag><Key>t</Key><Value>v</Value></Tag>'));
  days(3);
  await makeWorker().run();
  expect(await versions()).toEqual(['k!*', 'k!', 'k', 'only!*']);
});

test('what Object Lock protects is passed over', async () => {
  await put('a', 'b');
  await putRules(rule(afterDays(1)));
  days(3);
  const metadataStore = storeWith(async (mutation) => {
    if (mutation.type === 'DeleteObject' && mutation.key === 'a') throw new S3Error('AccessDenied');
  });
  const worker = makeWorker({ metadataStore });
  await worker.run();
  expect(await keys()).toEqual(['a']);
  expect(worker.report().counts).toMatchObject({ expired: 1, locked: 1 });
});

test('a pass goes on where it was after a restart', async () => {
  await put('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
  await putRules(rule(afterDays(1)));
  days(3);
  const pause = (): Promise<void> => fixture.clock.advance(11_000);
  const metadataStore = storeWith(async (mutation) => {
    if (mutation.type === 'DeleteObject' && mutation.key === 'g') throw new StoreError('QuorumLost', 'too few disks');
  });
  const first = makeWorker({ metadataStore, pause });
  await expect(first.run()).rejects.toMatchObject({ code: 'QuorumLost' });
  expect(first.report()).toMatchObject({ lastError: 'too few disks', isRunning: false });
  expect(first.report().lagMs).toBeGreaterThan(0);
  const second = makeWorker({ pause });
  await second.run();
  expect(await keys()).toEqual([]);
  // The pages of a to c and d to f are not looked at again.
  expect(second.report().counts.lookedAt).toBeLessThanOrEqual(2);
  expect(second.report()).toMatchObject({ lagMs: 0, lastError: undefined });
  await makeWorker().run();
});

test('there is one pass a day, and one through a bucket whose rules were changed', async () => {
  await put('a', 'b');
  await putRules(rule(afterDays(9)));
  const worker = makeWorker();
  await worker.run();
  await worker.run();
  expect(worker.report().counts.lookedAt).toBe(2);
  days(1);
  await worker.run();
  expect(worker.report().counts.lookedAt).toBe(4);
  await putRules(rule('<Expiration><Date>2026-01-01</Date></Expiration>', '<Prefix>a</Prefix>'));
  worker.configurationChanged(bucketId);
  await worker.run();
  expect(await keys()).toEqual(['b']);
});

test('nothing ends while the clock is not to be believed', async () => {
  await put('a');
  await putRules(rule(afterDays(1)));
  days(3);
  let isTimeTrusted = false;
  const worker = makeWorker({ isTimeTrusted: () => isTimeTrusted });
  worker.configurationChanged(bucketId);
  await worker.run();
  expect(await keys()).toEqual(['a']);
  expect(worker.report().isFrozen).toBe(true);
  isTimeTrusted = true;
  await worker.run();
  expect(await keys()).toEqual([]);
});

test('rules that are taken away in the midst of a pass end nothing more', async () => {
  await put('a', 'b', 'c', 'd', 'e');
  await putRules(rule(afterDays(1)));
  days(3);
  let isDeleted = false;
  const pause = async (): Promise<void> => {
    if (isDeleted) return;
    isDeleted = true;
    await fixture.call('DeleteBucketLifecycle', { bucket: BUCKET });
  };
  await makeWorker({ pause }).run();
  expect(await keys()).toEqual(['d', 'e']);
});

test('a clock that was ahead and was put right does not keep the rules waiting', async () => {
  await put('a');
  await putRules(rule(afterDays(1)));
  const worker = makeWorker();
  fixture.clock.jumpWallClock(-30 * CALENDAR_DAY_MS);
  await worker.run();
  fixture.clock.jumpWallClock(60 * CALENDAR_DAY_MS);
  await worker.run();
  expect(await keys()).toEqual([]);
  await put('b');
  fixture.clock.jumpWallClock(-50 * CALENDAR_DAY_MS);
  await worker.run();
  await put('c');
  days(3);
  await worker.run();
  expect(await keys()).toEqual(['b']);
});

test('by a test clock nothing is rounded, and what is announced is the calendar’s date', async () => {
  await putRules(rule(afterDays(1)));
  const { headers } = await fixture.put(BUCKET, 'k', 'body');
  expect(headers['x-amz-expiration']).toContain('Sat, 03 Jan 2026 00:00:00 GMT');
  const worker = makeWorker({ dayMs: 10_000 });
  pass(9_999);
  await worker.run();
  expect(await keys()).toEqual(['k']);
  pass(1_000);
  await worker.run();
  expect(await keys()).toEqual([]);
});
