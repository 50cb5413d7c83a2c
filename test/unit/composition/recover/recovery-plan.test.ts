import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { planRecovery } from '../../../../src/composition/recover/recovery-plan.ts';
import { ShardCatalog } from '../../../../src/composition/recover/shard-catalog.ts';
import { type BlobDescriptor, encodeBlobDescriptor } from '../../../../src/service/blob-descriptor.ts';

let folder: string;
let catalog: ShardCatalog;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-recovery-plan-'));
  catalog = new ShardCatalog(join(folder, 'catalog.sqlite'));
});
afterEach(() => {
  catalog.close();
  rmSync(folder, { recursive: true });
});

const ATTRIBUTES = { ownerAccountId: '123456789012', storageClass: 'STANDARD', headers: {}, userMetadata: { a: 'b' } };

function found(blobId: number, sizeBytes: number, descriptor: Buffer, volumeId = 1): void {
  const blob = {
    blobId,
    sizeBytes,
    layout: Buffer.from([volumeId]),
    footprint: [{ volumeId, storedBytes: sizeBytes }],
  };
  catalog.onBlob({ blob, descriptor });
}

interface Named {
  bucketId?: number;
  bucketName?: string;
  key?: string;
  atMs?: number;
  sizeBytes?: number;
}

function nameOf({ bucketId = 1, bucketName = 'bucket', key = 'key', atMs = 1000, sizeBytes = 5 }: Named) {
  return { bucketId, bucketName, key, content: { sizeBytes, etag: 'e', lastModifiedMs: atMs } };
}

function object(blobId: number, named: Named = {}): void {
  const descriptor: BlobDescriptor = { ...nameOf(named), kind: 'object', attributes: ATTRIBUTES };
  found(blobId, named.sizeBytes ?? 5, encodeBlobDescriptor(descriptor));
}

function part(blobId: number, partNumber: number, named: Named = {}): void {
  found(
    blobId,
    named.sizeBytes ?? 5,
    encodeBlobDescriptor({ ...nameOf(named), kind: 'part', uploadId: 'u', partNumber }),
  );
}

function manifest(blobId: number, blobIds: readonly number[], named: Named = {}): void {
  const blobs = blobIds.map((id) => ({ blobId: id, sizeBytes: 5 }));
  const parts = blobIds.map((_, index) => ({ partNumber: index + 1, sizeBytes: 5 }));
  const name = nameOf({ ...named, sizeBytes: 5 * blobIds.length });
  const descriptor: BlobDescriptor = { ...name, kind: 'manifest', attributes: ATTRIBUTES, uploadId: 'u', blobs, parts };
  found(blobId, 0, encodeBlobDescriptor(descriptor));
}

const plan = (): unknown[] =>
  [...planRecovery(catalog)].flat().map(({ fate, blobId, blobIds }) => [blobId, fate, blobIds]);

test('one candidate is the object; of several whose ids and times agree the last is, and the others are older versions', () => {
  object(10, { key: 'alone' });
  object(11, { atMs: 1000 });
  object(12, { atMs: 1000 });
  object(13, { atMs: 1500 });
  expect(plan()).toEqual([
    [10, 'restored', [10]],
    [11, 'older-version', [11]],
    [12, 'older-version', [12]],
    [13, 'restored', [13]],
  ]);
});

test('where ids and times disagree nothing is guessed', () => {
  object(11, { atMs: 2000 });
  object(12, { atMs: 1000 });
  expect(plan()).toEqual([
    [11, 'undecided', [11]],
    [12, 'undecided', [12]],
  ]);
});

test('a manifest names its parts, which are no candidates then; a part that none names is loose', () => {
  part(20, 1);
  part(21, 2);
  part(22, 2);
  manifest(23, [20, 22]);
  // A copy shares them.
  manifest(24, [20, 22], { key: 'the copy' });
  expect(plan()).toEqual([
    [23, 'restored', [20, 22, 23]],
    [21, 'loose-part', [21]],
    [24, 'restored', [20, 22, 24]],
  ]);
});

test('what lacks a piece, or has another length than it says, is unreadable', () => {
  manifest(31, [28, 29], { atMs: 2 });
  found(32, 4, encodeBlobDescriptor({ ...nameOf({ key: 'short' }), kind: 'object', attributes: ATTRIBUTES }));
  expect(plan()).toEqual([
    [31, 'unreadable', []],
    [32, 'unreadable', []],
  ]);
});

test('behind a later candidate that is lost, nothing older becomes the object; behind an older one it does', () => {
  object(33, { atMs: 1 });
  manifest(34, [28], { atMs: 2 });
  manifest(35, [28], { key: 'other', atMs: 1 });
  object(36, { key: 'other', atMs: 2 });
  expect(plan()).toEqual([
    [33, 'undecided', [33]],
    [34, 'unreadable', []],
    [36, 'restored', [36]],
    [35, 'unreadable', []],
  ]);
});

test('of two buckets of one name the older one was deleted, with all that was in it', () => {
  object(40, { bucketId: 2 });
  object(41, { bucketId: 3 });
  object(42, { bucketId: 4, bucketName: 'other' });
  expect(plan()).toEqual([
    [40, 'deleted-bucket', [40]],
    [41, 'restored', [41]],
    [42, 'restored', [42]],
  ]);
});

test('a blob that was moved is taken where it lay last, in whatever order it is found', () => {
  const descriptor = encodeBlobDescriptor({ ...nameOf({}), kind: 'object', attributes: ATTRIBUTES });
  found(50, 5, descriptor, 9);
  found(50, 5, descriptor, 3);
  expect(catalog.blob(50)).toMatchObject({ layout: Buffer.from([9]) });
});

test('what a later version described is counted, and not taken for anything', () => {
  const descriptor = encodeBlobDescriptor({ ...nameOf({}), kind: 'object', attributes: ATTRIBUTES });
  descriptor[0] = 200;
  found(60, 5, descriptor);
  expect(plan()).toEqual([]);
  expect(catalog.unknownDescriptorCount).toBe(1);
});

/** A body behind what `previous` describes; `sizeBytes` is that of all. */
function appended(blobId: number, previous: number, sizeBytes: number, atMs: number, ownBytes = 5): void {
  const name = nameOf({ sizeBytes, atMs });
  const descriptor: BlobDescriptor = { ...name, kind: 'object', attributes: ATTRIBUTES, previous };
  found(blobId, ownBytes, encodeBlobDescriptor(descriptor));
}

/** One of a chain of manifests: `sizeBytes` is that of the whole object. */
function link(blobId: number, previous: number | undefined, partNumbers: readonly number[], sizeBytes: number): void {
  const descriptor: BlobDescriptor = {
    ...nameOf({ sizeBytes }),
    kind: 'manifest',
    attributes: ATTRIBUTES,
    uploadId: 'u',
    blobs: partNumbers.map((partNumber) => ({ blobId: partNumber, sizeBytes: 5 })),
    parts: partNumbers.map((partNumber) => ({ partNumber, sizeBytes: 5 })),
    previous,
  };
  found(blobId, 0, encodeBlobDescriptor(descriptor));
}

test('an object that was appended to is one object of all its pieces, and its former states are none', () => {
  object(10, { sizeBytes: 5, atMs: 1000 });
  appended(11, 10, 10, 2000);
  appended(12, 11, 15, 3000);
  const [one, ...others] = [...planRecovery(catalog)].flat();
  expect(others).toEqual([]);
  expect(one).toMatchObject({ fate: 'restored', sizeBytes: 15, blobIds: [10, 11, 12], lastModifiedMs: 3000 });
  expect(one?.attributes.parts).toEqual([1, 2, 3].map((partNumber) => ({ partNumber, sizeBytes: 5 })));
});

test('a piece that is gone makes what was appended behind it unreadable', () => {
  object(10, { sizeBytes: 5, atMs: 1000 });
  appended(12, 11, 15, 3000);
  const fates = [...planRecovery(catalog)].flat().map(({ blobId, fate }) => [blobId, fate]);
  expect(fates).toEqual([
    [10, 'undecided'],
    [12, 'unreadable'],
  ]);
});

test('manifests in a chain are one object of many parts, and what is appended comes behind them', () => {
  for (const number of [1, 2, 3]) part(number, number);
  link(20, undefined, [1, 2], 15);
  link(21, 20, [3], 15);
  const restored = () => [...planRecovery(catalog)].flat();
  expect(restored()).toMatchObject([{ fate: 'restored', blobIds: [1, 2, 20, 3, 21], sizeBytes: 15 }]);
  expect(restored()[0]?.attributes.parts?.map(({ partNumber }) => partNumber)).toEqual([1, 2, 3]);
  appended(22, 21, 20, 5000);
  expect(restored()).toMatchObject([{ fate: 'restored', blobIds: [1, 2, 20, 3, 21, 22], sizeBytes: 20 }]);
  expect(restored()[0]?.attributes.parts?.at(-1)).toEqual({ partNumber: 4, sizeBytes: 5 });
});

test('the first manifest of a chain alone is not taken for the object', () => {
  for (const number of [1, 2]) part(number, number);
  link(20, undefined, [1, 2], 15);
  expect([...planRecovery(catalog)].flat().filter(({ fate }) => fate === 'restored')).toEqual([]);
});
