import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MetadataStore } from '../../src/metadata-store/metadata-store.ts';
import type { S3ErrorCode } from '../../src/errors/s3-errors.ts';
import type { StoreErrorCode } from '../../src/errors/store-error.ts';
import {
  ALICE,
  attributesOf,
  BOB,
  createBucket,
  etagOf,
  newBlob,
  openVolume,
  putMutation,
  uploadOf,
} from '../support/metadata-fixtures.ts';
import { describeBucketConfigurations } from './metadata-store-configurations.ts';
import { describeLocks } from './metadata-store-locks.ts';
import { describeUploads } from './metadata-store-uploads.ts';
import { describeVersions } from './metadata-store-versions.ts';
import { describeVolumes } from './metadata-store-volumes.ts';

/** Opens an empty, started store of the engine under test; `close` stops it and removes what it left. */
export type OpenStore = () => Promise<{ store: MetadataStore; close: () => Promise<void> }>;

export async function expectCode(promise: Promise<unknown>, code: S3ErrorCode | StoreErrorCode): Promise<void> {
  await expect(promise).rejects.toMatchObject({ code });
}

/** What every engine must do. Call it once for each engine, in a test file of that engine. */
export function metadataStoreConformance(engine: string, open: OpenStore): void {
  describe(`MetadataStore: ${engine}`, () => {
    let store: MetadataStore;
    let close: () => Promise<void>;
    beforeEach(async () => {
      ({ store, close } = await open());
    });
    afterEach(() => close());
    describeBuckets(() => store);
    describeObjects(() => store);
    describePreconditions(() => store);
    describeVersions(() => store);
    describeUploads(() => store);
    describeVolumes(() => store);
    describeDocuments(() => store);
    describeBucketConfigurations(() => store);
    describeLocks(() => store);
  });
}

function describeBuckets(current: () => MetadataStore): void {
  test('CreateBucket returns the bucket, and getBucket finds it by name', async () => {
    const store = current();
    const bucket = await store.commit({
      type: 'CreateBucket',
      name: 'photos',
      owner: ALICE,
      region: 'eu-west-1',
      createdAtMs: 123,
    });
    expect(bucket).toMatchObject({ name: 'photos', owner: ALICE, region: 'eu-west-1', createdAtMs: 123 });
    expect(await store.getBucket('photos')).toEqual(bucket);
    expect(await store.getBucket('Photos')).toBeUndefined();
  });

  test('CreateBucket of a name in use tells apart whose it is', async () => {
    const store = current();
    await createBucket(store, 'taken');
    await expectCode(createBucket(store, 'taken'), 'BucketAlreadyOwnedByYou');
    await expectCode(createBucket(store, 'taken', BOB), 'BucketAlreadyExists');
  });

  test('a bucket deleted and made again has another id and inherits nothing', async () => {
    const store = current();
    const first = await createBucket(store, 'again');
    await store.commit({
      type: 'PutDocument',
      address: { collection: 'bucket-of-a-later-version', id: String(first) },
      body: Buffer.from('policy'),
    });
    await store.commit({ type: 'CreateMultipartUpload', upload: uploadOf(first, 'k', 'u1') });
    expect(await store.getBucket('again')).toMatchObject({ bucketId: first });
    await store.commit({ type: 'DeleteBucket', bucketId: first });
    expect(await store.getBucket('again')).toBeUndefined();
    const second = await createBucket(store, 'again');
    expect(second).not.toBe(first);
    expect(await store.getBucket('again')).toMatchObject({ bucketId: second });
    expect(await store.getDocument({ collection: 'bucket-of-a-later-version', id: String(first) })).toBeUndefined();
    expect(await store.getUpload({ bucketId: first, key: 'k', uploadId: 'u1' })).toBeUndefined();
    await expectCode(store.commit({ type: 'DeleteBucket', bucketId: first }), 'NoSuchBucket');
  });

  test('DeleteBucket refuses a bucket with objects', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'full');
    const volumeId = await openVolume(store);
    await store.commit(putMutation(store, { bucketId, key: 'k', volumeId }));
    await expectCode(store.commit({ type: 'DeleteBucket', bucketId }), 'BucketNotEmpty');
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'k', atMs: 1 });
    await store.commit({ type: 'DeleteBucket', bucketId });
    await expectCode(store.commit(putMutation(store, { bucketId, key: 'k', volumeId })), 'NoSuchBucket');
  });

  test('listBuckets pages by name through the buckets of one account', async () => {
    const store = current();
    for (const name of ['bb', 'aa', 'ac', 'b', 'a.c']) await createBucket(store, name);
    await createBucket(store, 'ab', BOB);
    const list = async (prefix: string, startAfter: string, limit: number) => {
      const buckets = await store.listBuckets({ accountId: ALICE.accountId, prefix, startAfter, limit });
      return buckets.map((bucket) => bucket.name);
    };
    expect(await list('', '', 100)).toEqual(['a.c', 'aa', 'ac', 'b', 'bb']);
    expect(await list('', 'aa', 2)).toEqual(['ac', 'b']);
    expect(await list('a', '', 100)).toEqual(['a.c', 'aa', 'ac']);
    expect(await list('b', 'b', 100)).toEqual(['bb']);
  });
}

function describeObjects(current: () => MetadataStore): void {
  test('PutObject stores every attribute, and getObject returns them all', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const blob = newBlob(store, volumeId, 77);
    const attributes = {
      etag: etagOf('x'),
      sizeBytes: 77,
      headers: { 'content-type': 'a/b', 'cache-control': 'no-store' },
      userMetadata: { __proto__x: 'ö', ['__proto__']: 'kept', constructor: 'c' },
      storageClass: 'GLACIER',
      checksum: { algorithm: 'CRC64NVME', type: 'FULL_OBJECT', value: 'AAAAAAAAAAA=' },
      tags: [
        { key: 'b', value: '1' },
        { key: 'a', value: '' },
      ],
    } as const;
    const written = await store.commit({
      type: 'PutObject',
      bucketId,
      key: 'ä/\u0000/😀',
      owner: BOB,
      attributes,
      blobs: [{ newBlob: blob }],
      lastModifiedMs: -5,
    });
    expect(written).toMatchObject({ versionId: 'null', etag: attributes.etag, lastModifiedMs: -5 });
    const object = await store.getObject({ bucketId, key: 'ä/\u0000/😀' });
    expect(object).toEqual({
      ...attributes,
      bucketId,
      key: 'ä/\u0000/😀',
      versionId: 'null',
      order: written.order,
      isDeleteMarker: false,
      lastModifiedMs: -5,
      owner: BOB,
      blobs: [blob],
    });
    expect(Object.keys(object?.userMetadata ?? {})).toContain('__proto__');
    expect(await store.getObject({ bucketId, key: 'ä/\u0000/😀', versionId: 'null' })).toEqual(object);
    expect(await store.getObject({ bucketId, key: 'ä/\u0000/😀', versionId: 'other' })).toBeUndefined();
  });

  test('PutObject replaces the version before, and order numbers grow', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const first = await store.commit(putMutation(store, { bucketId, key: 'k', volumeId, sizeBytes: 10 }));
    const second = await store.commit(
      putMutation(store, { bucketId, key: 'k', volumeId, sizeBytes: 30, lastModifiedMs: 1 }),
    );
    expect(second.order).toBeGreaterThan(first.order);
    expect(await store.getObject({ bucketId, key: 'k' })).toMatchObject({ sizeBytes: 30, order: second.order });
    expect(await store.bucketUsage(bucketId)).toMatchObject({ objectCount: 1, sizeBytes: 30 });
  });

  test('DeleteObject removes the key; of a missing key it succeeds', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    await store.commit(putMutation(store, { bucketId, key: 'k', volumeId }));
    expect(await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'k', atMs: 9 })).toEqual({
      isDeleteMarker: false,
    });
    expect(await store.getObject({ bucketId, key: 'k' })).toBeUndefined();
    expect(await store.bucketUsage(bucketId)).toMatchObject({ objectCount: 0, sizeBytes: 0 });
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'k', atMs: 9 });
    await expectCode(
      store.commit({ type: 'DeleteObject', owner: ALICE, bucketId: 12, key: 'k', atMs: 9 }),
      'NoSuchBucket',
    );
  });

  test('an object of many blobs keeps them in order', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const blobs = Array.from({ length: 100 }, (_, index) => newBlob(store, volumeId, index));
    await store.commit({
      type: 'PutObject',
      bucketId,
      key: 'k',
      owner: ALICE,
      attributes: attributesOf('e', 4950),
      blobs: blobs.map((newBlob) => ({ newBlob })),
      lastModifiedMs: 1,
    });
    expect((await store.getObject({ bucketId, key: 'k' }))?.blobs).toEqual(blobs);
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'k', atMs: 1 });
    expect((await store.listVolumes())[0]).toMatchObject({ liveBytes: 0 });
  });

  test.each(['STANDARD', 'COLD'])('listObjects shows what LIST needs of each key of class %s', async (storageClass) => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const put = putMutation(store, { bucketId, key: 'k', volumeId, sizeBytes: 3, lastModifiedMs: 44 });
    await store.commit({
      ...put,
      attributes: { ...put.attributes, storageClass, checksum: { algorithm: 'SHA256', type: 'COMPOSITE', value: 'v' } },
    });
    expect(await store.listObjects({ bucketId, prefix: '', delimiter: '', startAfter: '', limit: 10 })).toEqual({
      objects: [
        {
          key: 'k',
          etag: etagOf('k'),
          sizeBytes: 3,
          lastModifiedMs: 44,
          storageClass,
          checksumAlgorithm: 'SHA256',
          checksumType: 'COMPOSITE',
          owner: ALICE,
        },
      ],
      commonPrefixes: [],
      isTruncated: false,
      lastEntry: 'k',
    });
    // Another class, a time before 1970, and whatever a key may hold.
    const keys = [' ', '\n', '\n\n3 0', 'a b  c', 'k\0'];
    for (const key of keys) {
      const other = putMutation(store, { bucketId, key, volumeId, sizeBytes: 2 ** 42, lastModifiedMs: -5 });
      await store.commit({ ...other, attributes: { ...other.attributes, storageClass: 'GLACIER_IR' } });
    }
    const { objects } = await store.listObjects({ bucketId, prefix: '', delimiter: '', startAfter: '', limit: 10 });
    expect(objects.map(({ key }) => key)).toEqual([...keys, 'k'].toSorted());
    for (const object of objects.filter(({ key }) => key !== 'k')) {
      expect(object).toMatchObject({
        sizeBytes: 2 ** 42,
        lastModifiedMs: -5,
        storageClass: 'GLACIER_IR',
        owner: ALICE,
      });
    }
  });
}

function describePreconditions(current: () => MetadataStore): void {
  test('If-Match and If-None-Match are evaluated inside the commit', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const put = (preconditions: object, key = 'k') =>
      store.commit({ ...putMutation(store, { bucketId, key, volumeId, etag: 'new' }), preconditions });
    await expectCode(put({ ifMatch: ['*'] }), 'NoSuchKey');
    await expectCode(put({ ifMatch: ['old'] }), 'NoSuchKey');
    await put({ ifNoneMatch: ['*'] });
    await expectCode(put({ ifNoneMatch: ['*'] }), 'PreconditionFailed');
    await expectCode(put({ ifNoneMatch: ['a', 'new'] }), 'PreconditionFailed');
    await put({ ifNoneMatch: ['other'] });
    await expectCode(put({ ifMatch: ['other'] }), 'PreconditionFailed');
    await put({ ifMatch: ['other', 'new'] });
    await put({ ifMatch: ['*'] });
  });

  test('DeleteObject honours If-Match, time and size', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const remove = (preconditions: object) =>
      store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'k', preconditions, atMs: 1 });
    // What is not there is deleted already.
    await remove({ ifMatch: ['*'], ifMatchSizeBytes: 7, ifMatchLastModifiedMs: 5000 });
    await store.commit(
      putMutation(store, { bucketId, key: 'k', volumeId, etag: 'e', sizeBytes: 7, lastModifiedMs: 5400 }),
    );
    await expectCode(remove({ ifMatch: ['f'] }), 'PreconditionFailed');
    await expectCode(remove({ ifMatchSizeBytes: 8 }), 'PreconditionFailed');
    await expectCode(remove({ ifMatchLastModifiedMs: 6000 }), 'PreconditionFailed');
    await remove({ ifMatch: ['e'], ifMatchSizeBytes: 7, ifMatchLastModifiedMs: 5000 });
    expect(await store.getObject({ bucketId, key: 'k' })).toBeUndefined();
  });

  test('of many concurrent writers with If-None-Match "*" exactly one wins', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        store.commit({
          ...putMutation(store, { bucketId, key: 'k', volumeId, etag: `e${index}` }),
          preconditions: { ifNoneMatch: ['*'] },
        }),
      ),
    );
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    const object = await store.getObject({ bucketId, key: 'k' });
    expect(object?.etag).toBe(won[0]?.value.etag);
  });

  test('concurrent compare-and-swap counts every winner once', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    await store.commit(putMutation(store, { bucketId, key: 'k', volumeId, etag: '0' }));
    let wins = 0;
    const worker = async () => {
      for (let attempt = 0; attempt < 20; attempt += 1) {
        const seen = (await store.getObject({ bucketId, key: 'k' }))?.etag ?? '';
        try {
          await store.commit({
            ...putMutation(store, { bucketId, key: 'k', volumeId, etag: String(Number(seen) + 1) }),
            preconditions: { ifMatch: [seen] },
          });
          wins += 1;
        } catch (error) {
          expect(error).toMatchObject({ code: 'PreconditionFailed' });
        }
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    expect((await store.getObject({ bucketId, key: 'k' }))?.etag).toBe(String(wins));
  });
}

function describeDocuments(current: () => MetadataStore): void {
  test('documents are put, replaced, listed by collection and deleted', async () => {
    const store = current();
    const put = (collection: string, id: string, text: string) =>
      store.commit({ type: 'PutDocument', address: { collection, id }, body: Buffer.from(text) });
    await put('settings', 'b', '1');
    await put('settings', 'a', '2');
    await put('settings', 'b', '3');
    await put('settings-other', 'c', '4');
    expect(await store.listDocuments('settings')).toEqual([
      { id: 'a', body: Buffer.from('2') },
      { id: 'b', body: Buffer.from('3') },
    ]);
    await store.commit({ type: 'DeleteDocument', address: { collection: 'settings', id: 'b' } });
    await store.commit({ type: 'DeleteDocument', address: { collection: 'settings', id: 'b' } });
    expect(await store.getDocument({ collection: 'settings', id: 'b' })).toBeUndefined();
    expect(await store.getDocument({ collection: 'settings', id: 'a' })).toEqual(Buffer.from('2'));
  });

  test('status counts what there is', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    await store.commit(putMutation(store, { bucketId, key: 'k', volumeId }));
    await store.commit({ type: 'CreateMultipartUpload', upload: uploadOf(bucketId, 'm', 'u') });
    expect(await store.status()).toMatchObject({ bucketCount: 1, objectCount: 1, uploadCount: 1, damageCount: 0 });
  });
}
