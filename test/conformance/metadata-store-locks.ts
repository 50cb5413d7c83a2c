import { beforeEach, describe, expect, test } from 'vitest';
import type { MetadataStore, VersionChange } from '../../src/metadata-store/metadata-store.ts';
import type { ObjectLock } from '../../src/model/object-lock.ts';
import { ALICE, BOB, createBucket, newBlob, openVolume, putMutation, uploadOf } from '../support/metadata-fixtures.ts';
import { expectCode } from './metadata-store.ts';

const FAR = Date.UTC(2999, 0, 1);
const GONE = Date.UTC(1999, 0, 1);

/** What is said of a version after it was written, and what its lock forbids: both decided in the commit. */
export function describeLocks(current: () => MetadataStore): void {
  describe('tags and locks', () => {
    let store: MetadataStore;
    let bucketId: number;
    let volumeId: number;
    beforeEach(async () => {
      store = current();
      volumeId = await openVolume(store);
      const configuration = { versioning: { status: 'Enabled' }, objectLock: {} } as const;
      const creation = { name: 'locked', owner: ALICE, region: 'r', createdAtMs: 1, configuration };
      ({ bucketId } = await store.commit({ type: 'CreateBucket', ...creation }));
    });

    const put = async (key: string, lock: ObjectLock = {}): Promise<string> => {
      const mutation = putMutation(store, { bucketId, key, volumeId });
      const { versionId } = await store.commit({ ...mutation, attributes: { ...mutation.attributes, ...lock } });
      return versionId;
    };
    const change = (key: string, wanted: VersionChange, versionId?: string) =>
      store.commit({ type: 'ChangeVersion', bucketId, key, ...(versionId ? { versionId } : {}), change: wanted });
    const tags = (...keys: string[]): VersionChange => ({
      member: 'tags',
      tags: keys.map((key) => ({ key, value: '' })),
    });
    const retain = (mode: 'GOVERNANCE' | 'COMPLIANCE', retainUntilMs: number): VersionChange => ({
      member: 'retention',
      retention: { mode, retainUntilMs },
      bypassesGovernance: false,
    });
    const remove = (key: string, versionId: string, bypassesGovernance = false) =>
      store.commit({ type: 'DeleteObject', bucketId, key, owner: BOB, versionId, bypassesGovernance, atMs: 1 });
    const get = (key: string, versionId: string) => store.getObject({ bucketId, key, versionId });

    const sealed = Buffer.from('sealed');
    const putSealed = async (key: string, lock: ObjectLock = {}) => {
      const mutation = putMutation(store, { bucketId, key, volumeId });
      const attributes = { ...mutation.attributes, ...lock, encryption: sealed };
      return await store.commit({ ...mutation, attributes });
    };
    const reseal = (key: string, { versionId, order }: { versionId: string; order: number }, from = sealed) =>
      store.commit({
        type: 'ReplaceEncryption',
        bucketId,
        key,
        versionId,
        onlyOrder: order,
        from,
        to: Buffer.from('anew'),
      });

    test('an envelope is replaced where it is the one that was seen, and nothing else of the version changes', async () => {
      const first = await putSealed('k');
      const second = await putSealed('k');
      const before = await get('k', first.versionId);
      await reseal('k', first);
      expect(await get('k', first.versionId)).toEqual({ ...before, encryption: Buffer.from('anew') });
      expect((await get('k', second.versionId))?.encryption).toEqual(sealed);
      await expectCode(reseal('k', first), 'PreconditionFailed');
      await expectCode(reseal('k', { ...second, order: first.order }), 'PreconditionFailed');
      await expectCode(reseal('other', first), 'PreconditionFailed');
    });

    test('the envelope of a locked version stays, whoever asks and whatever the mode', async () => {
      const retained = (mode: 'GOVERNANCE' | 'COMPLIANCE', retainUntilMs = FAR): ObjectLock => ({
        retention: { mode, retainUntilMs },
      });
      for (const lock of [retained('GOVERNANCE'), retained('COMPLIANCE'), { legalHold: 'ON' } as const]) {
        await expectCode(reseal('k', await putSealed('k', lock)), 'AccessDenied');
      }
      for (const lock of [retained('COMPLIANCE', GONE), { legalHold: 'OFF' } as const]) {
        await reseal('k', await putSealed('k', lock));
      }
    });

    test('a change of tags changes nothing else of the version, and no other version', async () => {
      const first = await put('k');
      const second = await put('k');
      const before = await Promise.all([get('k', first), get('k', second)]);
      expect(await change('k', tags('a', 'b'))).toEqual({ versionId: second });
      expect(await change('k', tags('c'), first)).toEqual({ versionId: first });
      expect(await get('k', first)).toEqual({ ...before[0], tags: [{ key: 'c', value: '' }] });
      expect((await get('k', second))?.tags?.map(({ key }) => key)).toEqual(['a', 'b']);
      await change('k', tags());
      await change('k', tags(), first);
      expect(await Promise.all([get('k', first), get('k', second)])).toEqual(before);
    });

    test('a change of the version that was seen changes none that took its place', async () => {
      const seen = await store.getObject({ bucketId, key: 'k', versionId: await put('k') });
      const other = await store.getObject({ bucketId, key: 'k', versionId: await put('k') });
      const named = { type: 'ChangeVersion', bucketId, key: 'k', change: tags('a') } as const;
      await expectCode(store.commit({ ...named, onlyOrder: seen!.order }), 'PreconditionFailed');
      expect(await get('k', other!.versionId)).toEqual(other);
      await store.commit({ ...named, onlyOrder: other!.order });
      expect((await get('k', other!.versionId))?.tags).toEqual([{ key: 'a', value: '' }]);
    });

    test('what is not there, and a delete marker, cannot be changed', async () => {
      await expectCode(change('k', tags('a')), 'NoSuchKey');
      await put('k');
      await expectCode(change('k', tags('a'), 'other'), 'NoSuchVersion');
      const deletion = { type: 'DeleteObject', bucketId, key: 'k', owner: BOB, atMs: 1 } as const;
      const { deletedVersionId } = await store.commit(deletion);
      await expectCode(change('k', tags('a')), 'NoSuchKey');
      await expectCode(change('k', tags('a'), deletedVersionId), 'MethodNotAllowed');
      await expectCode(store.commit({ type: 'ChangeVersion', bucketId: 1, key: 'k', change: tags() }), 'NoSuchBucket');
    });

    test('a locked version stays, current or not; its markers, other versions and expired ones go', async () => {
      const locked = await put('k', { retention: { mode: 'COMPLIANCE', retainUntilMs: FAR } });
      const expired = await put('k', { retention: { mode: 'COMPLIANCE', retainUntilMs: GONE } });
      const governed = await put('k', { retention: { mode: 'GOVERNANCE', retainUntilMs: FAR } });
      const held = await put('k', { legalHold: 'ON' });
      for (const versionId of [locked, governed, held]) await expectCode(remove('k', versionId), 'AccessDenied');
      for (const versionId of [locked, held]) await expectCode(remove('k', versionId, true), 'AccessDenied');
      await remove('k', expired);
      await remove('k', governed, true);
      await change('k', { member: 'legalHold', legalHold: 'OFF' }, held);
      await remove('k', held);
      const marker = await store.commit({ type: 'DeleteObject', bucketId, key: 'k', owner: BOB, atMs: 1 });
      await remove('k', marker.deletedVersionId!);
      expect(await store.getObject({ bucketId, key: 'k' })).toMatchObject({ versionId: locked });
      await expectCode(store.commit({ type: 'DeleteBucket', bucketId }), 'BucketNotEmpty');
    });

    test('a lock and a removal that meet in one batch are decided in their order', async () => {
      const versionId = await put('k');
      const outcomes = await Promise.allSettled([
        change('k', retain('COMPLIANCE', FAR), versionId),
        remove('k', versionId),
        change('k', retain('GOVERNANCE', FAR), versionId),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
      expect(await get('k', versionId)).toMatchObject({ retention: { mode: 'COMPLIANCE', retainUntilMs: FAR } });
    });

    test('the default of the bucket is what holds at the commit', async () => {
      const defaultRetention = { mode: 'GOVERNANCE', days: 1 } as const;
      const configure = store.commit({
        type: 'PutBucketConfiguration',
        bucketId,
        name: 'objectLock',
        value: { defaultRetention },
      });
      const [, versionId] = await Promise.all([configure, put('k')]);
      expect(await get('k', versionId)).toMatchObject({ retention: { mode: 'GOVERNANCE' } });
      const own = await put('k', { retention: { mode: 'COMPLIANCE', retainUntilMs: FAR }, legalHold: 'OFF' });
      expect(await get('k', own)).toMatchObject({ retention: { mode: 'COMPLIANCE', retainUntilMs: FAR } });
    });

    test('the lock of an upload is that of the object it becomes', async () => {
      const lock: ObjectLock = { retention: { mode: 'COMPLIANCE', retainUntilMs: FAR }, legalHold: 'ON' };
      await store.commit({ type: 'CreateMultipartUpload', upload: { ...uploadOf(bucketId, 'm', 'u'), ...lock } });
      expect(await store.getUpload({ bucketId, key: 'm', uploadId: 'u' })).toMatchObject(lock);
      const part = { partNumber: 1, etag: 'p', sizeBytes: 3, lastModifiedMs: 1 };
      const blobs = [{ newBlob: newBlob(store, volumeId, 3) }];
      await store.commit({ type: 'PutPart', bucketId, key: 'm', uploadId: 'u', part, blobs });
      const { attributes } = putMutation(store, { bucketId, key: 'm', volumeId });
      const { versionId } = await store.commit({
        type: 'CompleteMultipartUpload',
        bucketId,
        key: 'm',
        uploadId: 'u',
        parts: [part],
        lastModifiedMs: 1,
        attributes: { ...attributes, ...lock },
      });
      expect(await get('m', versionId)).toMatchObject(lock);
      await expectCode(remove('m', versionId, true), 'AccessDenied');
    });

    test('a bucket without Object Lock has tags but no locks', async () => {
      bucketId = await createBucket(store, 'plain');
      await put('k');
      expect(await change('k', tags('a'))).toEqual({ versionId: 'null' });
      await expectCode(change('k', retain('GOVERNANCE', FAR)), 'InvalidRequest');
      await expectCode(change('k', { member: 'legalHold', legalHold: 'ON' }), 'InvalidRequest');
    });
  });
}
