import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { BlobFootprint, BlobRecord } from '../../model/blob.ts';
import type { BlobUse } from '../metadata-store.ts';
import { decodeFootprint, encodeFootprint } from '../records/record-codec.ts';
import type { KnownRows } from './known-rows.ts';

/**
 * Blobs, their reference counts and the bytes of each volume, as records change them. Sums of volumes are collected
 * here and written by `flush`, once for each batch.
 *
 * Invariants after `flush`: a blob's count is the number of times objects, versions and parts name it, and never zero;
 * `blob_volumes` mirrors every blob's footprint; `live_bytes` is the sum of `blob_volumes` for the volume.
 */
export class BlobReferences {
  readonly #known: KnownRows;
  readonly #touchedVolumeIds: Set<number>;
  readonly #sums = new Map<number, { live: number; stored: number }>();
  readonly #insertBlob;
  readonly #insertPlace;
  readonly #deletePlace;
  readonly #selectBlob;
  readonly #changeCount;
  readonly #deleteBlob;
  readonly #moveBlob;
  readonly #addSums;

  constructor(db: Database, known: KnownRows, touchedVolumeIds: Set<number>) {
    this.#known = known;
    this.#touchedVolumeIds = touchedVolumeIds;
    this.#insertBlob = db.prepare<[number, number, Buffer, Buffer]>(
      'INSERT INTO blobs (blob_id, reference_count, size_bytes, layout, footprint) VALUES (?, 1, ?, ?, ?)',
    );
    this.#insertPlace = db.prepare<[number, number, number]>(
      'INSERT INTO blob_volumes (volume_id, blob_id, stored_bytes) VALUES (?, ?, ?)',
    );
    this.#deletePlace = db.prepare<[number, number]>('DELETE FROM blob_volumes WHERE volume_id = ? AND blob_id = ?');
    this.#selectBlob = db
      .prepare<[number], [number, Buffer]>('SELECT reference_count, footprint FROM blobs WHERE blob_id = ?')
      .raw();
    this.#changeCount = db.prepare<[number, number]>(
      'UPDATE blobs SET reference_count = reference_count + ? WHERE blob_id = ?',
    );
    this.#deleteBlob = db.prepare<[number]>('DELETE FROM blobs WHERE blob_id = ?');
    this.#moveBlob = db.prepare<[Buffer, Buffer, number]>(
      'UPDATE blobs SET layout = ?, footprint = ? WHERE blob_id = ?',
    );
    this.#addSums = db.prepare<[number, number, number]>(
      'UPDATE volumes SET live_bytes = live_bytes + ?, stored_bytes = stored_bytes + ? WHERE volume_id = ?',
    );
  }

  /** Takes one reference for each use; returns the blob ids in order. */
  take(uses: readonly BlobUse[]): number[] {
    return uses.map((use) => {
      if ('newBlob' in use) {
        this.insert(use.newBlob);
        return use.newBlob.blobId;
      }
      const { changes } = this.#changeCount.run(1, use.existingBlobId);
      assert(changes === 1, `a record names blob ${use.existingBlobId}, which is not live`);
      return use.existingBlobId;
    });
  }

  insert(blob: BlobRecord): void {
    this.#insertBlob.run(blob.blobId, blob.sizeBytes, blob.layout, encodeFootprint(blob.footprint));
    this.#known.noteBlob(blob.blobId);
    for (const place of blob.footprint) {
      this.#insertPlace.run(place.volumeId, blob.blobId, place.storedBytes);
      this.#add(place.volumeId, place.storedBytes, place.storedBytes);
    }
  }

  /** Gives back one reference for each id; with its last one a blob goes and its bytes are dead. */
  drop(blobIds: readonly number[]): void {
    for (const blobId of blobIds) {
      const row = this.#selectBlob.get(blobId);
      assert(row !== undefined, `blob ${blobId} is named but not live`);
      if (row[0] > 1) {
        this.#changeCount.run(-1, blobId);
      } else {
        this.#deleteBlob.run(blobId);
        this.#deletePlaces(blobId, decodeFootprint(row[1]));
      }
    }
  }

  move(blobId: number, layout: Buffer, footprint: readonly BlobFootprint[]): void {
    const row = this.#selectBlob.get(blobId);
    assert(row !== undefined, `blob ${blobId} is moved but not live`);
    this.#deletePlaces(blobId, decodeFootprint(row[1]));
    this.#moveBlob.run(layout, encodeFootprint(footprint), blobId);
    for (const place of footprint) {
      this.#insertPlace.run(place.volumeId, blobId, place.storedBytes);
      this.#add(place.volumeId, place.storedBytes, place.storedBytes);
    }
  }

  /** Writes the sums of the transaction; before its COMMIT. */
  flush(): void {
    for (const [volumeId, { live, stored }] of this.#sums) {
      this.#addSums.run(live, stored, volumeId);
      this.#touchedVolumeIds.add(volumeId);
    }
    this.#sums.clear();
  }

  /** After a ROLLBACK. */
  discard(): void {
    this.#sums.clear();
  }

  #deletePlaces(blobId: number, footprint: readonly BlobFootprint[]): void {
    for (const place of footprint) {
      this.#deletePlace.run(place.volumeId, blobId);
      this.#add(place.volumeId, -place.storedBytes, 0);
    }
  }

  #add(volumeId: number, live: number, stored: number): void {
    const sum = this.#sums.get(volumeId);
    if (sum === undefined) {
      this.#sums.set(volumeId, { live, stored });
    } else {
      sum.live += live;
      sum.stored += stored;
    }
  }
}
