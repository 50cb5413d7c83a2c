import type { ShardChecksums } from '../checksums/digest-pool.ts';
import type { StorageOptions } from '../cli/server-types.ts';
import { StripedDataStore } from '../data-store/striped-data-store.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import { BufferPool } from '../memory/buffer-pool.ts';
import type { VolumeLedger } from '../model/blob.ts';
import { requireDisksForClasses } from './require-disks-for-classes.ts';

/** Pieces in which bodies stream in: small enough that hundreds of slow uploads fit into the budget. */
const BODY_SLOT_BYTES = 256 * 1024;

/** With more data shards than this a stripe of the usual length would take a large part of the budget for stripes. */
const WIDE_CODE = 6;
const WIDE_SHARD_BYTES = 260 * 1024;

/** Half of the budget of memory: bodies that arrive. */
export function makeBodyBuffers({ config }: StorageOptions): BufferPool {
  return new BufferPool({ slotSizeBytes: BODY_SLOT_BYTES, budgetBytes: config.storage.bufferBudget / 2 });
}

/**
 * Striped volumes on these disks; not yet started. Of the budget of memory a quarter is for stripes being written, a
 * quarter for reads (half of that for rebuilding: a reader of a degraded stripe holds one and fills the next).
 * @throws StoreError FormatRefused: a storage class is wider than the list of disks
 */
export function makeDataStore(
  options: StorageOptions,
  {
    disks,
    code,
    ledger,
    bodyBuffers,
    checksums,
  }: {
    disks: LocalDiskSet;
    code: ErasureCode;
    ledger: VolumeLedger;
    bodyBuffers: BufferPool;
    checksums: ShardChecksums;
  },
): StripedDataStore {
  const { clock, config, log, randomness } = options;
  const { bufferBudget, volumeSize } = config.storage;
  requireDisksForClasses(config.storage.classes, disks.disks.filter(({ isListed }) => isListed).length);
  return new StripedDataStore({
    disks,
    ledger,
    code,
    storageClasses: config.storage.classes,
    clock,
    random: randomness,
    log: log.child({ part: 'data' }),
    bufferPool: bodyBuffers,
    checksums,
    tunables: {
      ...(code.k > WIDE_CODE ? { largeShardSizeBytes: WIDE_SHARD_BYTES } : {}),
      stripeBufferBudgetBytes: bufferBudget / 4,
      readBufferBudgetBytes: bufferBudget / 8,
      largeVolumeLimitBytes: volumeSize,
    },
  });
}
