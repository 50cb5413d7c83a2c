import { expect, test } from 'vitest';
import type { MetadataStore } from '../../src/metadata-store/metadata-store.ts';
import {
  ALICE,
  attributesOf,
  createBucket,
  newBlob,
  openVolume,
  putMutation,
  uploadOf,
} from '../support/metadata-fixtures.ts';
import { expectCode } from './metadata-store.ts';

export function describeUploads(current: () => MetadataStore): void {
  async function prepare() {
    const store = current();
    const bucketId = await createBucket(store, 'bucket');
    const volumeId = await openVolume(store);
    const upload = uploadOf(bucketId, 'big', 'upload-1');
    await store.commit({ type: 'CreateMultipartUpload', upload });
    const putPart = async (partNumber: number, etag: string, sizeBytes = 10) => {
      const blob = newBlob(store, volumeId, sizeBytes);
      await store.commit({
        type: 'PutPart',
        bucketId,
        key: 'big',
        uploadId: 'upload-1',
        part: {
          partNumber,
          etag,
          sizeBytes,
          lastModifiedMs: 100 + partNumber,
          checksum: { algorithm: 'CRC32C', value: `c${partNumber}` },
        },
        blobs: [{ newBlob: blob }],
      });
      return blob;
    };
    const complete = (parts: { partNumber: number; etag: string }[], more: object = {}) =>
      store.commit({
        type: 'CompleteMultipartUpload',
        bucketId,
        key: 'big',
        uploadId: 'upload-1',
        parts,
        attributes: {
          ...attributesOf('multi-2', 20),
          parts: parts.map(({ partNumber }) => ({ partNumber, sizeBytes: 10, checksum: `c${partNumber}` })),
        },
        lastModifiedMs: 9000,
        ...more,
      });
    return { store, bucketId, volumeId, upload, putPart, complete };
  }

  test('an upload is found under its bucket, key and id only', async () => {
    const { store, bucketId, upload } = await prepare();
    expect(await store.getUpload({ bucketId, key: 'big', uploadId: 'upload-1' })).toEqual(upload);
    expect(await store.getUpload({ bucketId, key: 'bi', uploadId: 'upload-1' })).toBeUndefined();
    expect(await store.getUpload({ bucketId: bucketId + 1, key: 'big', uploadId: 'upload-1' })).toBeUndefined();
  });

  test('parts are replaced by number and listed in pages', async () => {
    const { store, putPart, volumeId } = await prepare();
    await putPart(3, 'e3');
    await putPart(1, 'old', 50);
    const blob = await putPart(1, 'e1');
    await putPart(10_000, 'e10000');
    const page = await store.listParts({ uploadId: 'upload-1', afterPartNumber: 0, limit: 2 });
    expect(page.map((part) => part.partNumber)).toEqual([1, 3]);
    expect(page[0]).toEqual({
      partNumber: 1,
      etag: 'e1',
      sizeBytes: 10,
      lastModifiedMs: 101,
      checksum: { algorithm: 'CRC32C', value: 'c1' },
      blobs: [blob],
    });
    const rest = await store.listParts({ uploadId: 'upload-1', afterPartNumber: 3, limit: 2 });
    expect(rest.map((part) => part.partNumber)).toEqual([10_000]);
    const volume = (await store.listVolumes()).find((one) => one.volumeId === volumeId);
    expect(volume).toMatchObject({ liveBytes: 3 * 18, storedBytes: 3 * 18 + 58 });
  });

  test('Complete makes the object of the named parts, moves no bytes and drops the other parts', async () => {
    const { store, bucketId, volumeId, putPart, complete } = await prepare();
    const one = await putPart(1, 'e1');
    await putPart(2, 'dropped');
    const three = await putPart(3, 'e3');
    const manifests = [newBlob(store, volumeId, 0), newBlob(store, volumeId, 0)];
    const written = await complete(
      [
        { partNumber: 1, etag: 'e1' },
        { partNumber: 3, etag: 'e3' },
      ],
      { manifests },
    );
    expect(written).toMatchObject({ versionId: 'null', etag: 'multi-2', lastModifiedMs: 9000 });
    const object = await store.getObject({ bucketId, key: 'big' });
    expect(object).toMatchObject({
      etag: 'multi-2',
      parts: [
        { partNumber: 1, sizeBytes: 10, checksum: 'c1' },
        { partNumber: 3, sizeBytes: 10, checksum: 'c3' },
      ],
    });
    expect(object?.blobs).toEqual([one, three, ...manifests]);
    expect(await store.getUpload({ bucketId, key: 'big', uploadId: 'upload-1' })).toBeUndefined();
    expect(await store.listParts({ uploadId: 'upload-1', afterPartNumber: 0, limit: 10 })).toEqual([]);
    expect(await store.bucketUsage(bucketId)).toMatchObject({ objectCount: 1, sizeBytes: 20 });
    const volume = (await store.listVolumes()).find((each) => each.volumeId === volumeId);
    expect(volume?.liveBytes).toBe(18 + 18 + 8 + 8);
  });

  test('a retry of Complete answers as the first did, also after the object was replaced', async () => {
    const { store, bucketId, volumeId, putPart, complete } = await prepare();
    await putPart(1, 'e1');
    const first = await complete([{ partNumber: 1, etag: 'e1' }], { preconditions: { ifNoneMatch: ['*'] } });
    await store.commit(putMutation(store, { bucketId, key: 'big', volumeId }));
    const again = await complete([{ partNumber: 1, etag: 'e1' }], { preconditions: { ifNoneMatch: ['*'] } });
    expect(again).toEqual(first);
    expect((await store.getObject({ bucketId, key: 'big' }))?.etag).not.toBe('multi-2');
  });

  test('Complete refuses missing parts, changed parts and failed preconditions, and changes nothing', async () => {
    const { store, bucketId, volumeId, putPart, complete } = await prepare();
    await putPart(1, 'e1');
    await expectCode(complete([{ partNumber: 2, etag: 'e1' }]), 'InvalidPart');
    await expectCode(complete([{ partNumber: 1, etag: 'other' }]), 'InvalidPart');
    await expectCode(complete([{ partNumber: 1, etag: 'e1' }], { preconditions: { ifMatch: ['x'] } }), 'NoSuchKey');
    await store.commit(putMutation(store, { bucketId, key: 'big', volumeId }));
    await expectCode(
      complete([{ partNumber: 1, etag: 'e1' }], { preconditions: { ifNoneMatch: ['*'] } }),
      'PreconditionFailed',
    );
    await expectCode(complete([{ partNumber: 1, etag: 'e1' }], { uploadId: 'unknown' }), 'NoSuchUpload');
    await expectCode(complete([{ partNumber: 1, etag: 'e1' }], { key: 'other' }), 'NoSuchUpload');
    expect(await store.listParts({ uploadId: 'upload-1', afterPartNumber: 0, limit: 10 })).toHaveLength(1);
  });

  test('Abort gives back every part; what comes later is NoSuchUpload', async () => {
    const { store, bucketId, putPart, complete } = await prepare();
    await putPart(1, 'e1');
    await store.commit({ type: 'AbortMultipartUpload', bucketId, key: 'big', uploadId: 'upload-1' });
    expect((await store.listVolumes())[0]?.liveBytes).toBe(0);
    await expectCode(putPart(1, 'e1'), 'NoSuchUpload');
    await expectCode(complete([{ partNumber: 1, etag: 'e1' }]), 'NoSuchUpload');
    await expectCode(
      store.commit({ type: 'AbortMultipartUpload', bucketId, key: 'big', uploadId: 'upload-1' }),
      'NoSuchUpload',
    );
    await expectCode(
      store.commit({ type: 'CreateMultipartUpload', upload: uploadOf(bucketId + 999, 'big', 'u') }),
      'NoSuchBucket',
    );
  });

  test('10,000 parts become one object', async () => {
    const { store, bucketId, putPart, complete } = await prepare();
    const numbers = Array.from({ length: 10_000 }, (_, index) => index + 1);
    await Promise.all(numbers.map((partNumber) => putPart(partNumber, `e${partNumber}`)));
    await complete(numbers.map((partNumber) => ({ partNumber, etag: `e${partNumber}` })));
    const object = await store.getObject({ bucketId, key: 'big' });
    expect(object?.blobs).toHaveLength(10_000);
    expect(object?.parts).toHaveLength(10_000);
    await store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key: 'big', atMs: 1 });
    expect((await store.listVolumes())[0]?.liveBytes).toBe(0);
  });

  test('listUploads goes by key, then by initiation, through pages of every size, also past finished markers', async () => {
    const { store, bucketId } = await prepare();
    const names = ['b/1', 'a', 'b/2', 'c', 'a', 'b/1', 'c/d/e'];
    for (const [index, key] of names.entries()) {
      // Ids run against the order of initiation.
      await store.commit({
        type: 'CreateMultipartUpload',
        upload: { ...uploadOf(bucketId, key, `id-${100 - index}`), initiatedAtMs: 5000 + index },
      });
    }
    const all = [
      'a:id-99',
      'a:id-96',
      'b/1:id-100',
      'b/1:id-95',
      'b/2:id-98',
      'big:upload-1',
      'c:id-97',
      'c/d/e:id-94',
    ];
    for (const limit of [1, 2, 3, 7, 8, 100]) {
      expect(await listAll(store, bucketId, '', '', limit)).toEqual(all);
      expect(await listAll(store, bucketId, '', '/', limit)).toEqual([
        'a:id-99',
        'a:id-96',
        'b/',
        'big:upload-1',
        'c:id-97',
        'c/',
      ]);
      expect(await listAll(store, bucketId, 'b/', '/', limit)).toEqual(all.slice(2, 5));
    }
    await store.commit({
      type: 'CompleteMultipartUpload',
      bucketId,
      key: 'a',
      uploadId: 'id-99',
      parts: [],
      attributes: attributesOf('e', 0),
      lastModifiedMs: 1,
    });
    const page = await store.listUploads({
      bucketId,
      prefix: '',
      delimiter: '',
      keyMarker: 'a',
      uploadIdMarker: 'id-99',
      limit: 1,
    });
    expect(page.uploads.map((upload) => upload.uploadId)).toEqual(['id-96']);
  });
}

async function listAll(
  store: MetadataStore,
  bucketId: number,
  prefix: string,
  delimiter: string,
  limit: number,
): Promise<string[]> {
  const seen: string[] = [];
  let keyMarker = '';
  let uploadIdMarker = '';
  for (;;) {
    const page = await store.listUploads({ bucketId, prefix, delimiter, keyMarker, uploadIdMarker, limit });
    const entries = [...page.uploads.map((upload) => `${upload.key}:${upload.uploadId}`), ...page.commonPrefixes];
    expect(entries.length).toBeLessThanOrEqual(limit);
    // Both lists are in order; together they are merged by key.
    seen.push(...entries.sort((a, b) => Buffer.compare(keyOf(a), keyOf(b))));
    if (!page.isTruncated) return seen;
    keyMarker = page.nextKeyMarker ?? '';
    uploadIdMarker = page.nextUploadIdMarker ?? '';
  }
}

function keyOf(entry: string): Buffer {
  return Buffer.from(entry.split(':')[0] ?? '');
}
