import Database from 'better-sqlite3';
import { afterAll, expect, test } from 'vitest';
import { ObjectApplier } from '../../../../src/metadata-store/sqlite/apply-object-record.ts';
import type { BlobReferences } from '../../../../src/metadata-store/sqlite/blob-references.ts';
import type { BucketUsage } from '../../../../src/metadata-store/sqlite/bucket-usage.ts';
import { DecideObjects, type DecideObjectsOptions } from '../../../../src/metadata-store/sqlite/decide-objects.ts';
import { INDEX_SCHEMA } from '../../../../src/metadata-store/sqlite/index-schema.ts';
import { IndexQueries } from '../../../../src/metadata-store/sqlite/index-queries.ts';
import { ObjectLister } from '../../../../src/metadata-store/sqlite/list-objects.ts';
import { VersionLister } from '../../../../src/metadata-store/sqlite/list-versions.ts';
import type { OwnerTable } from '../../../../src/metadata-store/sqlite/owner-table.ts';

/** What SQLite does for each statement that touches objects or versions: nothing may depend on the length of a history. */
const db = new Database(':memory:');
db.exec(INDEX_SCHEMA);
afterAll(() => void db.close());

const statements: string[] = [];
const recording = new Proxy(db, {
  get: (target, name) => {
    if (name !== 'prepare') return Reflect.get(target, name) as unknown;
    return (sql: string) => {
      statements.push(sql);
      return target.prepare(sql);
    };
  },
});
const users = [
  new ObjectApplier(recording, {} as BlobReferences, {} as BucketUsage),
  new DecideObjects({ db: recording } as DecideObjectsOptions),
  new IndexQueries(recording, {} as OwnerTable),
  new VersionLister(recording, {} as OwnerTable),
  new ObjectLister(recording, {} as OwnerTable),
];

const relevant = statements.filter(
  (sql) => /\b(objects|versions)\b/.test(sql) && !/^(INSERT|REPLACE)[^]*VALUES/.test(sql),
);

function planOf(sql: string): string[] {
  const parameters = (sql.match(/\?/g) ?? []).map(() => 0);
  const named = Object.fromEntries([...sql.matchAll(/@(\w+)/g)].map(([, name]) => [name, 0]));
  const statement = db.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`);
  return statement.all(...(parameters.length > 0 ? parameters : [named])).map(({ detail }) => detail);
}

test('the statements are found', () => {
  expect(users).toHaveLength(5);
  expect(relevant.length).toBeGreaterThan(15);
});

test.each(relevant)('%s seeks, and reads as many rows as it returns', (sql) => {
  const plan = planOf(sql);
  const tables = plan.filter((detail) => /(objects|versions|\bo\b)/.test(detail));
  expect(tables.length).toBeGreaterThan(0);
  expect(plan.join('; ')).not.toMatch(/TEMP B-TREE|SCAN (objects|versions|o\b)/);
  for (const detail of tables) {
    expect(detail).toMatch(
      /SEARCH \w+ USING (PRIMARY KEY|(COVERING )?INDEX versions_by_id) \(bucket_id=\? AND key[=>]/,
    );
    const readsOneRow = / key=\? AND (ord|version_id)=\?/.test(detail) || /SEARCH (objects|o) .*key=\?/.test(detail);
    if (!readsOneRow) expect(sql).toContain('LIMIT');
  }
});
