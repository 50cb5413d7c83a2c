import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkIndexFile } from '../../../../src/metadata-store/sqlite/check-index-file.ts';
import { IndexUnusable, readApplied } from '../../../../src/metadata-store/sqlite/index-database.ts';
import { INDEX_SCHEMA, INDEX_SCHEMA_VERSION } from '../../../../src/metadata-store/sqlite/index-schema.ts';
import { INDEX_SCHEMA_1 } from '../../../../src/metadata-store/sqlite/index-schema-1.ts';
import { prepareSchema } from '../../../../src/metadata-store/sqlite/prepare-schema.ts';
import { snapshotIndex } from '../../../../src/metadata-store/sqlite/snapshot-index.ts';
import { emptyDisk } from '../../../support/memory-journal.ts';
import { sqliteHarness, type SqliteHarness } from '../../../support/open-sqlite-store.ts';

const OWNER = { accountId: '000000000001', canonicalId: 'c'.repeat(64), displayName: 'owner' };

let harness: SqliteHarness;
beforeEach(async () => {
  harness = await sqliteHarness();
});
afterEach(async () => {
  await harness.close();
});

function opened(schema: string): Database.Database {
  const db = new Database(':memory:');
  db.exec(schema);
  return db;
}

/** Tables with their columns in order, and the indexes. */
function shapeOf(db: Database.Database): unknown {
  const names = db
    .prepare<[], { type: string; name: string; tbl_name: string }>(
      "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name",
    )
    .all();
  return names.map((item) => ({ ...item, columns: db.pragma(`table_xinfo(${item.name})`) }));
}

/** Every row of the tables of format 1, by their columns. */
function contentOf(path: string): Record<string, unknown[]> {
  const db = new Database(path, { readonly: true });
  const format1 = opened(INDEX_SCHEMA_1);
  try {
    const tables = format1.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
    const columnsOf = (table: string): string =>
      (format1.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name).join(', ');
    return Object.fromEntries(tables.map((name) => [name, db.prepare(`SELECT ${columnsOf(name)} FROM ${name}`).all()]));
  } finally {
    db.close();
  }
}

test('the tables of format 1, brought up to date, are those of a new index, in the order of their columns', () => {
  const db = opened(INDEX_SCHEMA_1);
  db.exec("INSERT INTO documents VALUES ('c', 'i', x'01')");
  prepareSchema(db);
  expect(shapeOf(db)).toEqual(shapeOf(opened(INDEX_SCHEMA)));
  expect(db.pragma('user_version', { simple: true })).toBe(INDEX_SCHEMA_VERSION);
  expect(db.prepare('SELECT count(*) FROM documents').pluck().get()).toBe(1);
  expect(readApplied(db)).toEqual({ batchNumber: 0, position: undefined, formatVersion: 1 });
});

test('the tables of any other version are refused', () => {
  for (const version of [0, INDEX_SCHEMA_VERSION + 1]) {
    const db = opened(INDEX_SCHEMA);
    db.pragma(`user_version = ${version}`);
    expect(() => prepareSchema(db)).toThrow(IndexUnusable);
  }
});

test('a snapshot of a store of format 1 has the tables of format 1 with every row, one of format 2 has its own', async () => {
  const { store } = await harness.open(emptyDisk(1));
  const bucket = await store.commit({
    type: 'CreateBucket',
    name: 'bucket',
    owner: OWNER,
    region: 'us-east-1',
    createdAtMs: 1,
  });
  for (const key of ['a', 'b']) {
    await store.commit({
      type: 'PutObject',
      bucketId: bucket.bucketId,
      key,
      owner: OWNER,
      attributes: { etag: key, sizeBytes: 0, storageClass: 'STANDARD', headers: {}, userMetadata: { of: key } },
      blobs: [],
      lastModifiedMs: 5,
    });
  }
  const target = `${harness.indexPath}.copy`;
  const reader = new Database(harness.indexPath);
  try {
    snapshotIndex(reader, target);
    const snapshot = new Database(target, { readonly: true });
    expect(snapshot.pragma('user_version', { simple: true })).toBe(1);
    expect(snapshot.pragma('journal_mode', { simple: true })).toBe('delete');
    expect(shapeOf(snapshot)).toEqual(shapeOf(opened(INDEX_SCHEMA_1)));
    snapshot.close();
    expect(checkIndexFile(target)).toBeUndefined();
    const written = contentOf(target);
    expect(written).toEqual(contentOf(harness.indexPath));
    expect([written['objects']?.length, written['applied']?.length]).toEqual([2, 1]);
    rmSync(target);

    await store.finalizeUpgrade();
    snapshotIndex(reader, target);
    const after = new Database(target, { readonly: true });
    expect(readApplied(after)).toMatchObject({ formatVersion: 2 });
    expect(after.pragma('user_version', { simple: true })).toBe(INDEX_SCHEMA_VERSION);
    after.close();
  } finally {
    reader.close();
  }
});

test('a format that is raised while a snapshot of format 1 begins is not lost in it', async () => {
  await harness.open(emptyDisk(1));
  const target = `${harness.indexPath}.copy`;
  const reader = new Database(harness.indexPath);
  const writer = new Database(harness.indexPath);
  const racing = new Proxy(reader, {
    get: (_, name: keyof Database.Database) => {
      const member: unknown = reader[name];
      if (typeof member !== 'function') return member;
      return (...values: unknown[]): unknown => {
        if (String(values[0]).startsWith('ATTACH')) writer.exec('UPDATE applied SET format_version = 2');
        return (member as (...given: unknown[]) => unknown).apply(reader, values);
      };
    },
  });
  try {
    snapshotIndex(racing, target);
    const snapshot = new Database(target, { readonly: true });
    expect(readApplied(snapshot).formatVersion).toBe(2);
    snapshot.close();
  } finally {
    reader.close();
    writer.close();
  }
});
