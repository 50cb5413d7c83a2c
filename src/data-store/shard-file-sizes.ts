import type { Disk } from '../disk/disk-set.ts';
import type { VolumeTable } from './volume/volume-table.ts';
import { VOLUME_DIRECTORY, volumeIdOfFileName } from './volume/volume-file.ts';
import { listOrNothing } from './volume/volume-recovery.ts';

/** A file whose size is known is looked at again in one measurement of so many, one after the other. */
const ROUNDS_PER_LOOK = 64;

interface KnownSize {
  readonly sizeBytes: number;
  /** The same at two looks, the later one after the volume was settled: only a repair changes it now. */
  readonly isFinal: boolean;
}

/**
 * Sizes of shard files, for status and metrics. A measurement lists the directory and looks at files that are new or
 * still change: those of settled volumes are remembered.
 */
export class ShardFileSizes {
  readonly #table: Pick<VolumeTable, 'isSettled'>;
  /** By disk, then by file name. */
  readonly #sizes = new Map<string, ReadonlyMap<string, KnownSize>>();
  #round = 0;

  constructor(table: Pick<VolumeTable, 'isSettled'>) {
    this.#table = table;
  }

  /** All shard files of a disk together, in bytes. @throws StoreError */
  async total(disk: Disk): Promise<number> {
    const before = this.#sizes.get(disk.id);
    const sizes = new Map<string, KnownSize>();
    let total = 0;
    let position = this.#round++;
    for (const name of await listOrNothing(disk, VOLUME_DIRECTORY)) {
      position += 1;
      const known = before?.get(name);
      let size = known?.isFinal === true && position % ROUNDS_PER_LOOK !== 0 ? known : undefined;
      if (size === undefined) {
        const volumeId = volumeIdOfFileName(name);
        const isSettled = volumeId !== undefined && this.#table.isSettled(volumeId);
        const sizeBytes = (await disk.fs.stat(`${VOLUME_DIRECTORY}/${name}`))?.sizeBytes ?? 0;
        size = { sizeBytes, isFinal: isSettled && known?.sizeBytes === sizeBytes };
      }
      sizes.set(name, size);
      total += size.sizeBytes;
    }
    this.#sizes.set(disk.id, sizes);
    return total;
  }

  /** The disk is no longer in the list. */
  forgetAllBut(diskIds: ReadonlySet<string>): void {
    for (const diskId of this.#sizes.keys()) if (!diskIds.has(diskId)) this.#sizes.delete(diskId);
  }
}
