import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { readApplied } from './index-database.ts';
import { INDEX_SCHEMA_1 } from './index-schema-1.ts';

/**
 * Writes the last committed state of an open index to a new file: what the checkpoints on the disks are made of. In a store
 * of format 1 it has the tables of format 1, so that the former server can start from it.
 */
export function snapshotIndex(db: Database.Database, target: string): void {
  if (readApplied(db).formatVersion === 1 && snapshotOfFormat1(db, target)) return;
  db.prepare('VACUUM INTO ?').run(target);
}

/** False, and no file: the format was raised meanwhile, and its tables have no place for what may have been written since. */
function snapshotOfFormat1(db: Database.Database, target: string): boolean {
  const tables = makeEmpty(target);
  db.prepare('ATTACH DATABASE ? AS snapshot').run(target);
  let isFormat1 = false;
  try {
    // Nobody believes the file before it was copied to the disks and read back.
    db.exec('PRAGMA snapshot.synchronous = OFF; BEGIN;');
    // The first read: everything after it is of the same commit.
    isFormat1 = readApplied(db).formatVersion === 1;
    if (!isFormat1) return false;
    for (const [table, columns] of tables) {
      const list = columns.join(', ');
      db.exec(`INSERT INTO snapshot.${table} (${list}) SELECT ${list} FROM main.${table};`);
    }
    db.exec('COMMIT');
    return true;
  } finally {
    if (db.inTransaction) db.exec('ROLLBACK');
    db.exec('DETACH DATABASE snapshot');
    if (!isFormat1) rmSync(target, { force: true });
  }
}

/** Returns the tables with their columns. */
function makeEmpty(path: string): Map<string, string[]> {
  const snapshot = new Database(path);
  try {
    snapshot.exec(`BEGIN; ${INDEX_SCHEMA_1} DELETE FROM applied; COMMIT;`);
    const names = snapshot.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
    return new Map(
      names.map((name) => [
        name,
        (snapshot.pragma(`table_info(${name})`) as { name: string }[]).map((column) => column.name),
      ]),
    );
  } finally {
    snapshot.close();
  }
}
