import { expect, test } from 'vitest';
import type { JournalRecord } from '../../../../src/metadata-store/records/journal-record.ts';
import { UndecidedScope, type ReadSubject } from '../../../../src/metadata-store/sqlite/undecided-scope.ts';

const lookup = {
  uploadKey: (order: number) => (order === 5 ? { bucketId: 1, key: Buffer.from('multi') } : undefined),
  bucketName: (bucketId: number) => (bucketId === 1 ? 'one' : undefined),
};
const attributes = {
  etag: '',
  sizeBytes: 0,
  storageClass: '',
  checksum: 0,
  details: Buffer.alloc(0),
  parts: Buffer.alloc(0),
};
const put = (bucketId: number, key: string): JournalRecord => ({
  type: 'PutObject',
  bucketId,
  key: Buffer.from(key),
  order: 1,
  ownerId: 1,
  lastModifiedMs: 1,
  attributes,
  blobs: [],
});
const complete = (uploadOrder: number): JournalRecord => ({
  type: 'CompleteMultipartUpload',
  uploadOrder,
  order: 2,
  lastModifiedMs: 1,
  decidedAtMs: 1,
  attributes,
  partNumbers: [],
  manifest: undefined,
});

function touched(record: JournalRecord): string[] {
  const scope = new UndecidedScope();
  scope.add([record], lookup);
  const subjects: Record<string, ReadSubject> = {
    'object 1 a': { kind: 'object', bucketId: 1, key: 'a' },
    'object 1 multi': { kind: 'object', bucketId: 1, key: 'multi' },
    'object 2 a': { kind: 'object', bucketId: 2, key: 'a' },
    'listing 1': { kind: 'bucket-listing', bucketId: 1 },
    'listing 2': { kind: 'bucket-listing', bucketId: 2 },
    'bucket one': { kind: 'bucket', name: 'one' },
    'bucket two': { kind: 'bucket', name: 'two' },
    buckets: { kind: 'buckets' },
    uploads: { kind: 'uploads' },
    'document s x': { kind: 'document', collection: 's', id: 'x' },
    'document s 1': { kind: 'document', collection: 's', id: '1' },
    'documents s': { kind: 'documents', collection: 's' },
    'documents t': { kind: 'documents', collection: 't' },
  };
  return Object.keys(subjects).filter((name) => scope.touches(subjects[name]!));
}

test('an undecided write touches its key and the listing of its bucket, nothing else', () => {
  expect(touched(put(1, 'a'))).toEqual(['object 1 a', 'listing 1']);
  const key = Buffer.from('a');
  expect(touched({ type: 'DeleteObject', bucketId: 2, key })).toEqual(['object 2 a', 'listing 2']);
  expect(touched({ type: 'DeleteVersion', bucketId: 2, key, order: 1 })).toEqual(['object 2 a', 'listing 2']);
  const moved = { bucketId: 2, key, order: 1, storageClass: 'COLD', blobs: [] };
  expect(touched({ type: 'TransitionVersion', ...moved })).toEqual(['object 2 a', 'listing 2']);
  const marker = { bucketId: 2, key, order: 1, ownerId: 1, lastModifiedMs: 1, versionId: 'v' };
  expect(touched({ type: 'PutDeleteMarker', ...marker })).toEqual(['object 2 a', 'listing 2']);
});

test('an undecided Complete touches the key of its upload, and everything when that is not known', () => {
  expect(touched(complete(5))).toEqual(['object 1 multi', 'listing 1', 'uploads']);
  expect(touched(complete(6))).toHaveLength(13);
});

test('undecided buckets and documents touch their own names', () => {
  expect(touched({ type: 'CreateBucket', bucketId: 3, name: 'two', ownerId: 1, region: 'r', createdAtMs: 1 })).toEqual([
    'bucket two',
    'buckets',
  ]);
  expect(touched({ type: 'DeleteBucket', bucketId: 1 })).toEqual([
    'listing 1',
    'bucket one',
    'buckets',
    'uploads',
    'document s 1',
    'documents s',
    'documents t',
  ]);
  expect(touched({ type: 'DeleteDocument', address: { collection: 's', id: 'x' } })).toEqual([
    'document s x',
    'documents s',
  ]);
  expect(touched({ type: 'AbortMultipartUpload', uploadOrder: 5 })).toEqual(['uploads']);
});

test('undecided volumes touch nothing that is asked for', () => {
  expect(touched({ type: 'SealVolume', volumeId: 1, lengthBytes: 1 })).toEqual([]);
});

test('an undecided configuration touches its bucket, which is read with it', () => {
  const address = { collection: 'bucket-tagging', id: '1' };
  expect(touched({ type: 'PutDocument', address, body: Buffer.alloc(0) })).toEqual(['bucket one', 'buckets']);
  expect(touched({ type: 'DeleteDocument', address })).toEqual(['bucket one', 'buckets']);
  const created: JournalRecord = {
    type: 'CreateBucket',
    bucketId: 9,
    name: 'nine',
    ownerId: 1,
    region: 'r',
    createdAtMs: 1,
  };
  const scope = new UndecidedScope();
  const configured = { collection: 'bucket-tagging', id: '9' };
  scope.add([created, { type: 'PutDocument', address: configured, body: Buffer.alloc(0) }], lookup);
  expect(scope.touches({ kind: 'bucket', name: 'nine' })).toBe(true);
  expect(scope.touches({ kind: 'bucket', name: 'one' })).toBe(false);
});
