import { assert } from '../../errors/assert.ts';
import type { BlobRecord } from '../../model/blob.ts';
import type { PinnedBlob } from '../data-store.ts';
import type { VolumeTable } from '../volume/volume-table.ts';

/** Pins the volumes of a blob until `unpin`. */
export function pinBlob(table: VolumeTable, blob: BlobRecord): PinnedBlob {
  for (const { volumeId } of blob.footprint) table.pinUncommitted(volumeId);
  let isPinned = true;
  return {
    blob,
    unpin: () => {
      assert(isPinned, `blob ${blob.blobId} was unpinned twice`);
      isPinned = false;
      for (const { volumeId } of blob.footprint) table.unpinUncommitted(volumeId);
    },
  };
}
