import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { BlobFootprint } from '../../model/blob.ts';
import type { BlobUse } from '../metadata-store.ts';

/** May these blobs be named now? Evaluated inside the commit, so that a volume cannot go between check and use. */
export class DecideBlobs {
  readonly #volumeState;
  readonly #blobLayout;

  constructor(db: Database) {
    this.#volumeState = db.prepare<[number], string>('SELECT state FROM volumes WHERE volume_id = ?').pluck();
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
        const isNew =
          this.layoutOf(blobId) === undefined &&
          !uses.slice(0, index).some((other) => 'newBlob' in other && other.newBlob.blobId === blobId);
        assert(isNew, `blob ${blobId} is committed twice as new`);
        this.checkFootprint(footprint);
      }
    }
    return uses;
  }

  /** @throws StoreError BlobGone when one of the volumes is unknown or dropped */
  checkFootprint(footprint: readonly BlobFootprint[]): void {
    for (const [index, { volumeId }] of footprint.entries()) {
      const state = this.#volumeState.get(volumeId);
      if (state === undefined || state === 'dropped') throw gone(`volume ${volumeId} is no longer there`);
      const isRepeated = footprint.slice(0, index).some((other) => other.volumeId === volumeId);
      assert(!isRepeated, `a footprint names volume ${volumeId} twice`);
    }
  }
}

function gone(message: string): StoreError {
  return new StoreError('BlobGone', message);
}
