import type { MetadataStore, VolumeChanges } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';
import { type VolumeGroup, VolumeGroups } from '../model/volume-groups.ts';

/** Sums over all volumes for status and metrics, brought up to date by what has changed since the last look. */
export class VolumeFollower {
  readonly #metadataStore: Pick<MetadataStore, 'volumeChanges'>;
  readonly #volumes = new Map<number, VolumeRecord>();
  #groups = new VolumeGroups();
  #version: number | undefined;

  constructor(metadataStore: Pick<MetadataStore, 'volumeChanges'>) {
    this.#metadataStore = metadataStore;
  }

  /** @throws StoreError IndexFailed | NotReady */
  async groups(): Promise<VolumeGroup[]> {
    const changes = await this.#metadataStore.volumeChanges(this.#version);
    // Of two calls at once the later answer may be applied first.
    if (this.#version === undefined || changes.isWhole || changes.version >= this.#version) this.#apply(changes);
    return this.#groups.values();
  }

  #apply({ version, isWhole, volumes, forgottenVolumeIds }: VolumeChanges): void {
    if (isWhole) {
      this.#volumes.clear();
      this.#groups = new VolumeGroups();
    }
    for (const volumeId of forgottenVolumeIds) this.#remove(volumeId);
    for (const volume of volumes) {
      this.#remove(volume.volumeId);
      this.#volumes.set(volume.volumeId, volume);
      this.#groups.add(volume);
    }
    this.#version = version;
  }

  #remove(volumeId: number): void {
    const before = this.#volumes.get(volumeId);
    if (before === undefined) return;
    this.#groups.remove(before);
    this.#volumes.delete(volumeId);
  }
}
