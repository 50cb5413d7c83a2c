import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import type { DocumentAddress, MetadataStore } from '../metadata-store/metadata-store.ts';

/** A disk whose shards are moved away. */
export interface DiskDuty {
  diskId: string;
  /** It leaves the list when it holds nothing any more. */
  thenRemove: boolean;
}

const ADDRESS: DocumentAddress = { collection: 'cluster', id: 'draining-disks' };

/** Which disks are draining: a document in the journal, so that a restart goes on. */
export class DiskDuties {
  readonly #disks: LocalDiskSet;
  readonly #metadata: Pick<MetadataStore, 'commit' | 'getDocument'>;
  #duties: readonly DiskDuty[] = [];

  constructor({ disks, metadata }: { disks: LocalDiskSet; metadata: Pick<MetadataStore, 'commit' | 'getDocument'> }) {
    this.#disks = disks;
    this.#metadata = metadata;
  }

  async load(): Promise<void> {
    this.#duties = (await this.#stored()).filter(({ diskId }) => this.#disks.byId(diskId) !== undefined);
    for (const { diskId } of this.#duties) this.#disks.byId(diskId)?.setDraining(true);
  }

  list(): readonly DiskDuty[] {
    return this.#duties;
  }

  async drain(diskId: string, { thenRemove }: { thenRemove: boolean }): Promise<void> {
    await this.#store([...this.#duties.filter((duty) => duty.diskId !== diskId), { diskId, thenRemove }]);
    this.#disks.byId(diskId)?.setDraining(true);
  }

  async cancel(diskId: string): Promise<void> {
    await this.#store(this.#duties.filter((duty) => duty.diskId !== diskId));
    this.#disks.byId(diskId)?.setDraining(false);
  }

  /** Before a disk joins: a crash during the removal of one with this id may have left its duty. */
  async forget(diskId: string): Promise<void> {
    if ((await this.#stored()).some((duty) => duty.diskId === diskId)) await this.cancel(diskId);
  }

  async #stored(): Promise<readonly DiskDuty[]> {
    const body = await this.#metadata.getDocument(ADDRESS);
    return body === undefined ? [] : (JSON.parse(body.toString('utf8')) as { draining: DiskDuty[] }).draining;
  }

  async #store(duties: readonly DiskDuty[]): Promise<void> {
    const body = Buffer.from(JSON.stringify({ draining: duties }));
    await this.#metadata.commit({ type: 'PutDocument', address: ADDRESS, body });
    this.#duties = duties;
  }
}
