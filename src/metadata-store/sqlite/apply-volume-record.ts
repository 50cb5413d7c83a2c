import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import type { BlobReferences } from './blob-references.ts';

type VolumeRecordType = Extract<
  JournalRecord,
  { type: 'OpenVolume' | 'SealVolume' | 'DropVolume' | 'ConfirmDrop' | 'MoveBlobs' | 'RecordDamage' | 'ClearDamage' }
>;

/** The part of `RecordApplier` that knows of volumes, moved blobs and damage. */
export class VolumeApplier {
  readonly #blobs: BlobReferences;
  readonly #sql;

  constructor(db: Database, blobs: BlobReferences) {
    this.#blobs = blobs;
    this.#sql = prepareStatements(db);
  }

  apply(record: VolumeRecordType): void {
    switch (record.type) {
      case 'OpenVolume': {
        const { volumeId, k, m, diskIds, purpose, shardSizeBytes } = record.volume;
        this.#sql.open.run(volumeId, k, m, JSON.stringify(diskIds), purpose, shardSizeBytes);
        return;
      }
      case 'SealVolume':
        assert(this.#sql.seal.run(record.lengthBytes, record.volumeId).changes === 1, 'a sealed volume is not there');
        return;
      case 'DropVolume':
        assert(this.#sql.drop.run(record.volumeId).changes === 1, 'a dropped volume is not there');
        this.#sql.clearDamageOfVolume.run(record.volumeId);
        return;
      case 'ConfirmDrop':
        return this.#confirmDrop(record.volumeId, record.diskIds);
      case 'MoveBlobs':
        for (const { blobId, layout, footprint } of record.moves) this.#blobs.move(blobId, layout, footprint);
        return;
      case 'RecordDamage':
        for (const damage of record.damage) {
          const { volumeId, diskId, offset, shardIndex, kind, seenAtMs } = damage;
          this.#sql.recordDamage.run(volumeId, diskId, offset, shardIndex, kind, seenAtMs);
        }
        return;
      case 'ClearDamage':
        for (const { volumeId, diskId, offset } of record.damage) this.#sql.clearDamage.run(volumeId, diskId, offset);
        return;
    }
  }

  #confirmDrop(volumeId: number, diskIds: readonly string[]): void {
    const undropped = this.#sql.selectUndropped.get(volumeId);
    assert(undropped !== undefined, 'a drop is confirmed for a volume that is not there');
    const left = (JSON.parse(undropped) as string[]).filter((diskId) => !diskIds.includes(diskId));
    if (left.length === 0) this.#sql.forget.run(volumeId);
    else this.#sql.setUndropped.run(JSON.stringify(left), volumeId);
  }
}

function prepareStatements(db: Database) {
  return {
    open: db.prepare(
      `INSERT INTO volumes (volume_id, k, m, disk_ids, purpose, shard_size_bytes, state, length_bytes, live_bytes,
       stored_bytes, undropped_disk_ids) VALUES (?, ?, ?, ?, ?, ?, 'open', 0, 0, 0, '[]')`,
    ),
    seal: db.prepare<[number, number]>(
      `UPDATE volumes SET state = 'sealed', length_bytes = ? WHERE volume_id = ? AND state <> 'dropped'`,
    ),
    drop: db.prepare<[number]>(
      `UPDATE volumes SET state = 'dropped', undropped_disk_ids = disk_ids WHERE volume_id = ? AND state <> 'dropped'`,
    ),
    selectUndropped: db
      .prepare<[number], string>(`SELECT undropped_disk_ids FROM volumes WHERE volume_id = ? AND state = 'dropped'`)
      .pluck(),
    setUndropped: db.prepare<[string, number]>('UPDATE volumes SET undropped_disk_ids = ? WHERE volume_id = ?'),
    forget: db.prepare<[number]>('DELETE FROM volumes WHERE volume_id = ?'),
    recordDamage: db.prepare(
      `REPLACE INTO damage (volume_id, disk_id, shard_offset, shard_index, kind, seen_at_ms) VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    clearDamage: db.prepare<[number, string, number]>(
      'DELETE FROM damage WHERE volume_id = ? AND disk_id = ? AND shard_offset = ?',
    ),
    clearDamageOfVolume: db.prepare<[number]>('DELETE FROM damage WHERE volume_id = ?'),
  };
}
