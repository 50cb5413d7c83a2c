import type { Disk } from '../disk/disk-set.ts';
import { isStoreError, StoreError } from '../errors/store-error.ts';
import { ShardFileSizes } from './shard-file-sizes.ts';
import type { StoreContext } from './store-context.ts';
import { within } from './volume/disk-calls.ts';
import type { SmallVolume } from './volume/small-volume.ts';
import { QUARANTINE_DIRECTORY } from './volume/volume-file.ts';
import { listOrNothing } from './volume/volume-recovery.ts';

/** Bytes of shard files of one disk. */
export interface DiskUsage {
  volumeBytes: number;
  /** Written ahead in open volumes. */
  preallocatedBytes: number;
  quarantinedBytes: number;
}

/** Nobody who asks for the state of things waits longer for one disk. */
const PATIENCE_MS = 1_000;

/** Looks at the files of all disks. A disk that hangs keeps what it had when it was looked at last. */
export class UsageMeter {
  readonly #context: StoreContext;
  readonly #openVolumes: () => readonly SmallVolume[];
  readonly #last = new Map<string, DiskUsage>();
  readonly #sizes: ShardFileSizes;
  /** Looks that have not returned: no second one begins there. */
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(context: StoreContext, openVolumes: () => readonly SmallVolume[]) {
    this.#context = context;
    this.#openVolumes = openVolumes;
    this.#sizes = new ShardFileSizes(context.table);
  }

  async measure(): Promise<Map<string, DiskUsage>> {
    const { disks, clock } = this.#context;
    this.#sizes.forgetAllBut(new Set(disks.disks.map(({ id }) => id)));
    const present = disks.disks.filter(({ state }) => state !== 'missing' && state !== 'foreign');
    const late = (): StoreError => new StoreError('DiskTimeout', 'the disk takes long to be looked at');
    await Promise.all(
      present.map((disk) =>
        within(this.#look(disk), clock, PATIENCE_MS, late).catch((error: unknown) => {
          if (!isStoreError(error, 'DiskTimeout')) throw error;
        }),
      ),
    );
    return new Map(present.flatMap(({ id }) => [this.#last.get(id)].flatMap((usage) => (usage ? [[id, usage]] : []))));
  }

  #look(disk: Disk): Promise<void> {
    let look = this.#underWay.get(disk.id);
    if (look === undefined) {
      look = this.#measureDisk(disk).finally(() => this.#underWay.delete(disk.id));
      this.#underWay.set(disk.id, look);
    }
    return look;
  }

  async #measureDisk(disk: Disk): Promise<void> {
    try {
      let preallocatedBytes = 0;
      for (const volume of this.#openVolumes()) preallocatedBytes += await volume.preallocatedBytes(disk.id);
      this.#last.set(disk.id, {
        volumeBytes: Math.max(0, (await this.#sizes.total(disk)) - preallocatedBytes),
        preallocatedBytes,
        quarantinedBytes: await quarantinedBytesOf(disk),
      });
    } catch (error) {
      // A disk that fails now has no new usage to tell; its state says so.
      if (!isStoreError(error)) throw error;
      this.#context.disks.reportFailure(disk.id, { operation: 'usage', error });
    }
  }
}

async function quarantinedBytesOf(disk: Disk): Promise<number> {
  let total = 0;
  for (const name of await listOrNothing(disk, QUARANTINE_DIRECTORY)) {
    total += (await disk.fs.stat(`${QUARANTINE_DIRECTORY}/${name}`))?.sizeBytes ?? 0;
  }
  return total;
}
