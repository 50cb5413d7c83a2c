import type { StoreError } from '../errors/store-error.ts';
import type { BlobRecord, VolumeRecord } from '../model/blob.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { StorageClass } from '../model/storage-class.ts';

/** Most bytes that a blob can say of itself. */
export const DESCRIPTOR_LIMIT_BYTES = 32_768;

/**
 * Where payload bytes live: striped, erasure-coded volumes over the disks. It knows nothing of buckets and keys; what
 * it must be able to tell a shards-only recovery comes as an opaque `descriptor`.
 */
export interface DataStore {
  /** Takes over the volumes the journal knows: seals those of earlier runs, quarantines unknown files, finishes drops. */
  start(): Promise<void>;
  /** Flushes what was acknowledged to nobody, stops background work. Bounded even with a hung disk. */
  stop(): Promise<void>;

  /** Bodies up to this size go through `writeSmall`. */
  readonly smallBlobLimitBytes: number;
  /**
   * Packs the body with others that wait now into one stripe. Resolves when every disk of its volume has synced it.
   * `body` must not change until then. `descriptor`, of at most DESCRIPTOR_LIMIT_BYTES, goes into the stripe's directory. An empty body is allowed
   * (manifests of Complete and Copy): it has a footprint but no extents to read.
   * @throws StoreError QuorumLost | DiskFull | Overloaded | NotReady
   */
  writeSmall(body: Buffer, descriptor: Buffer, options?: { storageClass?: string }): Promise<PinnedBlob>;
  /** A body that streams. Throttles by the promise of `write` (one global budget of buffers). */
  openWriter(options: BlobWriterOptions): Promise<BlobWriter>;
  /**
   * Bytes [start, start + length) of a blob, in order, each piece verified. Reads around missing, slow or corrupt
   * shards and queues what it found for repair. Pins the volumes until the iterator ends.
   * @throws StoreError TooFewShards (an honest failure, also in mid-stream) | BlobGone (volume dropped: look up again)
   */
  read(blob: Pick<BlobRecord, 'blobId' | 'sizeBytes' | 'layout'>, range: ByteRange): AsyncIterable<DataPiece>;
  /**
   * The same for a blob of less than 32 KiB that `writeSmall` wrote, in one buffer that belongs to the caller;
   * `undefined` for any other.
   * @throws StoreError as `read`
   */
  readSmall(blob: Pick<BlobRecord, 'blobId' | 'sizeBytes' | 'layout'>, range: ByteRange): Promise<Buffer | undefined>;

  /**
   * Keeps the volumes of these blobs readable until the returned function is called, exactly once: for a read over
   * several blobs, whose later ones may be deleted while the first is sent.
   * @throws StoreError BlobGone (a volume dropped already: look up again); then nothing is pinned
   */
  pin(blobs: readonly Pick<BlobRecord, 'footprint'>[]): Promise<() => void>;

  /** Those that writes may name, each with its code. The first is STANDARD. */
  storageClasses(): readonly StorageClass[];
  /**
   * The code of volumes of a class (default STANDARD) opened now; narrower than that of the class while disks are lost.
   * `undefined`: writes get 503.
   */
  writeCode(storageClass?: string): ErasureCode | undefined;
  /**
   * Writes a live blob once more, with its descriptor and under the same blob id, into volumes of its class that are open now. The
   * collector then commits the new location (MoveBlobs) and unpins. @throws StoreError as `read` and the writes do
   */
  rewriteBlob(blob: BlobRecord): Promise<PinnedBlob>;
  /**
   * Writes a live blob once more as a blob of its own, in another class: whoever else names the first keeps it as it is.
   * Pins the volumes that it reads until it is done. @throws StoreError as `rewriteBlob`; BlobGone (volume dropped)
   */
  copyBlob(blob: BlobRecord, options: { storageClass: string }): Promise<PinnedBlob>;
  /** Volumes in which nothing may be collected now: open ones, pinned by readers, writers or un-committed blobs. */
  pinnedVolumeIds(): ReadonlySet<number>;
  /** Removes the files of a volume the journal has dropped; returns the disks that confirmed. */
  removeVolumeFiles(volume: VolumeRecord): Promise<string[]>;
  /** Damage seen since the last call, at most once per shard; the healing layer records it. */
  takeDamage(): DamagedShard[];
  /** Per disk: bytes of its shard files by state of the volume. */
  diskUsage(): Promise<Map<string, { volumeBytes: number; preallocatedBytes: number; quarantinedBytes: number }>>;
}

/** Whether what was stored is still there in full, and making it so: for healer, scrubber and census. */
export interface VolumeKeeper {
  /**
   * Reads what lies on the disks and verifies every shard that a live blob needs: header and payload bound to volume,
   * offset, index and length, and the first block of each file. Open volumes too. Sequential, bounded in memory, in steps
   * that `pace` allows. Changes nothing; whether the volume still lives is for the caller to look up afterwards.
   * With `onlyEnds` only the last shard of each file: enough to tell a file of an earlier time, as files only grow.
   * @throws StoreError ShardCorrupt (layouts contradict one another), what `pace` rejects with
   */
  inspectVolume(work: VolumeWork & InspectionScope): Promise<VolumeInspection>;
  /** Is nothing appended to this volume any more, and does nothing written there wait for its commit? */
  isSettled(volumeId: number): boolean;
  /** Takes an open volume out of use, so that it is sealed soon: one that lost a shard, or that must be repaired. */
  retireVolume(volumeId: number): void;
  /**
   * Makes the shard files of a settled volume whole on those of `diskIds` that are online: each is inspected and, when it
   * is missing or bad, written anew beside the old one from any k good shards, synced, read back and then put in its
   * place. One repair at a time. A crash leaves the old file or the new one, and a `.heal` file that the next start removes.
   * @throws StoreError NotReady: not settled | what `pace` rejects with
   */
  repairVolume(work: VolumeWork & { diskIds: readonly string[] }): Promise<VolumeRepair>;
  /**
   * Moves shard files of a settled volume to disks that are online: whole and read back there first, then the journal
   * learns it, then the old one is removed, or when its disk comes back. What cannot be read from the old disk is
   * computed from the others, which are read once for all of them. Nothing is done for one that lies there already. A crash leaves each on
   * either disk, whole.
   * @returns one outcome for each; `failure`: StoreError NotReady: the disk takes none | DiskFailed | DiskFull |
   *   QuorumLost | Undecided: where it lies is known later
   * @throws StoreError NotReady: not settled | BlobGone: the volume was dropped | what `pace` rejects with
   */
  moveShards(work: VolumeWork & { moves: readonly ShardDestination[] }): Promise<ShardMoveOutcome[]>;
  /** What lies in the directories of a disk, by name and size only. @throws StoreError */
  listShardFiles(diskId: string): Promise<ShardFileList>;
}

export interface ByteRange {
  start: number;
  length: number;
}

/** Verified bytes; `release` returns the buffer to its pool: not touched after that. Call it exactly once. */
export interface DataPiece {
  readonly bytes: Buffer;
  release(): void;
}

/** Written and synced but named by nobody yet. `unpin` after the commit or its failure, exactly once; un-named bytes are then reclaimable. */
export interface PinnedBlob {
  readonly blob: BlobRecord;
  unpin(): void;
}

export interface BlobWriterOptions {
  /** One of `storageClasses()`. Default STANDARD. */
  storageClass?: string;
  /** Exact size when known: 64 MiB and more may get a volume of its own. */
  sizeBytes?: number;
  /**
   * Sees every byte, in order, as the stripe buffer fills, before the buffer is reused; the returned promise delays
   * the reuse. `view` lies in a SharedArrayBuffer, so that workers can hash it without a copy.
   */
  observe?: (view: Buffer) => Promise<void> | undefined;
}

export interface BlobWriter {
  /** Copies `chunk`; resolves when there is room for more. Rejects once a write has failed for good. */
  write(chunk: Buffer): Promise<void>;
  /**
   * Hands what was written and not yet observed to `observe`, at once, and resolves when all its promises have. Called once,
   * after the last `write` and before `finish`, so that digests are compared before the blob is finished.
   */
  settle(): Promise<void>;
  /** Flushes, syncs and returns the blob. `descriptor` goes into the last stripe's directory. */
  finish(descriptor: Buffer): Promise<PinnedBlob>;
  /** Gives up; bytes already written are garbage. Idempotent, also after a failure. */
  abort(): Promise<void>;
}

export type DamageKind = 'missing' | 'corrupt' | 'unreadable';

export interface DamagedShard {
  volumeId: number;
  diskId: string;
  shardIndex: number;
  /** Offset in the shard file. */
  offset: number;
  kind: DamageKind;
  seenAtMs: number;
}

/** Told of the bytes just read and written, resolves when the work may go on; a rejection ends the work. */
export type Pace = (bytes: number) => Promise<void>;

export interface VolumeWork {
  volume: VolumeRecord;
  /** All live blobs of the volume, in pages, as the journal knows them once nothing is undecided. */
  blobs: AsyncIterable<readonly BlobRecord[]>;
  pace: Pace;
}

export interface InspectionScope {
  /** Default: all of the volume. */
  diskIds?: readonly string[];
  onlyEnds?: boolean;
}

export interface VolumeInspection {
  volumeId: number;
  blobCount: number;
  stripeCount: number;
  /** Of the disks asked for, by slot. */
  files: ShardFileInspection[];
  /** Stripes by margin: good shards less those needed for reading. Only when all shards of all disks were asked for. */
  stripesByMargin: Map<number, number>;
  readBytes: number;
}

export interface ShardFileInspection {
  slot: number;
  diskId: string;
  /** `unreachable`: its disk is not online. */
  condition: 'good' | 'damaged' | 'missing' | 'unreachable';
  /** Shards of live blobs that belong there, and those that were read and are good. */
  shardCount: number;
  goodCount: number;
  damagedCount: number;
  /** Some hundred of them at most. Offset 0 is the first block of the file. */
  damage: Pick<DamagedShard, 'offset' | 'shardIndex' | 'kind'>[];
}

/** Where a shard file is to lie. */
export interface ShardDestination {
  /** Slot of the volume. */
  readonly shardIndex: number;
  readonly toDiskId: string;
}

export interface ShardMoveOutcome extends ShardDestination {
  readonly movedBytes: number;
  /** It lies where it lay, unless it is Undecided. */
  readonly failure: StoreError | undefined;
}

export interface VolumeRepair {
  files: ShardFileRepair[];
  readBytes: number;
  writtenBytes: number;
}

export interface ShardFileRepair {
  diskId: string;
  /**
   * `good`: nothing had to be done. `repaired`: replaced, and everything in it was read back. `incomplete`: replaced, but
   * `lostCount` shards have too few others left. `failed`: nothing was replaced.
   */
  outcome: 'good' | 'repaired' | 'incomplete' | 'failed';
  rebuiltCount: number;
  lostCount: number;
  reason: string | undefined;
}

export interface ShardFileList {
  /** Size by volume. */
  volumes: Map<number, number>;
  /** Names in the directory of volumes that are no shard files, nor being made into one now. */
  otherNames: string[];
  quarantinedNames: string[];
}
