import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { INDEX_SCHEMA } from '../../../../src/metadata-store/sqlite/index-schema.ts';
import { KnownRows } from '../../../../src/metadata-store/sqlite/known-rows.ts';

let db: Database.Database;
let known: KnownRows;

beforeEach(() => {
  db = new Database(':memory:');
  db.exec(INDEX_SCHEMA);
  db.exec(
    `INSERT INTO buckets (bucket_id, name, account_id, owner_id, region, created_at_ms) VALUES (7, 'b', '', 1, '', 0)`,
  );
  db.exec(`INSERT INTO volumes VALUES (5, 4, 2, '[]', 'small', 0, 'open', 0, 0, 0, '[]', '')`);
  known = new KnownRows(db);
});

afterEach(() => void db.close());

const hasBucket = (bucketId: number): boolean => known.bucket(bucketId) !== undefined;

const insertBlob = (blobId: number): void => {
  db.prepare('INSERT INTO blobs VALUES (?, 1, 0, ?, ?)').run(blobId, Buffer.alloc(0), Buffer.alloc(0));
};

test('a bucket or volume that a record took away is known no more once it is forgotten', () => {
  expect([hasBucket(7), known.isUsableVolume(5)]).toEqual([true, true]);
  db.exec(`DELETE FROM buckets; UPDATE volumes SET state = 'dropped'`);
  known.forget();
  expect([hasBucket(7), known.isUsableVolume(5)]).toEqual([false, false]);
});

test('what was not there is asked for again: it may come at any time', () => {
  expect([hasBucket(8), known.isUsableVolume(6)]).toEqual([false, false]);
  db.exec(`UPDATE buckets SET bucket_id = 8; UPDATE volumes SET volume_id = 6`);
  expect([hasBucket(8), known.isUsableVolume(6)]).toEqual([true, true]);
});

test('a blob is known by its row, whether it is older or newer than all others', () => {
  insertBlob(100);
  expect([known.hasBlob(100), known.hasBlob(50), known.hasBlob(101)]).toEqual([true, false, false]);
  insertBlob(50);
  known.noteBlob(50);
  insertBlob(200);
  known.noteBlob(200);
  expect([known.hasBlob(50), known.hasBlob(200), known.hasBlob(150), known.hasBlob(201)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('a blob that was rolled back is not there, and not in the way of another', () => {
  expect(known.hasBlob(10)).toBe(false);
  db.exec('BEGIN');
  insertBlob(10);
  known.noteBlob(10);
  expect(known.hasBlob(10)).toBe(true);
  db.exec('ROLLBACK');
  known.forget();
  expect(known.hasBlob(10)).toBe(false);
});
