/** What may be tuned; the defaults are measured ones (docs/decisions/0004-stripe-layout.md). */
export interface DataStoreTunables {
  /** Bodies up to this size share stripes. */
  smallBlobLimitBytes: number;
  /** The longest shard of a small stripe; raised where it would not hold the largest small blob. */
  smallShardLimitBytes: number;
  /** Bytes of small bodies that may wait; more are refused as Overloaded. */
  waitingSmallLimitBytes: number;
  /** A small volume is sealed when its longest file reaches this. */
  smallVolumeLimitBytes: number;
  /** The longest shard of a large stripe, header included, a multiple of 4096. */
  largeShardSizeBytes: number;
  /** A large volume is sealed when its files reach this. */
  largeVolumeLimitBytes: number;
  /** Bodies of a known size from this on may have a volume of their own … */
  ownVolumeMinimumBytes: number;
  /** … while fewer than this many have one. */
  ownVolumeLimit: number;
  /** Body bytes of one upload that are written but not synced: no new stripe begins beyond, a sync does at half of it. */
  unsyncedLimitBytes: number;
  /** Budget of buffers in which stripes are encoded and written. */
  stripeBufferBudgetBytes: number;
  /** Budget of buffers for reading large blobs; as much again for rebuilding stripes. */
  readBufferBudgetBytes: number;
  /** Budget of buffers for reading the longer small blobs; when they are used up, others are made for one read each. */
  sliceBufferBudgetBytes: number;
  /** The longest a read waits for a shard before it goes on without it; less when reads are usually fast. */
  hedgeAfterMs: number;
  /** How long a write or sync may take before its disk is given up and the volume sealed, when the others have returned … */
  syncDeadlineMs: number;
  /** … and when they have not. */
  syncLongestMs: number;
  /** How long a request waits for a buffer before it is refused as Overloaded. */
  bufferDeadlineMs: number;
  /** Open files kept for reading. */
  readHandleLimit: number;
  /** After this time a kept file is checked to be the one its path names. */
  handleCheckAfterMs: number;
}

export const DEFAULT_TUNABLES: DataStoreTunables = {
  smallBlobLimitBytes: 128 * 1024,
  // Four of the largest small bodies with their entries: longer ones were not faster, shorter ones were.
  smallShardLimitBytes: 528 * 1024,
  waitingSmallLimitBytes: 64 * 1024 * 1024,
  smallVolumeLimitBytes: 128 * 1024 * 1024,
  // 512 KiB of payload and a block for the header (docs/decisions/0010-half-mebibyte-shards.md); a stripe of a shorter
  // body has shorter shards.
  largeShardSizeBytes: 516 * 1024,
  largeVolumeLimitBytes: 1024 * 1024 * 1024,
  ownVolumeMinimumBytes: 64 * 1024 * 1024,
  ownVolumeLimit: 8,
  // Four stripes: while one half is synced the other is written (docs/decisions/0028-large-bodies.md).
  unsyncedLimitBytes: 8 * 1024 * 1024,
  stripeBufferBudgetBytes: 48 * 1024 * 1024,
  readBufferBudgetBytes: 96 * 1024 * 1024,
  sliceBufferBudgetBytes: 8 * 1024 * 1024,
  hedgeAfterMs: 250,
  // A request waits for it once: none shall wait 3 s for one hung disk.
  syncDeadlineMs: 2_000,
  syncLongestMs: 10_000,
  bufferDeadlineMs: 20_000,
  readHandleLimit: 512,
  handleCheckAfterMs: 1_000,
};
