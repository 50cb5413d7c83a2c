import type { Database } from 'better-sqlite3';

/** Beyond so many the sets begin anew. */
const REMEMBERED_LIMIT = 10_000;

/**
 * What nearly every mutation asks of the open transaction, remembered so that it costs no statement: is the bucket
 * there, may the volume be named, is the blob new. Only what holds until a record changes it is kept, and every such
 * record calls `forget`; so does a ROLLBACK.
 */
export class KnownRows {
  readonly #bucketIds = new Set<number>();
  readonly #usableVolumeIds = new Set<number>();
  readonly #sql;
  /** No blob of the transaction has a greater id. */
  #greatestBlobId: number | undefined;

  constructor(db: Database) {
    this.#sql = {
      hasBucket: db.prepare<[number], number>('SELECT 1 FROM buckets WHERE bucket_id = ?').pluck(),
      volumeState: db.prepare<[number], string>('SELECT state FROM volumes WHERE volume_id = ?').pluck(),
      hasBlob: db.prepare<[number], number>('SELECT 1 FROM blobs WHERE blob_id = ?').pluck(),
      greatestBlobId: db.prepare<[], number | null>('SELECT max(blob_id) FROM blobs').pluck(),
    };
  }

  hasBucket(bucketId: number): boolean {
    return remembered(this.#bucketIds, bucketId, () => this.#sql.hasBucket.get(bucketId) !== undefined);
  }

  /** Known and not dropped. */
  isUsableVolume(volumeId: number): boolean {
    return remembered(this.#usableVolumeIds, volumeId, () => {
      const state = this.#sql.volumeState.get(volumeId);
      return state !== undefined && state !== 'dropped';
    });
  }

  hasBlob(blobId: number): boolean {
    this.#greatestBlobId ??= this.#sql.greatestBlobId.get() ?? 0;
    return blobId <= this.#greatestBlobId && this.#sql.hasBlob.get(blobId) !== undefined;
  }

  /** A blob was inserted. */
  noteBlob(blobId: number): void {
    if (this.#greatestBlobId !== undefined && blobId > this.#greatestBlobId) this.#greatestBlobId = blobId;
  }

  /** A record has changed buckets or volumes, or the transaction was rolled back. */
  forget(): void {
    this.#bucketIds.clear();
    this.#usableVolumeIds.clear();
  }
}

function remembered(known: Set<number>, id: number, ask: () => boolean): boolean {
  if (known.has(id)) return true;
  if (!ask()) return false;
  if (known.size >= REMEMBERED_LIMIT) known.clear();
  known.add(id);
  return true;
}
