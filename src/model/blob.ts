/**
 * An immutable run of bytes in the data store. The metadata store keeps it as a row with a reference count and treats
 * `layout` as opaque; only the data store reads it.
 */
export interface BlobRecord {
  /** `makeIdentifier`; never reused. */
  readonly blobId: number;
  readonly sizeBytes: number;
  /** Where the bytes lie: extents with their checksums, in the data store's own encoding (docs/ON-DISK-FORMAT.md). */
  readonly layout: Buffer;
  /** Bytes this blob holds in each volume, shard headers and parity excluded: the unit of `liveBytes`. Zero-length blobs have a footprint too. */
  readonly footprint: readonly BlobFootprint[];
}

export interface BlobFootprint {
  readonly volumeId: number;
  readonly storedBytes: number;
}

/** What the journal knows of a volume. */
export interface VolumeRecord {
  /** `makeIdentifier` with the epoch that opened it. */
  readonly volumeId: number;
  readonly k: number;
  readonly m: number;
  /** Disk ids; shard file i lies on `diskIds[i]`; length k + m. */
  readonly diskIds: readonly string[];
  readonly purpose: 'small' | 'large';
  /** Data bytes of one shard of a full stripe, a multiple of 4096; for small volumes the largest. */
  readonly shardSizeBytes: number;
  readonly state: 'open' | 'sealed' | 'dropped';
  /** Bytes in each shard file that belong to it; known when sealed. */
  readonly lengthBytes: number;
  /** Sum of `storedBytes` of live blobs in it. */
  readonly liveBytes: number;
  /** Sum of `storedBytes` ever committed to it. */
  readonly storedBytes: number;
  /** Absent: STANDARD. What lies in it is of this class and stays so. */
  readonly storageClass?: string;
  /** Disks that have not yet confirmed that their file is gone: all of a dropped volume, and those that a shard was moved away from. */
  readonly undroppedDiskIds: readonly string[];
}

/** What is decided when a volume is opened. */
export type OpenedVolumeRecord = Pick<
  VolumeRecord,
  'volumeId' | 'k' | 'm' | 'diskIds' | 'purpose' | 'shardSizeBytes' | 'storageClass'
>;

/** One shard file of a volume goes to another disk. */
export interface ShardMove {
  readonly volumeId: number;
  /** Its slot: the index in the volume's `diskIds`. */
  readonly shardIndex: number;
  readonly fromDiskId: string;
  readonly toDiskId: string;
}

/** What the data store asks of the journal. `server.ts` wires it to the metadata store. */
export interface VolumeLedger {
  /** The epoch in which new ids are made. Changes at run time when an undecided batch opens a new one. */
  epoch(): number;
  /** A new unique id of the current epoch, for a volume or blob. */
  nextIdentifier(): number;
  /**
   * Resolves when acknowledged; before that not a byte is appended.
   * @throws S3Error NotImplemented: another class than STANDARD in a store of format 1
   */
  openVolume(volume: OpenedVolumeRecord): Promise<void>;
  sealVolume(volumeId: number, lengthBytes: number): Promise<void>;
  /** Refused (returns false) while a live blob names it. */
  dropVolume(volumeId: number): Promise<boolean>;
  /** Remembers that these disks have removed their file of a dropped volume, or one that was moved away. */
  confirmDrop(volumeId: number, diskIds: readonly string[]): Promise<void>;
  /** False when the volume was dropped or its file does not lie on `fromDiskId` any more. */
  moveShard(move: ShardMove): Promise<boolean>;
  listVolumes(): Promise<readonly VolumeRecord[]>;
  /**
   * Resolves when no frame is undecided: every volume whose files may exist is in `listVolumes` from then on.
   * @throws StoreError QuorumLost | Undecided while the journal takes no writes, at once when that is known
   */
  whenDecided(): Promise<void>;
}
