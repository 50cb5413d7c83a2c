import type { ShardChecksums } from '../checksums/digest-pool.ts';
import type { Disk, DiskSet } from '../disk/disk-set.ts';
import type { BufferPool } from '../memory/buffer-pool.ts';
import type { VolumeLedger } from '../model/blob.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { Log } from '../observability/log.ts';
import type { DataStoreTunables } from './tunables.ts';
import type { RenewableBuffers } from './volume/renewable-buffers.ts';
import type { VolumeSeals } from './volume/volume-seals.ts';
import type { VolumeTable } from './volume/volume-table.ts';

/** What the parts of the data store share. */
export interface StoreContext {
  readonly disks: DiskSet;
  readonly ledger: VolumeLedger;
  /** Volumes that are opened here are of this class … */
  readonly storageClass: string;
  /** … and get its code as it is now, or a narrower one while disks are lost. */
  readonly code: () => ErasureCode;
  readonly clock: Clock;
  readonly random: Randomness;
  readonly log: Log;
  readonly tunables: DataStoreTunables;
  readonly table: VolumeTable;
  readonly seals: VolumeSeals;
  /** Files that a repair is writing now, as `disk id/path`: any others of their kind are leftovers. */
  readonly filesInRepair: Set<string>;
  /** May this disk take new data? Moves by the collector may use the reserve, which is there for them. */
  readonly accepts: (disk: Disk) => boolean;
  /** Other threads for the checksums of long shards that are read; `undefined`: all on this one. */
  readonly checksums: ShardChecksums | undefined;
  /** Pieces of bodies that stream in; given from outside because the budget is the server's. */
  readonly bodyBuffers: BufferPool;
  /** Whole large stripes twice: payloads being encoded, and shards being written. */
  readonly stripeBuffers: RenewableBuffers;
  /** Whole large stripes being rebuilt; apart, because a slow reader holds one as long as it reads from it. */
  readonly decodeBuffers: RenewableBuffers;
  /** Whole stripes of either kind, held only while one is rebuilt and copied from. */
  readonly scratchBuffers: RenewableBuffers;
  /** Single shards being read. */
  readonly readBuffers: RenewableBuffers;
  /** Bodies of the longer small blobs being read; apart from `readBuffers`, which are several times as long. */
  readonly sliceBuffers: RenewableBuffers;
}
