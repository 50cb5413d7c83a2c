import { parentPort } from 'node:worker_threads';
import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { openConnection, readApplied, type AppliedPosition } from './index-database.ts';

/** What the main thread asks for; one at a time, answered in order. */
export type MaintenanceRequest =
  | { type: 'open'; path: string }
  | { type: 'move-wal' }
  | { type: 'snapshot'; target: string }
  | { type: 'check'; path: string };

export type MaintenanceAnswer =
  | { type: 'done' }
  /** Pages of the WAL that could not yet be moved. */
  | { type: 'moved'; backlogPages: number }
  /** `problem` undefined: the file is whole. */
  | { type: 'checked'; problem: string | undefined }
  | { type: 'snapshot'; applied: AppliedPosition }
  | { type: 'failed'; message: string; code: string | undefined };

/** The thread that does what would block the main one for long: SQLite's own checkpoints, snapshots, integrity checks. */
let connection: Database | undefined;
const port = parentPort;
assert(port !== null, 'the maintenance worker runs in a worker thread');
port.on('message', (request: MaintenanceRequest) => {
  let answer: MaintenanceAnswer;
  try {
    answer = serve(request);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    answer = { type: 'failed', message: String(error), code };
  }
  port.postMessage(answer);
});

function serve(request: MaintenanceRequest): MaintenanceAnswer {
  switch (request.type) {
    case 'open':
      connection = openConnection(request.path, 'read-write');
      return { type: 'done' };
    case 'move-wal':
      assert(connection !== undefined, 'no index is open');
      // PASSIVE waits for nobody and makes nobody wait.
      return { type: 'moved', backlogPages: moveWal(connection) };
    case 'snapshot':
      assert(connection !== undefined, 'no index is open');
      connection.prepare('VACUUM INTO ?').run(request.target);
      return { type: 'snapshot', applied: readSnapshot(request.target) };
    case 'check':
      return { type: 'checked', problem: check(request.path) };
  }
}

function moveWal(db: Database): number {
  const row = db.prepare<[], [number, number, number]>('PRAGMA wal_checkpoint(PASSIVE)').raw().get();
  assert(row !== undefined, 'a checkpoint tells how far it came');
  return row[1] - row[2];
}

function readSnapshot(path: string): AppliedPosition {
  const snapshot = openConnection(path, 'read-only');
  try {
    return readApplied(snapshot);
  } finally {
    snapshot.close();
  }
}

function check(path: string): string | undefined {
  let db: Database;
  try {
    // Closing it moves a WAL left by a crash into the file, here and not on the main thread.
    db = openConnection(path, 'read-write');
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
