import type { Pace, VolumeInspection, VolumeKeeper } from '../data-store/data-store.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';
import { isAlive, liveBlobsOf } from './live-blobs.ts';

/**
 * Inspects a volume on all its disks. What is not whole is looked at once more, as the journal knows it then: blobs that
 * were deleted or moved, and files that were repaired or moved meanwhile, are not damage. `undefined`: nothing lives there.
 */
export async function inspectLiveVolume(
  sources: {
    volumeKeeper: Pick<VolumeKeeper, 'inspectVolume'>;
    metadataStore: Pick<MetadataStore, 'listVolumes' | 'listBlobsInVolume'>;
    pace: Pace;
  },
  listed: VolumeRecord,
): Promise<{ volume: VolumeRecord; inspection: VolumeInspection } | undefined> {
  const { volumeKeeper, metadataStore, pace } = sources;
  const inspect = (volume: VolumeRecord): Promise<VolumeInspection> =>
    volumeKeeper.inspectVolume({ volume, blobs: liveBlobsOf(metadataStore, volume.volumeId), pace });
  let volume: VolumeRecord | undefined = listed;
  let inspection = await inspect(listed);
  if (!isWhole(inspection)) {
    volume = (await metadataStore.listVolumes()).find(({ volumeId }) => volumeId === listed.volumeId);
    if (!isAlive(volume)) return undefined;
    inspection = await inspect(volume);
  }
  return inspection.stripeCount === 0 ? undefined : { volume, inspection };
}

export function isWhole({ files }: VolumeInspection): boolean {
  return files.every(({ condition }) => condition === 'good');
}
