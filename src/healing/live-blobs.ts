import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { BlobRecord, VolumeRecord } from '../model/blob.ts';

const PAGE_BLOBS = 500;

/** All live blobs of a volume, ascending, in pages; other work goes on between them. */
export async function* liveBlobsOf(
  metadataStore: Pick<MetadataStore, 'listBlobsInVolume'>,
  volumeId: number,
): AsyncGenerator<readonly BlobRecord[]> {
  for (let afterBlobId = -1; ;) {
    const page = await metadataStore.listBlobsInVolume({ volumeId, afterBlobId, limit: PAGE_BLOBS });
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    if (page.length < PAGE_BLOBS) return;
    afterBlobId = last.blobId;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Resolves when no frame is undecided. @throws StoreError QuorumLost | Undecided */
export function whenDecided(metadataStore: Pick<MetadataStore, 'commit'>): Promise<void> {
  return metadataStore.commit({ type: 'RecordDamage', damage: [] });
}

/** A volume that something lives in; what nothing names is the collector's business. */
export function isAlive(volume: VolumeRecord | undefined): volume is VolumeRecord {
  return volume !== undefined && volume.state !== 'dropped' && volume.liveBytes > 0;
}
