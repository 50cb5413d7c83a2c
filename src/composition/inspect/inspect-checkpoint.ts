import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import {
  CHECKPOINT_BLOCK_BYTES,
  CHECKPOINT_MAGIC_TEXT,
  type CheckpointBlock,
  parseCheckpointBlock,
} from '../../metadata-store/journal/checkpoint-file.ts';
import { readApplied } from '../../metadata-store/sqlite/index-database.ts';
import { INDEX_APPLICATION_ID, INDEX_SCHEMA_VERSION } from '../../metadata-store/sqlite/index-schema.ts';
import type { FileBytes } from './file-bytes.ts';
import { type Findings, newerThanKnown } from './inspection.ts';

/**
 * A checkpoint: a snapshot of the index in blocks. When all of them are good it is put together in a temporary file and
 * asked for the position it was made at.
 */
export async function inspectCheckpoint(file: FileBytes, fileName: string, findings: Findings): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'holdfast-inspect-'));
  const snapshot = path.join(folder, 'snapshot.sqlite');
  try {
    if (await inspectBlocks(file, snapshot, findings)) readSnapshot(snapshot, fileName, findings);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns whether all blocks are good; then the snapshot is whole. */
async function inspectBlocks(file: FileBytes, snapshotPath: string, findings: Findings): Promise<boolean> {
  const count = Math.max(1, Math.ceil(file.sizeBytes / CHECKPOINT_BLOCK_BYTES));
  let identity: Buffer | undefined;
  const snapshot = await open(snapshotPath, 'wx', 0o600);
  try {
    for (let index = 0; index < count; index++) {
      const offset = index * CHECKPOINT_BLOCK_BYTES;
      const bytes = await file.view(offset, CHECKPOINT_BLOCK_BYTES);
      const block = parseCheckpointBlock(bytes);
      const item = { offset, lengthBytes: bytes.length, what: `block ${index}`, facts: {} };
      const wrong = whyBadBlock(bytes, block, { index, isLast: index === count - 1, identity });
      if (wrong !== undefined) {
        findings.addBad(item, wrong.problem, wrong.state);
        continue;
      }
      identity ??= block === undefined ? undefined : Buffer.from(block.identity);
      findings.add({ ...item, state: 'good', facts: { dataBytes: block?.data.length } });
      await snapshot.appendFile(Buffer.from(block?.data ?? []));
    }
  } finally {
    await snapshot.close();
  }
  Object.assign(findings.facts, { blocks: count, binding: identity?.toString('hex') });
  return findings.problems.length === 0;
}

function whyBadBlock(
  bytes: Buffer,
  block: CheckpointBlock | undefined,
  { index, isLast, identity }: { index: number; isLast: boolean; identity: Buffer | undefined },
): { problem: string; state: 'bad' | 'newer' } | undefined {
  const bad = (problem: string) => ({ problem, state: 'bad' as const });
  if (block === undefined) {
    const magic = bytes.toString('latin1', 0, 4);
    if (/^HFC[2-9]$/.test(magic)) {
      return { problem: newerThanKnown('the checkpoint', magic.slice(3), 1), state: 'newer' };
    }
    return bad(
      magic === CHECKPOINT_MAGIC_TEXT
        ? 'its checksum does not match'
        : `it does not begin with ${CHECKPOINT_MAGIC_TEXT}`,
    );
  }
  if (block.index !== index) return bad(`it says it is block ${block.index}`);
  if (identity !== undefined && !block.identity.equals(identity)) return bad('it belongs to another checkpoint');
  if (!isLast && bytes.length < CHECKPOINT_BLOCK_BYTES) return bad('it is too short');
  return undefined;
}

function readSnapshot(snapshotPath: string, fileName: string, findings: Findings): void {
  let db: Database.Database | undefined;
  try {
    db = new Database(snapshotPath, { readonly: true, fileMustExist: true });
    const version = Number(db.pragma('user_version', { simple: true }));
    if (Number(db.pragma('application_id', { simple: true })) !== INDEX_APPLICATION_ID) {
      findings.problem(0, 0, 'the blocks are good, but the snapshot is no index of Holdfast');
      return;
    }
    if (version > INDEX_SCHEMA_VERSION) {
      findings.problem(0, 0, newerThanKnown('the snapshot', version, INDEX_SCHEMA_VERSION));
      return;
    }
    const result = String(db.pragma('quick_check(1)', { simple: true }));
    if (result !== 'ok') findings.problem(0, 0, `the blocks are good, but the snapshot is damaged: ${result}`);
    const { batchNumber, position } = readApplied(db);
    const applied = position && { ...position, hash: position.hash.toString('hex') };
    Object.assign(findings.facts, { tablesVersion: version, appliedBatch: batchNumber, applied });
    const [, epoch, sequence] = /^checkpoint-(\d+)-(\d+)-/.exec(fileName) ?? [];
    if (epoch !== undefined && (Number(epoch) !== position?.epoch || Number(sequence) !== position.sequence)) {
      findings.problem(0, 0, `the name says epoch ${epoch} sequence ${sequence}, the snapshot says otherwise`);
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    findings.problem(0, 0, `the blocks are good, but the snapshot cannot be read: ${error.message}`);
  } finally {
    db?.close();
  }
}
