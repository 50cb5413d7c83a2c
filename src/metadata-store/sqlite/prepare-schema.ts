import Database from 'better-sqlite3';
import { IndexUnusable } from './index-database.ts';
import { INDEX_APPLICATION_ID, INDEX_SCHEMA, INDEX_SCHEMA_VERSION } from './index-schema.ts';

interface ColumnFacts {
  name: string;
  type: string;
  notnull: 0 | 1;
  dflt_value: string | null;
}

interface SchemaItem {
  type: 'table' | 'index';
  name: string;
  tbl_name: string;
  sql: string;
}

/**
 * Makes the tables in an empty file, and brings those of a former server (of format 1, or with less of format 2) up to date,
 * in the index and in checkpoints alike: in one transaction, so that a crash leaves the old tables or the new ones. @throws IndexUnusable: of another version
 */
export function prepareSchema(db: Database.Database): void {
  const tables = db.prepare<[], number>('SELECT count(*) FROM sqlite_schema').pluck().get();
  if (tables === 0) {
    db.exec(`BEGIN IMMEDIATE; ${INDEX_SCHEMA} COMMIT;`);
    return;
  }
  const applicationId = db.pragma('application_id', { simple: true });
  const version = db.pragma('user_version', { simple: true });
  if (applicationId !== INDEX_APPLICATION_ID || (version !== 1 && version !== INDEX_SCHEMA_VERSION)) {
    throw new IndexUnusable(
      `not an index of version ${INDEX_SCHEMA_VERSION}: ${String(applicationId)}/${String(version)}`,
    );
  }
  const statements = additions(db);
  if (statements === '' && version === INDEX_SCHEMA_VERSION) return;
  db.exec(`BEGIN IMMEDIATE; ${statements} PRAGMA user_version = ${INDEX_SCHEMA_VERSION}; COMMIT;`);
}

/** What the tables of the file lack of today's, as SQL. */
function additions(db: Database.Database): string {
  const wanted = new Database(':memory:');
  try {
    wanted.exec(INDEX_SCHEMA);
    const present = new Set(itemsOf(db).map(({ name }) => name));
    const statements: string[] = [];
    for (const { type, name, sql } of itemsOf(wanted)) {
      if (!present.has(name)) {
        statements.push(sql);
      } else if (type === 'table') {
        const known = new Set(columnsOf(db, name).map((column) => column.name));
        const missing = columnsOf(wanted, name).filter((column) => !known.has(column.name));
        for (const column of missing) statements.push(`ALTER TABLE ${name} ADD COLUMN ${declaration(column)}`);
      }
    }
    return statements.map((statement) => `${statement};`).join('\n');
  } finally {
    wanted.close();
  }
}

/** Tables before indexes, so that what an index needs is there. */
function itemsOf(db: Database.Database): SchemaItem[] {
  return db
    .prepare<[], SchemaItem>(
      'SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC',
    )
    .all();
}

function columnsOf(db: Database.Database, table: string): ColumnFacts[] {
  return db.pragma(`table_info(${table})`) as ColumnFacts[];
}

function declaration({ name, type, notnull, dflt_value }: ColumnFacts): string {
  return `${name} ${type}${notnull === 1 ? ' NOT NULL' : ''}${dflt_value === null ? '' : ` DEFAULT ${dflt_value}`}`;
}
