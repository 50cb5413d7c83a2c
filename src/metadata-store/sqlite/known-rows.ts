import type { Database } from 'better-sqlite3';
import type { BucketConfiguration } from '../../model/bucket-configuration.ts';
import { prepareBucketConfiguration } from './bucket-configuration-query.ts';

/** Beyond so many the sets begin anew. */
const REMEMBERED_LIMIT = 10_000;

export interface KnownBucket {
  readonly configuration: BucketConfiguration;
}

/**
 * What nearly every mutation asks of the open transaction, remembered so that it costs no statement: is the bucket
 * there and what is configured of it, may the volume be named, is the blob new. Only what holds until a record changes it is kept, and every such
 * record calls `forget`; so does a ROLLBACK.
 */
export class KnownRows {
  readonly #buckets = new Map<number, KnownBucket>();
  readonly #usableVolumeIds = new Set<number>();
  readonly #readConfiguration: (bucketId: number) => BucketConfiguration;
  readonly #sql;
  /** No blob of the transaction has a greater id. */
  #greatestBlobId: number | undefined;

  constructor(db: Database) {
    this.#readConfiguration = prepareBucketConfiguration(db);
    this.#sql = {
      hasBucket: db.prepare<[number], number>('SELECT 1 FROM buckets WHERE bucket_id = ?').pluck(),
      volumeState: db.prepare<[number], string>('SELECT state FROM volumes WHERE volume_id = ?').pluck(),
      hasBlob: db.prepare<[number], number>('SELECT 1 FROM blobs WHERE blob_id = ?').pluck(),
      greatestBlobId: db.prepare<[], number | null>('SELECT max(blob_id) FROM blobs').pluck(),
    };
  }

  bucket(bucketId: number): KnownBucket | undefined {
    const known = this.#buckets.get(bucketId);
    if (known !== undefined) return known;
    if (this.#sql.hasBucket.get(bucketId) === undefined) return undefined;
    const bucket = { configuration: this.#readConfiguration(bucketId) };
    if (this.#buckets.size >= REMEMBERED_LIMIT) this.#buckets.clear();
    this.#buckets.set(bucketId, bucket);
    return bucket;
  }

  /** Known and not dropped. */
  isUsableVolume(volumeId: number): boolean {
    if (this.#usableVolumeIds.has(volumeId)) return true;
    const state = this.#sql.volumeState.get(volumeId);
    if (state === undefined || state === 'dropped') return false;
    if (this.#usableVolumeIds.size >= REMEMBERED_LIMIT) this.#usableVolumeIds.clear();
    this.#usableVolumeIds.add(volumeId);
    return true;
  }

  hasBlob(blobId: number): boolean {
    this.#greatestBlobId ??= this.#sql.greatestBlobId.get() ?? 0;
    return blobId <= this.#greatestBlobId && this.#sql.hasBlob.get(blobId) !== undefined;
  }

  /** A blob was inserted. */
  noteBlob(blobId: number): void {
    if (this.#greatestBlobId !== undefined && blobId > this.#greatestBlobId) this.#greatestBlobId = blobId;
  }

  /** A record has changed buckets, their configurations or volumes, or the transaction was rolled back. */
  forget(): void {
    this.#buckets.clear();
    this.#usableVolumeIds.clear();
  }
}
