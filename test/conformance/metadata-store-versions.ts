import { beforeEach, describe, expect, test } from 'vitest';
import type { ListVersionsQuery, MetadataStore, WritePreconditions } from '../../src/metadata-store/metadata-store.ts';
import { attributesOf, type ObjectAttributes } from '../../src/model/object-record.ts';
import { BOB, createBucket, etagOf, newBlob, openVolume, putMutation, uploadOf } from '../support/metadata-fixtures.ts';
import { expectCode } from './metadata-store.ts';

/** Versions, delete markers and what becomes current: see `ObjectApplier` for the invariants. */
export function describeVersions(current: () => MetadataStore): void {
  describe('versions', () => {
    let store: MetadataStore;
    let bucketId: number;
    let volumeId: number;
    beforeEach(async () => {
      store = current();
      bucketId = await createBucket(store, 'versioned');
      volumeId = await openVolume(store);
    });

    const setVersioning = (status: 'Enabled' | 'Suspended'): Promise<void> =>
      store.commit({ type: 'PutBucketConfiguration', bucketId, name: 'versioning', value: { status } });
    const put = (
      key: string,
      content: string,
      options: { preconditions?: WritePreconditions; sizeBytes?: number } = {},
    ) => {
      const mutation = putMutation(store, {
        bucketId,
        key,
        volumeId,
        etag: etagOf(content),
        sizeBytes: options.sizeBytes ?? 10,
      });
      return store.commit(
        options.preconditions === undefined ? mutation : { ...mutation, preconditions: options.preconditions },
      );
    };
    const remove = (
      key: string,
      more: { versionId?: string; preconditions?: WritePreconditions; onlyOrder?: number } = {},
    ) => store.commit({ type: 'DeleteObject', bucketId, key, owner: BOB, atMs: 9000, ...more });
    const get = (key: string, versionId?: string) =>
      store.getObject(versionId === undefined ? { bucketId, key } : { bucketId, key, versionId });
    const contentOf = async (key: string, versionId?: string) => {
      const object = await get(key, versionId);
      return object?.isDeleteMarker ? 'marker' : object?.etag;
    };
    const list = (query: Partial<ListVersionsQuery> = {}) =>
      store.listVersions({
        bucketId,
        prefix: '',
        delimiter: '',
        keyMarker: '',
        versionIdMarker: '',
        limit: 1000,
        ...query,
      });
    const shown = async (query: Partial<ListVersionsQuery> = {}) => {
      const { versions } = await list(query);
      return versions.map((version) => {
        const what = version.isDeleteMarker
          ? 'marker'
          : Buffer.from(version.etag, 'hex').toString().replaceAll('\0', '');
        return `${version.key}:${what}${version.versionId === 'null' ? ':null' : ''}${version.isLatest ? ':latest' : ''}`;
      });
    };
    const currentKeys = async () => {
      const page = await store.listObjects({ bucketId, prefix: '', delimiter: '', startAfter: '', limit: 1000 });
      return page.objects.map((object) => object.key);
    };

    const rename = async (
      sourceKey: string,
      key: string,
      more: { order?: number; destinationOrder?: number; seen?: ObjectAttributes } = {},
    ) => {
      const object = (await get(sourceKey))!;
      const { order, owner, lastModifiedMs, blobs } = object;
      const attributes = attributesOf(object);
      const uses = blobs.map(({ blobId }) => ({ existingBlobId: blobId }));
      const seen = more.seen ?? attributes;
      const source = { order: more.order ?? order, owner, lastModifiedMs, seen, attributes, blobs: uses };
      const token = { value: 'token', meaning: Buffer.from(`${sourceKey} ${key}`) };
      const { destinationOrder } = more;
      return await store.commit({ type: 'RenameObject', bucketId, sourceKey, key, source, destinationOrder, token });
    };

    test('a rename takes the object from the one key to the other in one step, once for a token', async () => {
      await put('a', 'first', { sizeBytes: 7 });
      await put('b', 'second');
      const before = await get('a');
      await rename('a', 'b');
      expect(await get('a')).toBeUndefined();
      const { order: _before, ...kept } = before!;
      expect(await get('b')).toMatchObject({ ...kept, key: 'b' });
      expect(await store.bucketUsage(bucketId)).toMatchObject({ objectCount: 1, sizeBytes: 7 });
      await put('a', 'third');
      await rename('a', 'b');
      expect([await contentOf('a'), await contentOf('b')]).toEqual([etagOf('third'), etagOf('first')]);
      await expectCode(rename('a', 'c'), 'IdempotencyParameterMismatch');
    });

    test('a rename of what was overwritten, or onto what was, changes nothing', async () => {
      await put('a', 'first');
      await put('b', 'second');
      const seen = (await get('b'))!.order;
      await put('b', 'third');
      await expectCode(rename('a', 'b', { destinationOrder: seen }), 'ConditionalRequestConflict');
      await expectCode(rename('a', 'b', { destinationOrder: 0 }), 'ConditionalRequestConflict');
      await expectCode(rename('a', 'b', { order: seen }), 'ConditionalRequestConflict');
      const tagged = { ...attributesOf((await get('a'))!), tags: [{ key: 't', value: '' }] };
      await expectCode(rename('a', 'b', { seen: tagged }), 'ConditionalRequestConflict');
      expect([await contentOf('a'), await contentOf('b')]).toEqual([etagOf('first'), etagOf('third')]);
      await setVersioning('Enabled');
      await expectCode(rename('a', 'b'), 'NotImplemented');
    });

    const append = async (
      key: string,
      offsetBytes: number,
      content: string,
      more: { order?: number; storageClass?: string } = {},
    ) => {
      const object = (await get(key))!;
      const { order, sizeBytes, parts } = object;
      const attributes = { ...attributesOf(object), storageClass: more.storageClass ?? object.storageClass };
      const added = { sizeBytes: 10, checksum: content };
      return await store.commit({
        type: 'AppendObject',
        bucketId,
        key,
        seen: { order: more.order ?? order, sizeBytes: offsetBytes, attributes },
        etag: etagOf(content),
        sizeBytes: offsetBytes + 10,
        lastModifiedMs: 7000,
        checksum: undefined,
        encryption: undefined,
        parts: parts === undefined ? [{ sizeBytes }, added] : [added],
        blobs: [{ newBlob: newBlob(store, volumeId, 10) }],
      });
    };

    test('an append goes on with the object: its parts and blobs, size and time, and nothing else of it', async () => {
      await put('k', 'a');
      const before = (await get('k'))!;
      for (let count = 1; count <= 12; count++) await append('k', 10 * count, `body-${count}`);
      const after = (await get('k'))!;
      expect(after).toMatchObject({
        ...before,
        etag: etagOf('body-12'),
        sizeBytes: 130,
        lastModifiedMs: 7000,
        order: after.order,
        blobs: after.blobs,
      });
      expect(after.order).toBeGreaterThan(before.order);
      expect(after.blobs[0]).toEqual(before.blobs[0]);
      expect([after.blobs.length, new Set(after.blobs.map(({ blobId }) => blobId)).size]).toEqual([13, 13]);
      expect(after.parts?.map(({ partNumber }) => partNumber)).toEqual(Array.from({ length: 13 }, (_, at) => at + 1));
      expect(after.parts?.map(({ checksum }) => checksum).slice(0, 3)).toEqual([undefined, 'body-1', 'body-2']);
      expect(await store.bucketUsage(bucketId)).toMatchObject({ objectCount: 1, sizeBytes: 130 });
      expect(await list()).toMatchObject({ versions: [{ key: 'k', sizeBytes: 130 }] });
      await remove('k');
      const volumes = await store.listVolumes();
      expect(volumes.find((volume) => volume.volumeId === volumeId)?.liveBytes).toBe(0);
    });

    test('an append at another size, to another object or one of another class changes nothing', async () => {
      await put('k', 'a');
      const before = (await get('k'))!;
      await expectCode(append('k', 9, 'b'), 'InvalidWriteOffset');
      await expectCode(append('k', 10, 'b', { order: before.order - 1 }), 'ConditionalRequestConflict');
      await expectCode(append('k', 10, 'b', { storageClass: 'COLD' }), 'ConditionalRequestConflict');
      expect(await get('k')).toEqual(before);
      await setVersioning('Suspended');
      await expectCode(append('k', 10, 'b'), 'NotImplemented');
    });

    test('a conditional delete of a key that never was leaves no delete marker', async () => {
      await setVersioning('Enabled');
      for (const preconditions of [{ ifMatch: ['*'] }, { ifMatch: ['other'] }, { ifMatchSizeBytes: 1 }]) {
        expect(await remove('k', { preconditions })).toEqual({ isDeleteMarker: false });
      }
      expect(await shown()).toEqual([]);
      expect(await remove('k')).toMatchObject({ isDeleteMarker: true });
    });

    test('while versioning was never enabled, an object has the null version only and is replaced', async () => {
      expect((await put('k', 'a')).versionId).toBe('null');
      await put('k', 'b');
      expect(await shown()).toEqual(['k:b:null:latest']);
      expect(await contentOf('k', 'null')).toBe(etagOf('b'));
      expect(await get('k', 'another')).toBeUndefined();
      expect(await remove('k', { versionId: 'another' })).toEqual({
        deletedVersionId: 'another',
        isDeleteMarker: false,
      });
      expect(await contentOf('k')).toBe(etagOf('b'));
      expect(await remove('k', { versionId: 'null' })).toEqual({ deletedVersionId: 'null', isDeleteMarker: false });
      expect(await list()).toMatchObject({ versions: [], isTruncated: false });
    });

    test('Enabled: every write makes a version with an id of its own, and the older ones stay readable', async () => {
      await put('k', 'before');
      await setVersioning('Enabled');
      const first = await put('k', 'first');
      const second = await put('k', 'second');
      expect(first.versionId).toMatch(/^[A-Za-z0-9._]{32}$/);
      expect(second.versionId).not.toBe(first.versionId);
      expect(second.order).toBeGreaterThan(first.order);
      expect(await contentOf('k')).toBe(etagOf('second'));
      expect(await contentOf('k', first.versionId)).toBe(etagOf('first'));
      expect(await contentOf('k', 'null')).toBe(etagOf('before'));
      expect(await contentOf('other', first.versionId)).toBeUndefined();
      expect((await get('k', first.versionId))?.blobs).toHaveLength(1);
      expect(await shown()).toEqual(['k:second:latest', 'k:first', 'k:before:null']);
      expect(await currentKeys()).toEqual(['k']);
      expect(await store.bucketUsage(bucketId)).toEqual({
        objectCount: 1,
        sizeBytes: 10,
        versionCount: 2,
        versionSizeBytes: 20,
      });
    });

    test('a delete covers the key with a marker of its own id, also where there is nothing', async () => {
      await setVersioning('Enabled');
      const version = await put('k', 'a');
      const deleted = await remove('k');
      expect(deleted).toEqual({ deletedVersionId: expect.stringMatching(/^.{32}$/), isDeleteMarker: true });
      expect(await get('k')).toMatchObject({
        isDeleteMarker: true,
        versionId: deleted.deletedVersionId,
        owner: BOB,
        lastModifiedMs: 9000,
        sizeBytes: 0,
        blobs: [],
      });
      expect(await contentOf('k', deleted.deletedVersionId)).toBe('marker');
      expect(await contentOf('k', version.versionId)).toBe(etagOf('a'));
      expect(await remove('nothing')).toMatchObject({ isDeleteMarker: true });
      expect(await shown()).toEqual(['k:marker:latest', 'k:a', 'nothing:marker:latest']);
      expect(await currentKeys()).toEqual([]);
      expect(await store.bucketUsage(bucketId)).toMatchObject({
        objectCount: 0,
        versionCount: 3,
        versionSizeBytes: 10,
      });
    });

    test('removing a version makes the newest that is left current, and a marker that is left stays a marker', async () => {
      await setVersioning('Enabled');
      const first = await put('k', 'first');
      const marker = await remove('k');
      const third = await put('k', 'third', { sizeBytes: 30 });
      expect(await remove('k', { versionId: third.versionId })).toEqual({
        deletedVersionId: third.versionId,
        isDeleteMarker: false,
      });
      expect(await contentOf('k')).toBe('marker');
      expect(await currentKeys()).toEqual([]);
      expect(await remove('k', { versionId: marker.deletedVersionId! })).toEqual({
        deletedVersionId: marker.deletedVersionId,
        isDeleteMarker: true,
      });
      expect(await contentOf('k')).toBe(etagOf('first'));
      expect(await currentKeys()).toEqual(['k']);
      expect(await store.bucketUsage(bucketId)).toEqual({
        objectCount: 1,
        sizeBytes: 10,
        versionCount: 0,
        versionSizeBytes: 0,
      });
      await remove('k', { versionId: first.versionId });
      expect(await get('k')).toBeUndefined();
      expect(await shown()).toEqual([]);
    });

    test('removing a version from the middle of the history changes nothing else', async () => {
      await setVersioning('Enabled');
      const versions = [await put('k', 'a'), await put('k', 'b'), await put('k', 'c')];
      await remove('k', { versionId: versions[1]!.versionId });
      expect(await shown()).toEqual(['k:c:latest', 'k:a']);
      expect(await remove('k', { versionId: versions[1]!.versionId })).toMatchObject({ isDeleteMarker: false });
      expect(await shown()).toEqual(['k:c:latest', 'k:a']);
    });

    test('Suspended: a write replaces the null version wherever in the history it is, and keeps the others', async () => {
      await put('k', 'old null');
      await setVersioning('Enabled');
      const kept = await put('k', 'kept');
      await setVersioning('Suspended');
      expect((await put('k', 'new null')).versionId).toBe('null');
      expect(await shown()).toEqual(['k:new null:null:latest', 'k:kept']);
      await put('k', 'newer null');
      expect(await shown()).toEqual(['k:newer null:null:latest', 'k:kept']);
      expect(await contentOf('k', kept.versionId)).toBe(etagOf('kept'));
      await setVersioning('Enabled');
      await put('k', 'top');
      expect(await shown()).toEqual(['k:top:latest', 'k:newer null:null', 'k:kept']);
    });

    test('Suspended: a delete puts a null marker in the place of the null version', async () => {
      await setVersioning('Enabled');
      await put('k', 'kept');
      await setVersioning('Suspended');
      await put('k', 'null');
      expect(await remove('k')).toEqual({ deletedVersionId: 'null', isDeleteMarker: true });
      expect(await shown()).toEqual(['k:marker:null:latest', 'k:kept']);
      expect(await remove('k')).toEqual({ deletedVersionId: 'null', isDeleteMarker: true });
      expect(await shown()).toEqual(['k:marker:null:latest', 'k:kept']);
      await put('k', 'back');
      expect(await shown()).toEqual(['k:back:null:latest', 'k:kept']);
      await remove('k');
      expect(await remove('k', { versionId: 'null' })).toEqual({ deletedVersionId: 'null', isDeleteMarker: true });
      expect(await shown()).toEqual(['k:kept:latest']);
    });

    test('blobs of old versions are live until their version goes', async () => {
      await setVersioning('Enabled');
      const first = await put('k', 'a');
      await put('k', 'b');
      const live = async () => (await store.listBlobsInVolume({ volumeId, afterBlobId: 0, limit: 10 })).length;
      expect(await live()).toBe(2);
      await remove('k');
      expect(await live()).toBe(2);
      await remove('k', { versionId: first.versionId });
      expect(await live()).toBe(1);
    });

    test('an object of many blobs and parts keeps them as a noncurrent version, and when it is current again', async () => {
      await setVersioning('Enabled');
      const blobs = Array.from({ length: 20 }, () => newBlob(store, volumeId, 5));
      const parts = Array.from({ length: 20 }, (_, index) => ({ partNumber: index + 1, sizeBytes: 5 }));
      const attributes = {
        etag: 'large-20',
        sizeBytes: 100,
        headers: {},
        userMetadata: { a: 'b' },
        storageClass: 'STANDARD',
        parts,
      };
      const mutation = putMutation(store, { bucketId, key: 'k', volumeId });
      const large = await store.commit({
        ...mutation,
        attributes,
        blobs: blobs.map((newOne) => ({ newBlob: newOne })),
      });
      const small = await put('k', 'small');
      expect(await get('k', large.versionId)).toMatchObject({ blobs, ...attributes });
      await remove('k', { versionId: small.versionId });
      expect(await get('k')).toMatchObject({ blobs, ...attributes, versionId: large.versionId });
      await remove('k', { versionId: large.versionId });
      expect(await store.listBlobsInVolume({ volumeId, afterBlobId: 0, limit: 10 })).toEqual([]);
    });

    test('conditions of a write look at the current version; a delete marker counts as missing', async () => {
      await setVersioning('Enabled');
      await put('k', 'a');
      await put('k', 'b');
      await expectCode(put('k', 'c', { preconditions: { ifMatch: [etagOf('a')] } }), 'PreconditionFailed');
      await expectCode(put('k', 'c', { preconditions: { ifNoneMatch: ['*'] } }), 'PreconditionFailed');
      await put('k', 'c', { preconditions: { ifMatch: [etagOf('b')] } });
      await remove('k');
      await expectCode(put('k', 'd', { preconditions: { ifMatch: ['*'] } }), 'NoSuchKey');
      await put('k', 'd', { preconditions: { ifNoneMatch: ['*'] } });
      expect(await contentOf('k')).toBe(etagOf('d'));
    });

    test('conditions of a delete look at the version that is covered, or at the one that is named', async () => {
      await setVersioning('Enabled');
      const first = await put('k', 'a');
      await put('k', 'b', { sizeBytes: 20 });
      await expectCode(remove('k', { preconditions: { ifMatch: [etagOf('a')] } }), 'PreconditionFailed');
      await expectCode(remove('k', { preconditions: { ifMatchSizeBytes: 10 } }), 'PreconditionFailed');
      await expectCode(remove('k', { preconditions: { ifMatchLastModifiedMs: 0 } }), 'PreconditionFailed');
      await expectCode(remove('k', { onlyOrder: first.order }), 'PreconditionFailed');
      const named = { versionId: first.versionId };
      await expectCode(remove('k', { ...named, preconditions: { ifMatch: [etagOf('b')] } }), 'PreconditionFailed');
      await remove('k', {
        preconditions: { ifMatch: [etagOf('b')], ifMatchSizeBytes: 20, ifMatchLastModifiedMs: 5999 },
      });
      // A marker is there, but it is no object.
      await expectCode(remove('k', { preconditions: { ifMatch: [etagOf('b')] } }), 'PreconditionFailed');
      await expectCode(remove('k', { preconditions: { ifMatchSizeBytes: 0 } }), 'PreconditionFailed');
      await remove('k', { ...named, onlyOrder: first.order, preconditions: { ifMatch: ['*'], ifMatchSizeBytes: 10 } });
      expect(await shown()).toEqual(['k:marker:latest', 'k:b']);
      await expectCode(remove('k', { ...named, onlyOrder: first.order }), 'PreconditionFailed');
      const gone = await remove('k', { ...named, preconditions: { ifMatch: ['*'], ifMatchSizeBytes: 1 } });
      expect(gone).toEqual({ deletedVersionId: first.versionId, isDeleteMarker: false });
      expect(await remove('k', { preconditions: { ifMatch: ['*'] } })).toMatchObject({ isDeleteMarker: true });
    });

    test('a proposed version id is taken where the bucket makes versions, and ignored where it does not', async () => {
      const mutation = () => ({ ...putMutation(store, { bucketId, key: 'k', volumeId }), versionId: 'proposed' });
      expect(await store.commit(mutation())).toMatchObject({ versionId: 'null' });
      await setVersioning('Enabled');
      expect(await store.commit(mutation())).toMatchObject({ versionId: 'proposed' });
      expect(await get('k', 'proposed')).toMatchObject({ isDeleteMarker: false });
      await expect(store.commit(mutation())).rejects.toThrow('a version id is taken');
      await setVersioning('Suspended');
      expect(await store.commit({ ...mutation(), versionId: 'another' })).toMatchObject({ versionId: 'null' });
    });

    test('DeleteBucket refuses while a version or a delete marker is left', async () => {
      await setVersioning('Enabled');
      const version = await put('k', 'a');
      const marker = await remove('k');
      await expectCode(store.commit({ type: 'DeleteBucket', bucketId }), 'BucketNotEmpty');
      await remove('k', { versionId: version.versionId });
      await expectCode(store.commit({ type: 'DeleteBucket', bucketId }), 'BucketNotEmpty');
      await remove('k', { versionId: marker.deletedVersionId! });
      await store.commit({ type: 'DeleteBucket', bucketId });
    });

    test('CompleteMultipartUpload makes a version, and a retry of it answers the same one', async () => {
      await setVersioning('Enabled');
      await put('big', 'before');
      await store.commit({ type: 'CreateMultipartUpload', upload: uploadOf(bucketId, 'big', 'u') });
      await store.commit({
        type: 'PutPart',
        bucketId,
        key: 'big',
        uploadId: 'u',
        part: { partNumber: 1, etag: 'p', sizeBytes: 10, lastModifiedMs: 1 },
        blobs: [{ newBlob: newBlob(store, volumeId, 10) }],
      });
      const complete = () =>
        store.commit({
          type: 'CompleteMultipartUpload',
          bucketId,
          key: 'big',
          uploadId: 'u',
          parts: [{ partNumber: 1, etag: 'p' }],
          attributes: { etag: 'done-1', sizeBytes: 10, headers: {}, userMetadata: {}, storageClass: 'STANDARD' },
          lastModifiedMs: 7,
        });
      const written = await complete();
      expect(written.versionId).toMatch(/^.{32}$/);
      await put('big', 'after');
      expect(await complete()).toEqual(written);
      expect(await get('big', written.versionId)).toMatchObject({ etag: 'done-1', order: written.order });
      expect((await list()).versions.map(({ etag }) => etag)).toEqual([etagOf('after'), 'done-1', etagOf('before')]);
    });

    test('listVersions pages by key and version, folds common prefixes, and tells where to go on', async () => {
      await put('a', 'a0');
      await setVersioning('Enabled');
      for (const content of ['a1', 'a2']) await put('a', content);
      await put('d/1', 'd1');
      await put('d/2', 'd2');
      await remove('d/2');
      await put('z', 'z1');
      const all = ['a:a2:latest', 'a:a1', 'a:a0:null', 'd/1:d1:latest', 'd/2:marker:latest', 'd/2:d2', 'z:z1:latest'];
      expect(await shown()).toEqual(all);
      for (const limit of [1, 2, 3, 5]) {
        const seen: string[] = [];
        let [keyMarker, versionIdMarker] = ['', ''];
        for (;;) {
          const page = await list({ limit, keyMarker, versionIdMarker });
          seen.push(...(await shown({ limit, keyMarker, versionIdMarker })));
          if (!page.isTruncated) break;
          [keyMarker, versionIdMarker] = [page.nextKeyMarker!, page.nextVersionIdMarker!];
        }
        expect(seen).toEqual(all);
      }
      const folded = await list({ delimiter: '/', limit: 4 });
      expect(folded).toMatchObject({ commonPrefixes: ['d/'], isTruncated: true, nextKeyMarker: 'd/' });
      expect(folded.nextVersionIdMarker).toBeUndefined();
      expect(await shown({ delimiter: '/', keyMarker: 'd/' })).toEqual(['z:z1:latest']);
      expect(await shown({ prefix: 'd/', keyMarker: 'd/1' })).toEqual(['d/2:marker:latest', 'd/2:d2']);
      expect(await list({ limit: 0 })).toMatchObject({ versions: [], isTruncated: false });
    });

    test('a listing goes on behind a version that has been deleted meanwhile', async () => {
      await setVersioning('Enabled');
      for (const content of ['a', 'b', 'c', 'd']) await put('k', content);
      const { nextVersionIdMarker } = await list({ limit: 2 });
      const marker = { keyMarker: 'k', versionIdMarker: nextVersionIdMarker! };
      expect(await shown(marker)).toEqual(['k:b', 'k:a']);
      await remove('k', { versionId: nextVersionIdMarker! });
      expect(await shown(marker)).toEqual(['k:b', 'k:a']);
      expect(await shown({ keyMarker: 'k', versionIdMarker: 'unknown' })).toEqual(['k:d:latest', 'k:b', 'k:a']);
    });

    test('a version changes its storage class and its blobs, and nothing else, only while it is the one that was seen', async () => {
      const before = await put('k', 'plain');
      const move = async (versionId: string, onlyOrder: number, blobCount = 1) => {
        const blobs = Array.from({ length: blobCount }, () => newBlob(store, volumeId, 10));
        await store.commit({
          type: 'TransitionVersion',
          bucketId,
          key: 'k',
          versionId,
          onlyOrder,
          storageClass: 'COLD',
          blobs: blobs.map((blob) => ({ newBlob: blob })),
        });
        return blobs.map(({ blobId }) => blobId);
      };
      const liveBlobIds = async () =>
        (await store.listBlobsInVolume({ volumeId, afterBlobId: -1, limit: 1000 })).map(({ blobId }) => blobId);
      const facts = async (versionId: string) => {
        const { blobs, storageClass, ...rest } = (await get('k', versionId))!;
        return { blobIds: blobs.map(({ blobId }) => blobId), storageClass, rest };
      };
      const plain = await facts('null');
      const moved = await move('null', before.order);
      expect(await facts('null')).toEqual({ ...plain, blobIds: moved, storageClass: 'COLD' });
      expect(await liveBlobIds()).toEqual(moved);

      await setVersioning('Enabled');
      const second = await put('k', 'second');
      const noncurrent = await facts('null');
      const many = await move('null', before.order, 12);
      expect(await facts('null')).toEqual({ ...noncurrent, blobIds: many });
      expect((await facts(second.versionId)).storageClass).toBe('STANDARD');
      const few = await move('null', before.order);
      expect((await list()).versions.map(({ storageClass }) => storageClass)).toEqual(['STANDARD', 'COLD']);
      expect(await liveBlobIds()).toEqual([...(await facts(second.versionId)).blobIds, ...few].sort((a, b) => a - b));

      await expectCode(move(second.versionId, before.order), 'PreconditionFailed');
      await remove('k');
      const marker = (await list()).versions[0]!;
      await expectCode(move(marker.versionId, marker.order), 'PreconditionFailed');
      await remove('k', { versionId: 'null' });
      await expectCode(move('null', before.order), 'PreconditionFailed');
      expect(await store.bucketUsage(bucketId)).toMatchObject({ versionCount: 2, versionSizeBytes: 10 });
    });

    test('a listing goes on where everything before its marker has been deleted, as tools do that empty a bucket', async () => {
      await setVersioning('Enabled');
      const versions = [];
      for (const content of ['a', 'b', 'c', 'd']) versions.push((await put('k', content)).versionId);
      const covered = await remove('k');
      const last = versions[3]!;
      await remove('k', { versionId: covered.deletedVersionId! });
      await remove('k', { versionId: last });
      expect(await shown({ keyMarker: 'k', versionIdMarker: last })).toEqual(['k:c:latest', 'k:b', 'k:a']);
      const marker = await remove('k');
      const above = await put('k', 'above');
      await remove('k', { versionId: above.versionId });
      expect(await shown({ keyMarker: 'k', versionIdMarker: above.versionId })).toEqual([
        'k:marker:latest',
        'k:c',
        'k:b',
        'k:a',
      ]);
      expect(await shown({ keyMarker: 'k', versionIdMarker: marker.deletedVersionId! })).toEqual(['k:c', 'k:b', 'k:a']);
    });
  });
}
