import type { DataStore, PinnedBlob } from '../data-store/data-store.ts';
import type { BlobUse, MetadataStore } from '../metadata-store/metadata-store.ts';
import type { BlobRecord } from '../model/blob.ts';
import type { ObjectRecord } from '../model/object-record.ts';
import { writeManifests, type Manifest } from './write-manifests.ts';

/** Blobs as a version of a certain storage class may name them. */
export interface PlacedBlobs {
  uses: BlobUse[];
  /** Written again for this; 0 where the bytes lie in the class already. */
  movedBytes: number;
  /** After the commit or its failure, exactly once. */
  unpin(): void;
}

interface PlacingStores {
  dataStore: Pick<DataStore, 'copyBlob' | 'writeSmall'>;
  metadataStore: Pick<MetadataStore, 'formatVersion'>;
}

/**
 * A version's bytes lie in volumes of its storage class. Blobs that are of the class are named again; of others copies
 * are written there, one after the other, because other versions may name them and keep their class.
 *
 * @param describe the manifest that goes with the blobs; `undefined`: a blob that describes itself
 * @throws StoreError of reads and writes; BlobGone: the source was deleted or moved meanwhile, look it up again
 */
export async function placeBlobs(
  { dataStore, metadataStore }: PlacingStores,
  source: Pick<ObjectRecord, 'blobs' | 'storageClass'>,
  { storageClass, describe }: { storageClass: string; describe?: (blobs: readonly BlobRecord[]) => Manifest },
): Promise<PlacedBlobs> {
  // Manifests have no bytes, and describe the version that they were written for.
  const blobs = describe === undefined ? source.blobs : source.blobs.filter(({ sizeBytes }) => sizeBytes > 0);
  const written: PinnedBlob[] = [];
  const unpin = (): void => written.forEach((pinned) => pinned.unpin());
  try {
    let placed = blobs;
    let uses = blobs.map(({ blobId }): BlobUse => ({ existingBlobId: blobId }));
    if (source.storageClass !== storageClass) {
      for (const blob of blobs) written.push(await dataStore.copyBlob(blob, { storageClass }));
      placed = written.map(({ blob }) => blob);
      uses = placed.map((newBlob) => ({ newBlob }));
    }
    if (describe !== undefined) {
      const stores = { dataStore, formatVersion: () => metadataStore.formatVersion() };
      const manifests = await writeManifests(stores, describe(placed), { storageClass });
      written.push(...manifests);
      for (const { blob } of manifests) uses.push({ newBlob: blob });
    }
    const movedBytes = placed === blobs ? 0 : blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { uses, movedBytes, unpin };
  } catch (error) {
    unpin();
    throw error;
  }
}
