import { describe, expect, test } from 'vitest';
import type { DataStore } from '../../../src/data-store/data-store.ts';
import { STANDARD, storageClassesOf } from '../../../src/model/storage-class.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import { bodyOf, DataStoreHarness, readAll } from '../../support/data-store-harness.ts';

const CODE = { k: 4, m: 2 };
const RARE = 'REDUCED_REDUNDANCY';
const SIZES = [0, 100, 10_000, 200_000, 3_000_000];

async function write(harness: DataStoreHarness, body: Buffer, storageClass: string): Promise<BlobRecord> {
  const { store, ledger } = harness;
  const pinned =
    body.length <= store.smallBlobLimitBytes
      ? await store.writeSmall(body, Buffer.from('descriptor'), { storageClass })
      : await writeLarge(store, body, storageClass);
  await ledger.commitBlob(pinned.blob);
  pinned.unpin();
  return pinned.blob;
}

async function writeLarge(store: DataStore, body: Buffer, storageClass: string) {
  const writer = await store.openWriter({ sizeBytes: body.length, storageClass });
  await writer.write(body);
  return writer.finish(Buffer.from('descriptor'));
}

const volumesOf = (harness: DataStoreHarness, blob: BlobRecord) =>
  blob.footprint.map(({ volumeId }) => harness.journal.volumes.get(volumeId)!);

const codesOf = (harness: DataStoreHarness, blob: BlobRecord): string[] =>
  volumesOf(harness, blob).map(({ k, m, storageClass = STANDARD }) => `${storageClass} ${k}+${m}`);

describe('storage classes', () => {
  test('REDUCED_REDUNDANCY has one parity shard less, and never none where STANDARD has one', () => {
    const codeOf = (k: number, m: number): string => {
      const { code } = storageClassesOf({ k, m })[1]!;
      return `${code.k}+${code.m}`;
    };
    expect([codeOf(4, 2), codeOf(8, 4), codeOf(1, 1), codeOf(2, 1), codeOf(1, 0), codeOf(24, 6)]).toEqual([
      '5+1',
      '9+3',
      '1+1',
      '2+1',
      '1+0',
      '24+5',
    ]);
    const configured = storageClassesOf(CODE, [{ name: RARE, code: { k: 2, m: 2 } }]);
    expect(configured[1]).toEqual({ name: RARE, code: { k: 2, m: 2 } });
  });

  test('bodies of a class lie in volumes of its code, survive its m losses, and are moved within it', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blobs: { body: Buffer; storageClass: string; blob: BlobRecord }[] = [];
    for (const storageClass of [RARE, STANDARD]) {
      for (const size of SIZES) {
        const body = bodyOf(`${storageClass} ${size}`, size);
        blobs.push({ body, storageClass, blob: await write(harness, body, storageClass) });
      }
    }
    for (const { blob, storageClass } of blobs) {
      const expected = storageClass === RARE ? `${RARE} 5+1` : `${STANDARD} 4+2`;
      expect(new Set(codesOf(harness, blob))).toEqual(new Set([expected]));
      const moved = await harness.withTime(harness.store.rewriteBlob(blob));
      expect(moved.blob.blobId).toBe(blob.blobId);
      expect(new Set(codesOf(harness, moved.blob))).toEqual(new Set([expected]));
      moved.unpin();
    }
    harness.cluster.detach([2]);
    for (const { blob, body } of blobs) {
      if (body.length > 0) expect((await harness.get(blob)).equals(body)).toBe(true);
    }
    await harness.withTime(harness.store.stop());
  });

  test('nothing is collected under a copy in another class', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    for (const lengthBytes of [1000, 150_000]) {
      const blob = await write(harness, bodyOf('copied', lengthBytes), STANDARD);
      await harness.sealAll();
      const { volumeId } = blob.footprint[0]!;
      expect(harness.store.pinnedVolumeIds()).not.toContain(volumeId);
      const copying = harness.store.copyBlob(blob, { storageClass: RARE });
      expect(harness.store.pinnedVolumeIds()).toContain(volumeId);
      (await harness.withTime(copying)).unpin();
      expect(harness.store.pinnedVolumeIds()).not.toContain(volumeId);
    }
    await harness.withTime(harness.store.stop());
  });

  test('a copy in another class is a blob of its own; a class that is no longer configured keeps its code', async () => {
    const harness = await DataStoreHarness.start({
      code: CODE,
      storageClasses: [{ name: 'DEEP', code: { k: 3, m: 3 } }],
    });
    expect(harness.store.storageClasses().map(({ name }) => name)).toEqual([STANDARD, RARE, 'DEEP']);
    const body = bodyOf('copied', 150_000);
    const blob = await write(harness, body, STANDARD);
    const copy = await harness.withTime(harness.store.copyBlob(blob, { storageClass: 'DEEP' }));
    expect(copy.blob.blobId).not.toBe(blob.blobId);
    expect(codesOf(harness, copy.blob)).toEqual(['DEEP 3+3']);
    expect(
      (await harness.withTime(readAll(harness.store, copy.blob, { start: 0, length: body.length }))).equals(body),
    ).toBe(true);
    await harness.ledger.commitBlob(copy.blob);
    copy.unpin();
    harness.storageClasses = [];
    await harness.sealAll();
    const again = await harness.withTime(harness.store.rewriteBlob(copy.blob));
    expect(codesOf(harness, again.blob)).toEqual(['DEEP 3+3']);
    again.unpin();
    await harness.withTime(harness.store.stop());
  });

  test('bodies of a class that is no longer configured are moved also when it was wider than all that are', async () => {
    const harness = await DataStoreHarness.start({
      code: { k: 1, m: 1 },
      diskCount: 12,
      storageClasses: [{ name: 'WIDE', code: { k: 8, m: 4 } }],
    });
    const body = bodyOf('wide', 3_000_000);
    const blob = await write(harness, body, 'WIDE');
    harness.storageClasses = [];
    await harness.sealAll();
    const moved = await harness.withTime(harness.store.rewriteBlob(blob));
    expect(new Set(codesOf(harness, moved.blob))).toEqual(new Set(['WIDE 8+4']));
    await harness.ledger.commitBlob(moved.blob);
    moved.unpin();
    expect((await harness.get(moved.blob)).equals(body)).toBe(true);
    await harness.withTime(harness.store.stop());
  });

  test('after a change of the code new volumes have it, open ones are sealed, also wider than any before', async () => {
    const harness = await DataStoreHarness.start({ code: { k: 2, m: 2 }, diskCount: 7 });
    const before = [];
    for (const size of SIZES.slice(1)) {
      const body = bodyOf(`before ${size}`, size);
      before.push({ body, blob: await write(harness, body, STANDARD) });
    }
    const uploading = await harness.store.openWriter({ sizeBytes: 400_000 });
    const long = bodyOf('over the change', 400_000);
    await uploading.write(long.subarray(0, 200_000));
    harness.store.setCode({ k: 4, m: 3 });
    await uploading.write(long.subarray(200_000));
    const finished = await uploading.finish(Buffer.from('descriptor'));
    await harness.ledger.commitBlob(finished.blob);
    finished.unpin();
    expect(new Set(codesOf(harness, finished.blob)).has('STANDARD 4+3')).toBe(true);
    for (const size of SIZES.slice(1)) {
      const body = bodyOf(`after ${size}`, size);
      const blob = await write(harness, body, STANDARD);
      expect(new Set(codesOf(harness, blob))).toEqual(new Set(['STANDARD 4+3']));
      before.push({ body, blob });
    }
    harness.cluster.detach([0, 1]);
    for (const { body, blob } of [...before, { body: long, blob: finished.blob }]) {
      expect((await harness.get(blob)).equals(body)).toBe(true);
    }
    await harness.withTime(harness.store.stop());
  });
});
