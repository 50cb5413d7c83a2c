import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { BlobFootprint } from '../../model/blob.ts';
import type { BlobUse } from '../metadata-store.ts';
import type { KnownRows } from './known-rows.ts';

/** May these blobs be named now? Evaluated inside the commit, so that a volume cannot go between check and use. */
export class DecideBlobs {
  readonly #known: KnownRows;
  readonly #blobLayout;

  constructor(db: Database, known: KnownRows) {
    this.#known = known;
    this.#blobLayout = db.prepare<[number], Buffer>('SELECT layout FROM blobs WHERE blob_id = ?').pluck();
  }

  /** `undefined`: not live. */
  layoutOf(blobId: number): Buffer | undefined {
    return this.#blobLayout.get(blobId);
  }

  /** @throws StoreError BlobGone */
  check(uses: readonly BlobUse[]): readonly BlobUse[] {
    for (const [index, use] of uses.entries()) {
      if ('existingBlobId' in use) {
        if (this.layoutOf(use.existingBlobId) === undefined) {
          throw gone(`blob ${use.existingBlobId} is no longer live`);
        }
      } else {
        const { blobId, footprint } = use.newBlob;
        const isRepeated =
          index > 0 && uses.slice(0, index).some((other) => 'newBlob' in other && other.newBlob.blobId === blobId);
        assert(!isRepeated && !this.#known.hasBlob(blobId), `blob ${blobId} is committed twice as new`);
        this.checkFootprint(footprint);
      }
    }
    return uses;
  }

  /** @throws StoreError BlobGone when one of the volumes is unknown or dropped */
  checkFootprint(footprint: readonly BlobFootprint[]): void {
    for (const [index, { volumeId }] of footprint.entries()) {
      if (!this.#known.isUsableVolume(volumeId)) throw gone(`volume ${volumeId} is no longer there`);
      const isRepeated = index > 0 && footprint.slice(0, index).some((other) => other.volumeId === volumeId);
      assert(!isRepeated, `a footprint names volume ${volumeId} twice`);
    }
  }
}

function gone(message: string): StoreError {
  return new StoreError('BlobGone', message);
}
