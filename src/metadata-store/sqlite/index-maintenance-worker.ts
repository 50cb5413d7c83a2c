import { parentPort } from 'node:worker_threads';
import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { checkIndexFile } from './check-index-file.ts';
import { identify, openConnection, readApplied, type AppliedPosition, type FileIdentity } from './index-database.ts';
import { snapshotIndex } from './snapshot-index.ts';

/** What the main thread asks for; one at a time, answered in order. `index`: the file that the main thread has open. */
export type MaintenanceRequest =
  | { type: 'move-wal'; index: FileIdentity }
  | { type: 'snapshot'; index: FileIdentity; target: string }
  | { type: 'check'; path: string };

export type MaintenanceAnswer =
  /** Pages of the WAL that could not yet be moved. */
  | { type: 'moved'; backlogPages: number }
  /** `problem` undefined: the file is whole. */
  | { type: 'checked'; problem: string | undefined }
  | { type: 'snapshot'; applied: AppliedPosition }
  | { type: 'failed'; message: string };

/** The thread that does what would block the main one for long: SQLite's own checkpoints, snapshots, integrity checks. */
let connection: Database | undefined;
const port = parentPort;
assert(port !== null, 'the maintenance worker runs in a worker thread');
port.on('message', (request: MaintenanceRequest) => {
  let answer: MaintenanceAnswer;
  try {
    answer = serve(request);
  } catch (error) {
    answer = { type: 'failed', message: String(error) };
  }
  port.postMessage(answer);
});

function serve(request: MaintenanceRequest): MaintenanceAnswer {
  switch (request.type) {
    case 'move-wal':
      return { type: 'moved', backlogPages: moveWal(connectionTo(request.index)) };
    case 'snapshot':
      snapshotIndex(connectionTo(request.index), request.target);
      return { type: 'snapshot', applied: readSnapshot(request.target) };
    case 'check':
      return { type: 'checked', problem: checkIndexFile(request.path) };
  }
}

/** Of the same file as the main thread's, or none: the path may name another one by now. */
function connectionTo(index: FileIdentity): Database {
  if (connection !== undefined) return connection;
  const before = identify(index.path);
  assert(before.device === index.device && before.inode === index.inode, `${index.path} is another file now`);
  connection = openConnection(index.path, 'maintenance');
  return connection;
}

/** PASSIVE: waits for nobody and makes nobody wait. */
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
