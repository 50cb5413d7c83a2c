import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { ShardMove } from '../../model/blob.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import type { Mutation } from '../metadata-store.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import type { DecideBlobs } from './decide-blobs.ts';

type VolumeMutation = Extract<
  Mutation,
  {
    type:
      | 'OpenVolume'
      | 'SealVolume'
      | 'DropVolume'
      | 'ConfirmDrop'
      | 'MoveBlobs'
      | 'RecordDamage'
      | 'ClearDamage'
      | 'MoveShard';
  }
>;

/** The part of `MutationDecider` that serves the data store: all of it may be repeated after an unknown outcome. */
export class DecideVolumes {
  readonly #blobs: DecideBlobs;
  readonly #emit: (record: JournalRecord) => void;
  readonly #formatVersion: () => number;
  readonly #selectVolume;
  readonly #isNamed;

  constructor(
    db: Database,
    blobs: DecideBlobs,
    { emit, formatVersion }: { emit: (record: JournalRecord) => void; formatVersion: () => number },
  ) {
    this.#formatVersion = formatVersion;
    this.#blobs = blobs;
    this.#emit = emit;
    this.#selectVolume = db
      .prepare<[number], [string, number, string]>(
        'SELECT state, length_bytes, disk_ids FROM volumes WHERE volume_id = ?',
      )
      .raw();
    this.#isNamed = db.prepare<[number], number>('SELECT 1 FROM blob_volumes WHERE volume_id = ? LIMIT 1').pluck();
  }

  decide(mutation: VolumeMutation): unknown {
    switch (mutation.type) {
      case 'OpenVolume': {
        const { storageClass, ...volume } = mutation.volume;
        const { volumeId, k, m, diskIds } = volume;
        assert(diskIds.length === k + m, `volume ${volumeId} names ${diskIds.length} disks for ${k}+${m}`);
        assert(this.#selectVolume.get(volumeId) === undefined, `volume ${volumeId} is opened twice`);
        if (storageClass === undefined) return this.#emit({ type: 'OpenVolume', volume });
        requireStoreFormat(this.#formatVersion(), 2, `The storage class ${storageClass}`);
        return this.#emit({ type: 'OpenClassVolume', volume, storageClass });
      }
      case 'SealVolume': {
        const { volumeId, lengthBytes } = mutation;
        const volume = this.#findVolume(volumeId);
        // Repeated after its first outcome was not known, it may find the volume dropped, or forgotten since.
        if (volume === undefined) return;
        if (volume.state === 'dropped' || (volume.state === 'sealed' && volume.lengthBytes === lengthBytes)) return;
        return this.#emit({ type: 'SealVolume', volumeId, lengthBytes });
      }
      case 'DropVolume': {
        const { volumeId } = mutation;
        if ((this.#findVolume(volumeId)?.state ?? 'dropped') === 'dropped') return true;
        if (this.#isNamed.get(volumeId) !== undefined) return false;
        this.#emit({ type: 'DropVolume', volumeId });
        return true;
      }
      case 'ConfirmDrop': {
        const volume = this.#selectVolume.get(mutation.volumeId);
        // Confirmed by all before: it is forgotten already.
        if (volume === undefined || mutation.diskIds.length === 0) return;
        assert(volume[0] !== 'open', `volume ${mutation.volumeId} is confirmed as gone but open`);
        return this.#emit({ type: 'ConfirmDrop', volumeId: mutation.volumeId, diskIds: mutation.diskIds });
      }
      case 'MoveShard':
        return this.#moveShard(mutation);
      case 'MoveBlobs':
        return this.#moveBlobs(mutation.moves);
      case 'RecordDamage':
        if (mutation.damage.length > 0) this.#emit({ type: 'RecordDamage', damage: mutation.damage });
        return;
      case 'ClearDamage':
        if (mutation.damage.length > 0) this.#emit({ type: 'ClearDamage', damage: mutation.damage });
        return;
    }
  }

  /** True also when it was moved there before. */
  #moveShard({ volumeId, shardIndex, fromDiskId, toDiskId }: ShardMove): boolean {
    const volume = this.#selectVolume.get(volumeId);
    if (volume?.[0] !== 'sealed') return false;
    const diskIds = JSON.parse(volume[2]) as string[];
    if (diskIds[shardIndex] === toDiskId) return true;
    if (diskIds[shardIndex] !== fromDiskId || diskIds.includes(toDiskId)) return false;
    this.#emit({ type: 'MoveShard', volumeId, shardIndex, fromDiskId, toDiskId });
    return true;
  }

  #moveBlobs(moves: Extract<Mutation, { type: 'MoveBlobs' }>['moves']): { movedBlobIds: number[] } {
    const seen = new Set<number>();
    const valid = moves.filter((move) => {
      if (seen.has(move.blobId)) return false;
      seen.add(move.blobId);
      this.#blobs.checkFootprint(move.toFootprint);
      return this.#blobs.layoutOf(move.blobId)?.equals(move.fromLayout) ?? false;
    });
    if (valid.length > 0) {
      this.#emit({
        type: 'MoveBlobs',
        moves: valid.map(({ blobId, toLayout, toFootprint }) => ({ blobId, layout: toLayout, footprint: toFootprint })),
      });
    }
    return { movedBlobIds: valid.map((move) => move.blobId) };
  }

  /** `undefined`: dropped, and its removal confirmed by all. Numbers are never reused. */
  #findVolume(volumeId: number): { state: string; lengthBytes: number } | undefined {
    const row = this.#selectVolume.get(volumeId);
    return row === undefined ? undefined : { state: row[0], lengthBytes: row[1] };
  }
}
