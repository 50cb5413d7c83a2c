import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { ShardMove, VolumeLedger, VolumeRecord } from '../model/blob.ts';

/** The data store's port to the journal: volumes are records of the metadata store. */
export class MetadataVolumeLedger implements VolumeLedger {
  readonly #store: MetadataStore;

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  epoch(): number {
    return this.#store.epoch();
  }

  nextIdentifier(): number {
    return this.#store.nextIdentifier();
  }

  openVolume(volume: Parameters<VolumeLedger['openVolume']>[0]): Promise<void> {
    return this.#store.commit({ type: 'OpenVolume', volume });
  }

  sealVolume(volumeId: number, lengthBytes: number): Promise<void> {
    return this.#store.commit({ type: 'SealVolume', volumeId, lengthBytes });
  }

  dropVolume(volumeId: number): Promise<boolean> {
    return this.#store.commit({ type: 'DropVolume', volumeId });
  }

  confirmDrop(volumeId: number, diskIds: readonly string[]): Promise<void> {
    return this.#store.commit({ type: 'ConfirmDrop', volumeId, diskIds });
  }

  moveShard(move: ShardMove): Promise<boolean> {
    return this.#store.commit({ type: 'MoveShard', ...move });
  }

  listVolumes(): Promise<readonly VolumeRecord[]> {
    return this.#store.listVolumes();
  }

  /** A commit without a record writes nothing and is answered only when everything before it is decided. */
  whenDecided(): Promise<void> {
    return this.#store.commit({ type: 'RecordDamage', damage: [] });
  }
}
