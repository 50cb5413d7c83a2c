import { expect, test } from 'vitest';
import type { BlobUse, DamageRecord, MetadataStore } from '../../src/metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../../src/model/blob.ts';
import { ALICE, attributesOf, createBucket, newBlob, openVolume, putMutation } from '../support/metadata-fixtures.ts';
import { expectCode } from './metadata-store.ts';

export function describeVolumes(current: () => MetadataStore): void {
  async function prepare() {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const volume = async (id = volumeId) => (await store.listVolumes()).find((each) => each.volumeId === id);
    const putUses = (key: string, blobs: readonly BlobUse[]) =>
      store.commit({
        type: 'PutObject',
        bucketId,
        key,
        owner: ALICE,
        attributes: attributesOf('e', 1),
        blobs,
        lastModifiedMs: 1,
      });
    return { store, bucketId, volumeId, volume, putUses };
  }

  test('a volume is opened, counted, sealed, dropped, and forgotten when every disk has confirmed', async () => {
    const { store, bucketId, volumeId, volume } = await prepare();
    expect(await volume()).toEqual({
      volumeId,
      k: 2,
      m: 1,
      diskIds: ['d0', 'd1', 'd2'],
      purpose: 'small',
      shardSizeBytes: 4096,
      state: 'open',
      lengthBytes: 0,
      liveBytes: 0,
      storedBytes: 0,
      undroppedDiskIds: [],
    });
    await store.commit(putMutation(store, { bucketId, key: 'k', volumeId, sizeBytes: 100 }));
    await store.commit({ type: 'SealVolume', volumeId, lengthBytes: 8192 });
    await store.commit({ type: 'SealVolume', volumeId, lengthBytes: 8192 });
    expect(await volume()).toMatchObject({ state: 'sealed', lengthBytes: 8192, liveBytes: 108, storedBytes: 108 });
    expect(await store.commit({ type: 'DropVolume', volumeId })).toBe(false);
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'k', atMs: 1 });
    expect(await volume()).toMatchObject({ liveBytes: 0, storedBytes: 108 });
    expect(await store.commit({ type: 'DropVolume', volumeId })).toBe(true);
    expect(await store.commit({ type: 'DropVolume', volumeId })).toBe(true);
    expect(await volume()).toMatchObject({ state: 'dropped', undroppedDiskIds: ['d0', 'd1', 'd2'] });
    await store.commit({ type: 'ConfirmDrop', volumeId, diskIds: ['d0', 'd2'] });
    expect(await volume()).toMatchObject({ undroppedDiskIds: ['d1'] });
    await store.commit({ type: 'ConfirmDrop', volumeId, diskIds: ['d1'] });
    expect(await volume()).toBeUndefined();
    await store.commit({ type: 'ConfirmDrop', volumeId, diskIds: ['d1'] });
    // Repeated by somebody who never learned that the first attempt succeeded.
    await store.commit({ type: 'SealVolume', volumeId, lengthBytes: 8192 });
    expect(await store.commit({ type: 'DropVolume', volumeId })).toBe(true);
    expect(await volume(), 'what is forgotten stays so').toBeUndefined();
  });

  test('a volume of another storage class than STANDARD says so', async () => {
    const { store, volume } = await prepare();
    const volumeId = store.nextIdentifier();
    const shape = { k: 1, m: 1, diskIds: ['d0', 'd1'], purpose: 'large', shardSizeBytes: 4096 } as const;
    await store.commit({ type: 'OpenVolume', volume: { volumeId, ...shape, storageClass: 'ARCHIVE' } });
    expect(await volume(volumeId)).toMatchObject({ k: 1, storageClass: 'ARCHIVE', state: 'open' });
    await store.commit({ type: 'SealVolume', volumeId, lengthBytes: 8192 });
    expect(await volume(volumeId)).toMatchObject({ storageClass: 'ARCHIVE', state: 'sealed' });
  });

  test('what volumeChanges tells adds up to listVolumes', async () => {
    const { store, bucketId, volumeId } = await prepare();
    const known = new Map<number, VolumeRecord>();
    let version: number | undefined;
    const follow = async (): Promise<number> => {
      const changes = await store.volumeChanges(version);
      if (changes.isWhole) known.clear();
      for (const volume of changes.volumes) known.set(volume.volumeId, volume);
      for (const forgotten of changes.forgottenVolumeIds) known.delete(forgotten);
      version = changes.version;
      expect([...known.values()].sort((a, b) => a.volumeId - b.volumeId)).toEqual(await store.listVolumes());
      return changes.volumes.length + changes.forgottenVolumeIds.length;
    };
    await follow();
    expect(await follow(), 'nothing has changed').toBe(0);
    const other = await openVolume(store);
    expect(await follow()).toBe(1);
    await store.commit(putMutation(store, { bucketId, key: 'k', volumeId }));
    expect(await follow()).toBe(1);
    await expectCode(store.commit({ type: 'DeleteBucket', bucketId }), 'BucketNotEmpty');
    expect(await follow()).toBe(0);
    await store.commit(putMutation(store, { bucketId, key: 'k', volumeId: other }));
    expect(await follow(), 'bytes die in one and live in the other').toBe(2);
    await store.commit({ type: 'SealVolume', volumeId, lengthBytes: 8192 });
    await store.commit({ type: 'MoveShard', volumeId, shardIndex: 0, fromDiskId: 'd0', toDiskId: 'd7' });
    expect(await follow()).toBe(1);
    await store.commit({ type: 'DropVolume', volumeId });
    expect(await follow()).toBe(1);
    await store.commit({ type: 'ConfirmDrop', volumeId, diskIds: ['d0', 'd1', 'd2', 'd7'] });
    expect(await follow()).toBe(1);
    expect([...known.keys()]).toEqual([other]);
  });

  test('a shard of a sealed volume moves once, and its old disk is awaited until it has confirmed', async () => {
    const { store, volumeId, volume } = await prepare();
    const move = { type: 'MoveShard', volumeId, shardIndex: 1, fromDiskId: 'd1', toDiskId: 'd9' } as const;
    expect(await store.commit(move), 'an open one does not move').toBe(false);
    await store.commit({ type: 'SealVolume', volumeId, lengthBytes: 8192 });
    expect(await store.commit({ ...move, toDiskId: 'd2' }), 'not to a disk that it names').toBe(false);
    expect(await store.commit({ ...move, fromDiskId: 'd0' }), 'not from where it is not').toBe(false);
    const seenAtMs = 1;
    const damage = { volumeId, shardIndex: 0, offset: 0, kind: 'missing', seenAtMs } as const;
    await store.commit({
      type: 'RecordDamage',
      damage: [
        { ...damage, diskId: 'd1' },
        { ...damage, diskId: 'd2' },
      ],
    });
    expect(await store.commit(move)).toBe(true);
    expect(await store.commit(move), 'again').toBe(true);
    expect(await volume()).toMatchObject({ diskIds: ['d0', 'd9', 'd2'], undroppedDiskIds: ['d1'], state: 'sealed' });
    expect((await store.listDamage({ volumeId, limit: 10 })).map(({ diskId }) => diskId)).toEqual(['d2']);
    await store.commit({ type: 'ConfirmDrop', volumeId, diskIds: ['d1'] });
    expect(await volume()).toMatchObject({ undroppedDiskIds: [], state: 'sealed' });
    expect(await store.commit({ ...move, fromDiskId: 'd9', toDiskId: 'd1' }), 'and back').toBe(true);
    expect(await volume()).toMatchObject({ diskIds: ['d0', 'd1', 'd2'], undroppedDiskIds: ['d9'] });
    await store.commit({ type: 'DropVolume', volumeId });
    expect(await volume()).toMatchObject({ state: 'dropped', undroppedDiskIds: ['d0', 'd1', 'd2', 'd9'] });
    expect(await store.commit(move), 'a dropped one does not move').toBe(false);
    await store.commit({ type: 'ConfirmDrop', volumeId, diskIds: ['d0', 'd1', 'd2', 'd9'] });
    expect(await volume()).toBeUndefined();
  });

  test('a write into a dropped or unknown volume, or of a dead blob, is BlobGone and leaves nothing', async () => {
    const { store, bucketId, volumeId } = await prepare();
    await store.commit({ type: 'DropVolume', volumeId });
    await expectCode(store.commit(putMutation(store, { bucketId, key: 'k', volumeId })), 'BlobGone');
    await expectCode(store.commit(putMutation(store, { bucketId, key: 'k', volumeId: 42 })), 'BlobGone');
    await expectCode(
      store.commit({ ...putMutation(store, { bucketId, key: 'k', volumeId }), blobs: [{ existingBlobId: 42 }] }),
      'BlobGone',
    );
    expect(await store.getObject({ bucketId, key: 'k' })).toBeUndefined();
  });

  test('a blob named twice lives until its last name goes', async () => {
    const { store, bucketId, volumeId, volume, putUses } = await prepare();
    const blob = newBlob(store, volumeId, 50);
    await putUses('a', [{ newBlob: blob }]);
    await putUses('b', [{ existingBlobId: blob.blobId }, { existingBlobId: blob.blobId }]);
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'a', atMs: 1 });
    expect(await volume()).toMatchObject({ liveBytes: 58 });
    expect((await store.getObject({ bucketId, key: 'b' }))?.blobs).toEqual([blob, blob]);
    // A copy onto itself keeps its bytes.
    await putUses('b', [{ existingBlobId: blob.blobId }]);
    expect(await volume()).toMatchObject({ liveBytes: 58 });
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'b', atMs: 1 });
    expect(await volume()).toMatchObject({ liveBytes: 0 });
    await expectCode(putUses('c', [{ existingBlobId: blob.blobId }]), 'BlobGone');
  });

  test('listBlobsInVolume pages by id and shows live blobs only', async () => {
    const { store, bucketId, volumeId, putUses } = await prepare();
    const other = await openVolume(store);
    const blobs = [];
    for (const key of ['a', 'b', 'c', 'd']) {
      const blob = newBlob(store, volumeId, 5);
      await putUses(key, [{ newBlob: blob }]);
      blobs.push(blob);
    }
    await putUses('x', [{ newBlob: newBlob(store, other, 5) }]);
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'b', atMs: 1 });
    const first = await store.listBlobsInVolume({ volumeId, afterBlobId: 0, limit: 2 });
    expect(first).toEqual([blobs[0], blobs[2]]);
    const rest = await store.listBlobsInVolume({ volumeId, afterBlobId: blobs[2]?.blobId ?? 0, limit: 2 });
    expect(rest).toEqual([blobs[3]]);
  });

  test('MoveBlobs swaps locations that still hold, and skips the rest', async () => {
    const { store, bucketId, volumeId, volume, putUses } = await prepare();
    const target = await openVolume(store);
    const moved = newBlob(store, volumeId, 10);
    const changed = newBlob(store, volumeId, 10);
    const dead = newBlob(store, volumeId, 10);
    await putUses('a', [{ newBlob: moved }]);
    await putUses('b', [{ newBlob: changed }]);
    await putUses('c', [{ newBlob: dead }]);
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'c', atMs: 1 });
    const move = (blobId: number, fromLayout: Buffer) => ({
      blobId,
      fromLayout,
      toLayout: Buffer.from('there'),
      toFootprint: [{ volumeId: target, storedBytes: 11 }],
    });
    const result = await store.commit({
      type: 'MoveBlobs',
      moves: [
        move(moved.blobId, moved.layout),
        move(changed.blobId, Buffer.from('stale')),
        move(dead.blobId, dead.layout),
      ],
    });
    expect(result).toEqual({ movedBlobIds: [moved.blobId] });
    expect(await volume()).toMatchObject({ liveBytes: 18, storedBytes: 54 });
    expect(await volume(target)).toMatchObject({ liveBytes: 11, storedBytes: 11 });
    expect((await store.getObject({ bucketId, key: 'a' }))?.blobs).toEqual([
      {
        blobId: moved.blobId,
        sizeBytes: 10,
        layout: Buffer.from('there'),
        footprint: [{ volumeId: target, storedBytes: 11 }],
      },
    ]);
    await expectCode(
      store.commit({
        type: 'MoveBlobs',
        moves: [{ ...move(changed.blobId, changed.layout), toFootprint: [{ volumeId: 7, storedBytes: 1 }] }],
      }),
      'BlobGone',
    );
  });

  test('damage is recorded once for each shard and place, cleared, and goes with its volume', async () => {
    const { store, volumeId } = await prepare();
    const damage = (offset: number, kind: DamageRecord['kind']): DamageRecord => ({
      volumeId,
      diskId: 'd1',
      shardIndex: 1,
      offset,
      kind,
      seenAtMs: 5,
    });
    await store.commit({ type: 'RecordDamage', damage: [damage(0, 'missing'), damage(4096, 'corrupt')] });
    await store.commit({ type: 'RecordDamage', damage: [damage(0, 'unreadable')] });
    expect(await store.listDamage({ volumeId, limit: 10 })).toEqual([damage(0, 'unreadable'), damage(4096, 'corrupt')]);
    expect(await store.listDamage({ volumeId, limit: 1 })).toHaveLength(1);
    await store.commit({ type: 'RecordDamage', damage: [{ ...damage(0, 'corrupt'), diskId: 'd0', seenAtMs: 3 }] });
    expect(await store.listDamagedFiles()).toEqual([
      { volumeId, diskId: 'd0', sinceMs: 3, isMissing: false },
      { volumeId, diskId: 'd1', sinceMs: 5, isMissing: false },
    ]);
    expect(await store.listDamage({ volumeId: volumeId + 1, limit: 10 })).toEqual([]);
    await store.commit({ type: 'ClearDamage', damage: [{ volumeId, diskId: 'd0', offset: 0 }] });
    await store.commit({ type: 'ClearDamage', damage: [{ volumeId, diskId: 'd1', offset: 0 }] });
    expect(await store.listDamage({ volumeId, limit: 10 })).toEqual([damage(4096, 'corrupt')]);
    await store.commit({ type: 'DropVolume', volumeId });
    expect(await store.listDamage({ volumeId, limit: 10 })).toEqual([]);
    expect(await store.listDamagedFiles()).toEqual([]);
  });

  test('identifiers are unique and belong to the current epoch', async () => {
    const { store } = await prepare();
    const ids = Array.from({ length: 1000 }, () => store.nextIdentifier());
    expect(new Set(ids).size).toBe(1000);
    expect(ids.every((id) => Math.floor(id / 2 ** 32) === store.epoch())).toBe(true);
  });
}
