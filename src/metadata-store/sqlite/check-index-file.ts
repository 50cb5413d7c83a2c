import type { Database } from 'better-sqlite3';
import { openConnection } from './index-database.ts';

/**
 * Reads every page of an index that nobody has open; returns what is wrong with it, `undefined` when it is whole. A WAL
 * that a crash left is moved into the file on the way. Takes about a second for a million objects: larger files are for
 * the maintenance thread.
 */
export function checkIndexFile(path: string): string | undefined {
  let db: Database;
  try {
    db = openConnection(path, 'maintenance');
  } catch (error) {
    return String(error);
  }
  try {
    const result = db.pragma('quick_check(1)', { simple: true });
    return result === 'ok' ? undefined : String(result);
  } catch (error) {
    return String(error);
  } finally {
    db.close();
  }
}
