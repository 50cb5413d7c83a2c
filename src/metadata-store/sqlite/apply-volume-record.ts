import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { OpenedVolumeRecord, ShardMove } from '../../model/blob.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import type { BlobReferences } from './blob-references.ts';

type VolumeRecordType = Extract<
  JournalRecord,
  {
    type:
      | 'OpenVolume'
      | 'OpenClassVolume'
      | 'SealVolume'
      | 'DropVolume'
      | 'ConfirmDrop'
      | 'MoveBlobs'
      | 'RecordDamage'
      | 'ClearDamage'
      | 'MoveShard';
  }
>;

/** The part of `RecordApplier` that knows of volumes, moved blobs and damage. */
export class VolumeApplier {
  readonly #blobs: BlobReferences;
  readonly #touchedVolumeIds: Set<number>;
  readonly #sql;

  constructor(db: Database, blobs: BlobReferences, touchedVolumeIds: Set<number>) {
    this.#blobs = blobs;
    this.#touchedVolumeIds = touchedVolumeIds;
    this.#sql = prepareStatements(db);
  }

  apply(record: VolumeRecordType): void {
    switch (record.type) {
      case 'OpenVolume':
        return this.#open(record.volume, '');
      case 'OpenClassVolume':
        return this.#open(record.volume, record.storageClass);
      case 'SealVolume':
        this.#touchedVolumeIds.add(record.volumeId);
        assert(this.#sql.seal.run(record.lengthBytes, record.volumeId).changes === 1, 'a sealed volume is not there');
        return;
      case 'DropVolume':
        return this.#drop(record.volumeId);
      case 'ConfirmDrop':
        return this.#confirmDrop(record.volumeId, record.diskIds);
      case 'MoveShard':
        return this.#moveShard(record);
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

  /** Files of disks that a shard was moved away from wait on. */
  #open(volume: Omit<OpenedVolumeRecord, 'storageClass'>, storageClass: string): void {
    const { volumeId, k, m, diskIds, purpose, shardSizeBytes } = volume;
    this.#touchedVolumeIds.add(volumeId);
    this.#sql.open.run(volumeId, k, m, JSON.stringify(diskIds), purpose, shardSizeBytes, storageClass);
  }

  #drop(volumeId: number): void {
    this.#touchedVolumeIds.add(volumeId);
    const { diskIds, undroppedDiskIds } = this.#disksOf(volumeId);
    const awaited = [...new Set([...diskIds, ...undroppedDiskIds])];
    assert(this.#sql.drop.run(JSON.stringify(awaited), volumeId).changes === 1, 'a dropped volume is not there');
    this.#sql.clearDamageOfVolume.run(volumeId);
  }

  #confirmDrop(volumeId: number, confirmedIds: readonly string[]): void {
    this.#touchedVolumeIds.add(volumeId);
    const { state, undroppedDiskIds } = this.#disksOf(volumeId);
    const left = undroppedDiskIds.filter((diskId) => !confirmedIds.includes(diskId));
    if (left.length === 0 && state === 'dropped') this.#sql.forget.run(volumeId);
    else this.#sql.setUndropped.run(JSON.stringify(left), volumeId);
  }

  #moveShard({ volumeId, shardIndex, fromDiskId, toDiskId }: ShardMove): void {
    this.#touchedVolumeIds.add(volumeId);
    const { diskIds, undroppedDiskIds } = this.#disksOf(volumeId);
    assert(diskIds[shardIndex] === fromDiskId, 'a shard is moved that lies elsewhere');
    diskIds[shardIndex] = toDiskId;
    const awaited = [...undroppedDiskIds.filter((diskId) => diskId !== toDiskId), fromDiskId];
    this.#sql.setDisks.run(JSON.stringify(diskIds), JSON.stringify(awaited), volumeId);
    this.#sql.clearDamageOfFile.run(volumeId, fromDiskId);
  }

  #disksOf(volumeId: number): { state: string; diskIds: string[]; undroppedDiskIds: string[] } {
    const row = this.#sql.selectDisks.get(volumeId);
    assert(row !== undefined, 'a record names a volume that is not there');
    return {
      state: row[0],
      diskIds: JSON.parse(row[1]) as string[],
      undroppedDiskIds: JSON.parse(row[2]) as string[],
    };
  }
}

function prepareStatements(db: Database) {
  return {
    open: db.prepare(
      `INSERT INTO volumes (volume_id, k, m, disk_ids, purpose, shard_size_bytes, state, length_bytes, live_bytes,
       stored_bytes, undropped_disk_ids, storage_class) VALUES (?, ?, ?, ?, ?, ?, 'open', 0, 0, 0, '[]', ?)`,
    ),
    seal: db.prepare<[number, number]>(
      `UPDATE volumes SET state = 'sealed', length_bytes = ? WHERE volume_id = ? AND state <> 'dropped'`,
    ),
    drop: db.prepare<[string, number]>(
      `UPDATE volumes SET state = 'dropped', undropped_disk_ids = ? WHERE volume_id = ? AND state <> 'dropped'`,
    ),
    selectDisks: db
      .prepare<[number], [string, string, string]>(
        'SELECT state, disk_ids, undropped_disk_ids FROM volumes WHERE volume_id = ?',
      )
      .raw(),
    setDisks: db.prepare<[string, string, number]>(
      'UPDATE volumes SET disk_ids = ?, undropped_disk_ids = ? WHERE volume_id = ?',
    ),
    setUndropped: db.prepare<[string, number]>('UPDATE volumes SET undropped_disk_ids = ? WHERE volume_id = ?'),
    forget: db.prepare<[number]>('DELETE FROM volumes WHERE volume_id = ?'),
    recordDamage: db.prepare(
      `REPLACE INTO damage (volume_id, disk_id, shard_offset, shard_index, kind, seen_at_ms) VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    clearDamage: db.prepare<[number, string, number]>(
      'DELETE FROM damage WHERE volume_id = ? AND disk_id = ? AND shard_offset = ?',
    ),
    clearDamageOfFile: db.prepare<[number, string]>('DELETE FROM damage WHERE volume_id = ? AND disk_id = ?'),
    clearDamageOfVolume: db.prepare<[number]>('DELETE FROM damage WHERE volume_id = ?'),
  };
}
