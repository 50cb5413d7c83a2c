import type { StorageClass } from './storage-class.ts';

/** What `status` tells of healing. */
export interface HealingReport {
  /** Files are being repaired, or those of a disk that was away are being read. */
  isRunning: boolean;
  /** Shard files that are known or thought to be missing or bad, and the volumes they belong to. */
  suspectFileCount: number;
  suspectVolumeCount: number;
  suspectSinceMs: number | undefined;
  /** Disks that were away and whose files are still to be read. */
  disksToRead: number;
  /** Since the start of the server. */
  repairedFileCount: number;
  rebuiltShardCount: number;
  /** Shards that could not be rebuilt: too few others were good. */
  lostShardCount: number;
  readBytes: number;
  writtenBytes: number;
  /** Of files on disks that are online. */
  leftBytes: number;
  rateBytesPerSecond: number | undefined;
  timeLeftMs: number | undefined;
  rateLimitBytesPerSecond: number;
  lastError: string | undefined;
}

/** What `status` tells of scrubbing. */
export interface ScrubReport {
  isRunning: boolean;
  /** Somebody asked for this pass: it goes at the rate of healing. */
  isRequested: boolean;
  startedAtMs: number | undefined;
  /** 0 to 1, of the bytes of all volumes. */
  fraction: number;
  timeLeftMs: number | undefined;
  readBytes: number;
  /** Shard files with something missing or bad that this pass, or the last when none runs, has found. */
  damagedFileCount: number;
  lastFinishedAtMs: number | undefined;
  nextDueAtMs: number | undefined;
  periodMs: number;
  lastError: string | undefined;
}

/** What `recode` tells of volumes that get the code of their class. */
export interface RecodeReport {
  isRunning: boolean;
  startedAtMs: number | undefined;
  finishedAtMs: number | undefined;
  classes: StorageClass[];
  /** Opened under another code than their class has now. */
  leftVolumeCount: number;
  leftBytes: number;
  rateBytesPerSecond: number | undefined;
  timeLeftMs: number | undefined;
}

/** What `status` tells of shards on their way. */
export interface MovesReport {
  isRunning: boolean;
  /** For evening out use only. */
  isBalancing: boolean;
  /** Since the start of the server. */
  movedShardCount: number;
  movedBytes: number;
  leftShardCount: number;
  leftBytes: number;
  /** No disk has room for them now. */
  stuckShardCount: number;
  rateBytesPerSecond: number | undefined;
  timeLeftMs: number | undefined;
  lastError: string | undefined;
}

/** What `status` tells of collecting. */
export interface CollectorReport {
  isRunning: boolean;
  rateLimitBytesPerSecond: number;
  movedBytes: number;
  droppedVolumeCount: number;
  lastError: string | undefined;
}
