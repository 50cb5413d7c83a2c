import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StoreError } from '../../src/errors/store-error.ts';
import type { MetadataStore, Mutation } from '../../src/metadata-store/metadata-store.ts';
import { LifecycleWorker, type LifecycleWorkerOptions } from '../../src/service/lifecycle/lifecycle-worker.ts';
import { codeOf, createMemoryFixture, type MemoryFixture } from '../support/service-fixture.ts';

const BUCKET = 'bucket';
const REDUCED = { 'x-amz-storage-class': 'REDUCED_REDUNDANCY' };
const DAY_MS = 10_000;

let fixture: MemoryFixture;
beforeEach(async () => {
  fixture = await createMemoryFixture({ smallBlobLimitBytes: 1000 });
  await fixture.createBucket(BUCKET);
});
afterEach(() => fixture.stop());

async function classOf(key: string, query: Record<string, string> = {}, bucket = BUCKET): Promise<unknown> {
  const { headers } = await fixture.call('HeadObject', { bucket, key, query });
  return headers['x-amz-storage-class'] ?? 'STANDARD';
}

async function copy(from: string, to: string, headers: Record<string, string> = {}): Promise<void> {
  const source = { 'x-amz-copy-source': `/${BUCKET}/${from}` };
  await fixture.call('CopyObject', { bucket: BUCKET, key: to, headers: { ...source, ...headers } });
}

async function body(key: string, query: Record<string, string> = {}): Promise<string> {
  return (await fixture.call('GetObject', { bucket: BUCKET, key, query })).body.toString();
}

async function putRules(actions: string): Promise<void> {
  const document = `<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status>${actions}</Rule></LifecycleConfiguration>`;
  await fixture.call('PutBucketLifecycleConfiguration', {
    bucket: BUCKET,
    body: document,
    headers: { 'content-md5': createHash('md5').update(document).digest('base64') },
  });
}

const transition = (days: number, storageClass = 'REDUCED_REDUNDANCY'): string =>
  `<Transition><Days>${days}</Days><StorageClass>${storageClass}</StorageClass></Transition>`;

function makeWorker(
  before: (mutation: Mutation) => Promise<void> = async () => {},
  dataStore: LifecycleWorkerOptions['dataStore'] = fixture.stores.dataStore,
): LifecycleWorker {
  const metadataStore = new Proxy(fixture.metadata, {
    get: (target, name) => {
      const member = target[name as keyof MetadataStore] as unknown;
      if (name !== 'commit') return typeof member === 'function' ? member.bind(target) : member;
      return async (mutation: Mutation) => {
        await before(mutation);
        return await target.commit(mutation);
      };
    },
  });
  return new LifecycleWorker({
    metadataStore,
    dataStore,
    clock: fixture.clock,
    dayMs: DAY_MS,
    actionsPerSecond: 1000,
    movedBytesPerSecond: 1e9,
    isTimeTrusted: () => true,
    requestsInFlight: () => 0,
    pause: async () => {},
    isStopped: () => false,
  });
}

async function makeMultipart(key: string, headers: Record<string, string> = {}): Promise<string> {
  const created = await fixture.call('CreateMultipartUpload', { bucket: BUCKET, key, headers });
  return /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
}

async function complete(key: string, uploadId: string): Promise<void> {
  const listed = await fixture.call('ListParts', { bucket: BUCKET, key, query: { uploadId } });
  const parts = [...listed.body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>.*?<ETag>(.*?)<\/ETag>/g)];
  const xml = parts.map(([, number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`);
  const document = `<CompleteMultipartUpload>${xml.join('')}</CompleteMultipartUpload>`;
  await fixture.call('CompleteMultipartUpload', { bucket: BUCKET, key, query: { uploadId }, body: document });
}

test('an object has the class that its upload names, in every answer that tells of it', async () => {
  await fixture.put(BUCKET, 'k', 'body', REDUCED);
  expect(await classOf('k')).toBe('REDUCED_REDUNDANCY');
  const headers = { 'x-amz-object-attributes': 'StorageClass' };
  const attributes = await fixture.call('GetObjectAttributes', { bucket: BUCKET, key: 'k', headers });
  expect(attributes.body.toString()).toContain('<StorageClass>REDUCED_REDUNDANCY</StorageClass>');
  for (const operation of ['ListObjectsV2', 'ListObjectVersions']) {
    const listed = await fixture.call(operation, { bucket: BUCKET });
    expect(listed.body.toString()).toContain('<StorageClass>REDUCED_REDUNDANCY</StorageClass>');
  }
  await fixture.put(BUCKET, 'k', 'body', { 'x-amz-storage-class': 'STANDARD' });
  expect(await classOf('k')).toBe('STANDARD');
});

test('a class that this server does not have is InvalidStorageClass, whoever names it', async () => {
  const headers = { 'x-amz-storage-class': 'GLACIER' };
  await fixture.put(BUCKET, 'k', 'body');
  expect(await codeOf(fixture.put(BUCKET, 'l', 'body', headers))).toBe('InvalidStorageClass');
  expect(await codeOf(copy('k', 'l', headers))).toBe('InvalidStorageClass');
  expect(await codeOf(makeMultipart('l', headers))).toBe('InvalidStorageClass');
  expect(await codeOf(putRules(transition(1, 'GLACIER')))).toBe('InvalidStorageClass');
  expect(await codeOf(body('l'))).toBe('NoSuchKey');
});

test('a bucket can have a class of its own for objects that name none', async () => {
  await fixture.createBucket('reduced-bucket');
  await fixture.put('reduced-bucket', 'k', 'body');
  expect(await classOf('k', {}, 'reduced-bucket')).toBe('REDUCED_REDUNDANCY');
  await fixture.put('reduced-bucket', 'k', 'body', { 'x-amz-storage-class': 'STANDARD' });
  expect(await classOf('k', {}, 'reduced-bucket')).toBe('STANDARD');
});

test('a copy has the class it names, else STANDARD, and bytes of another class are written again for it', async () => {
  await fixture.put(BUCKET, 'k', 'body');
  const before = fixture.data.bytesWritten;
  await copy('k', 'same');
  expect(fixture.data.bytesWritten).toBe(before);
  await copy('k', 'reduced', REDUCED);
  expect(fixture.data.bytesWritten).toBe(before + 4);
  expect([await classOf('k'), await classOf('reduced')]).toEqual(['STANDARD', 'REDUCED_REDUNDANCY']);
  await copy('reduced', 'back');
  expect(await classOf('back')).toBe('STANDARD');
  await copy('k', 'k', REDUCED);
  expect([await classOf('k'), await body('k')]).toEqual(['REDUCED_REDUNDANCY', 'body']);
  for (const key of ['same', 'reduced', 'back']) expect(await body(key)).toBe('body');
});

test('parts lie in the class of their upload, also those that are copied', async () => {
  await fixture.put(BUCKET, 'source', 'x'.repeat(3000));
  const uploadId = await makeMultipart('k', REDUCED);
  const before = fixture.data.bytesWritten;
  const headers = { 'x-amz-copy-source': `/${BUCKET}/source` };
  const query = { uploadId, partNumber: '1' };
  await fixture.call('UploadPartCopy', { bucket: BUCKET, key: 'k', query, headers });
  expect(fixture.data.bytesWritten).toBe(before + 3000);
  await complete('k', uploadId);
  expect([await classOf('k'), await body('k')]).toEqual(['REDUCED_REDUNDANCY', 'x'.repeat(3000)]);
});

test('a transition moves the bytes and nothing else: ETag, Last-Modified, parts and metadata stay', async () => {
  await fixture.put(BUCKET, 'small', 'body', { 'x-amz-meta-a': 'b', 'x-amz-tagging': 'k=v' });
  await fixture.put(BUCKET, 'empty', '');
  const uploadId = await makeMultipart('multi');
  const query = { uploadId, partNumber: '1' };
  await fixture.call('UploadPart', { bucket: BUCKET, key: 'multi', query, body: 'y'.repeat(5000) });
  await complete('multi', uploadId);
  await copy('small', 'copied');
  await putRules(transition(1));
  const keys = ['copied', 'empty', 'multi', 'small'];
  const read = async (): Promise<unknown[]> =>
    await Promise.all(
      keys.map(async (key) => {
        const { headers, body: bytes } = await fixture.get(BUCKET, key);
        const { 'x-amz-storage-class': storageClass, ...rest } = headers;
        return { storageClass, rest, bytes: bytes.toString() };
      }),
    );
  const before = (await read()) as object[];
  const worker = makeWorker();
  await worker.run();
  expect(await read()).toEqual(before);
  fixture.clock.jumpWallClock(2 * DAY_MS);
  await worker.run();
  expect(await read()).toEqual(before.map((each) => ({ ...each, storageClass: 'REDUCED_REDUNDANCY' })));
  expect(worker.report()).toMatchObject({ counts: { transitioned: 4, skipped: 0 }, movedBytes: 4 + 5000 + 4 });
  fixture.clock.jumpWallClock(2 * DAY_MS);
  await worker.run();
  expect(worker.report().counts.transitioned).toBe(4);
});

test('of two transitions each comes in its time', async () => {
  await fixture.put(BUCKET, 'k', 'body', REDUCED);
  await putRules(transition(1, 'STANDARD') + transition(3));
  const worker = makeWorker();
  fixture.clock.jumpWallClock(DAY_MS);
  await worker.run();
  expect(await classOf('k')).toBe('STANDARD');
  fixture.clock.jumpWallClock(2 * DAY_MS);
  await worker.run();
  expect(await classOf('k')).toBe('REDUCED_REDUNDANCY');
});

test('noncurrent versions change their class in their time, the current one does not', async () => {
  const { bucketId } = (await fixture.metadata.getBucket(BUCKET))!;
  const value = { status: 'Enabled' } as const;
  await fixture.metadata.commit({ type: 'PutBucketConfiguration', bucketId, name: 'versioning', value });
  const first = await fixture.put(BUCKET, 'k', 'first');
  await fixture.put(BUCKET, 'k', 'second');
  await putRules(
    '<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>REDUCED_REDUNDANCY</StorageClass></NoncurrentVersionTransition>',
  );
  fixture.clock.jumpWallClock(DAY_MS);
  await makeWorker().run();
  const versionId = String(first.headers['x-amz-version-id']);
  expect([await classOf('k', { versionId }), await body('k', { versionId })]).toEqual(['REDUCED_REDUNDANCY', 'first']);
  expect([await classOf('k'), await body('k')]).toEqual(['STANDARD', 'second']);
});

test('an object that is overwritten while its bytes are moved keeps the new ones and their class', async () => {
  await fixture.put(BUCKET, 'k', 'old');
  await putRules(transition(1));
  fixture.clock.jumpWallClock(DAY_MS);
  const worker = makeWorker(async (mutation) => {
    if (mutation.type === 'TransitionVersion') await fixture.put(BUCKET, 'k', 'new');
  });
  await worker.run();
  expect([await classOf('k'), await body('k')]).toEqual(['STANDARD', 'new']);
  expect(worker.report().counts).toMatchObject({ transitioned: 0, skipped: 1 });
});

test('a version that cannot be moved holds up nothing: the next pass tries again', async () => {
  for (const key of ['a', 'b']) await fixture.put(BUCKET, key, `body of ${key}`);
  await putRules(transition(1));
  fixture.clock.jumpWallClock(DAY_MS);
  const { dataStore } = fixture.stores;
  let isUnreadable = true;
  const worker = makeWorker(undefined, {
    storageClasses: () => dataStore.storageClasses(),
    writeSmall: (...written) => dataStore.writeSmall(...written),
    copyBlob: async (blob, options) => {
      if (!isUnreadable) return await dataStore.copyBlob(blob, options);
      isUnreadable = false;
      throw new StoreError('TooFewShards', 'too few of its shards can be read');
    },
  });
  await worker.run();
  expect(new Set([await classOf('a'), await classOf('b')])).toEqual(new Set(['REDUCED_REDUNDANCY', 'STANDARD']));
  expect(worker.report()).toMatchObject({ counts: { transitioned: 1, failed: 1 } });
  expect(worker.report().lastError).toMatch(/stays in STANDARD: too few of its shards can be read/);
  fixture.clock.jumpWallClock(DAY_MS);
  await worker.run();
  expect([await classOf('a'), await classOf('b')]).toEqual(['REDUCED_REDUNDANCY', 'REDUCED_REDUNDANCY']);
  expect(worker.report().lastError).toBeUndefined();
});

test('what expires does not wait until a page of others is moved', async () => {
  // More than is moved at once.
  await fixture.put(BUCKET, 'a', 'x'.repeat(5_000_000));
  await fixture.put(BUCKET, 'b', 'small');
  await putRules(
    `${transition(1)}</Rule><Rule><Status>Enabled</Status><Filter><ObjectSizeLessThan>10</ObjectSizeLessThan></Filter><Expiration><Days>1</Days></Expiration>`,
  );
  fixture.clock.jumpWallClock(DAY_MS);
  const done: string[] = [];
  await makeWorker(async (mutation) => {
    if (mutation.type === 'DeleteObject' || mutation.type === 'TransitionVersion') done.push(mutation.key);
  }).run();
  expect(done).toEqual(['b', 'a']);
});
