import type { Grant } from '../model/access-control.ts';
import type { JournalRecord } from './records/journal-record.ts';
import type { BlobFootprint, BlobRecord, ShardMove, VolumeRecord, OpenedVolumeRecord } from '../model/blob.ts';
import type {
  BucketConfiguration,
  BucketConfigurationEntry,
  BucketConfigurationName,
} from '../model/bucket-configuration.ts';
import type { LegalHold, Retention } from '../model/object-lock.ts';
import type {
  BucketRecord,
  ListedBucket,
  ListedObject,
  ListedVersion,
  ObjectAttributes,
  ObjectChecksum,
  ObjectRecord,
  Owner,
  PartRecord,
  Tag,
  UploadRecord,
} from '../model/object-record.ts';

/**
 * What every metadata engine must do; `test/conformance/metadata-store.ts` is run over each. Calls carry plain data:
 * no closures, no statement handles. A mutation resolves when it is acknowledged (synced on m + 1 disks) and visible to
 * every later read; reads never see what is not acknowledged. Preconditions are evaluated inside the commit.
 *
 * Expected outcomes are thrown as S3Error (NoSuchBucket, PreconditionFailed, BucketNotEmpty, NoSuchUpload …), failures
 * of the environment as StoreError (NotReady, QuorumLost, Undecided, IndexFailed; BlobGone when a mutation names a blob
 * or a volume that is no longer live).
 */
export interface MetadataStore {
  /** Recovers: finishes before the first S3 request is served. */
  start(progress: (progress: RecoveryProgress) => void): Promise<void>;
  stop(): Promise<void>;

  commit<M extends Mutation>(mutation: M): Promise<MutationResult<M>>;

  /** The on-disk format that is written now; after `start`. `requireStoreFormat` is for what needs a newer one. */
  formatVersion(): number;
  /**
   * Raises the format to the newest this program knows; from then on a former server refuses the store. Nothing happens
   * when it is that already. A crash or a failure on the way leaves the former format, or one whose raising is ended by
   * the next start or commit. @throws StoreError QuorumLost | Undecided | NotReady | IndexFailed
   */
  finalizeUpgrade(): Promise<void>;

  // buckets
  /** With its configuration. Cheap: asked for by every request. */
  getBucket(name: string): Promise<BucketRecord | undefined>;
  getBucketById(bucketId: number): Promise<BucketRecord | undefined>;
  /** Ascending by name (bytes), after `startAfter`, at most `limit`. */
  listBuckets(query: { accountId: string; prefix: string; startAfter: string; limit: number }): Promise<ListedBucket[]>;
  bucketUsage(bucketId: number): Promise<BucketUsage>;

  // objects
  /** The current version, or the named one; a delete marker is returned as such. */
  getObject(query: { bucketId: number; key: string; versionId?: string }): Promise<ObjectRecord | undefined>;
  listObjects(query: ListObjectsQuery): Promise<ListObjectsPage>;
  listVersions(query: ListVersionsQuery): Promise<ListVersionsPage>;

  // multipart uploads
  getUpload(query: { bucketId: number; key: string; uploadId: string }): Promise<UploadRecord | undefined>;
  listUploads(query: ListUploadsQuery): Promise<ListUploadsPage>;
  listParts(query: { uploadId: string; afterPartNumber: number; limit: number }): Promise<PartRecord[]>;

  // documents: sealed credentials, settings, and bucket configurations: `bucket-lifecycle` and so on, by bucket id
  getDocument(address: DocumentAddress): Promise<Buffer | undefined>;
  listDocuments(collection: string): Promise<{ id: string; body: Buffer }[]>;

  // volumes and blobs, for the data store's ledger and the collector
  epoch(): number;
  nextIdentifier(): number;
  /** Ascending by id. Not to be changed: the next call may answer the same array. */
  listVolumes(): Promise<readonly VolumeRecord[]>;
  /**
   * What has become of the volumes since an answer with this version; all of them without one. Costs as much as has
   * changed, however many there are.
   */
  volumeChanges(sinceVersion: number | undefined): Promise<VolumeChanges>;
  /** Live blobs that have bytes in the volume, ascending by id, after `afterBlobId`. */
  listBlobsInVolume(query: { volumeId: number; afterBlobId: number; limit: number }): Promise<BlobRecord[]>;
  /** Every shard file with recorded damage, once. */
  listDamagedFiles(): Promise<DamagedFile[]>;
  /** Of one volume, by disk and offset. */
  listDamage(query: { volumeId: number; limit: number }): Promise<DamageRecord[]>;

  /**
   * Reads every record and every checkpoint on every disk that carries them. What is bad is repaired from the others in
   * the background; until then `status` does not count that disk as level. @throws StoreError QuorumLost | NotReady
   */
  scrubJournal(): Promise<void>;

  status(): Promise<MetadataStatus>;
}

export interface BucketUsage {
  /** Current versions that are no delete markers. */
  objectCount: number;
  sizeBytes: number;
  /** All others: noncurrent versions and delete markers. */
  versionCount: number;
  versionSizeBytes: number;
}

export interface VolumeChanges {
  /** To ask with the next time. */
  readonly version: number;
  /** `volumes` are all there are, and whatever else was known is forgotten. */
  readonly isWhole: boolean;
  /** As they are now, in no order. */
  readonly volumes: readonly VolumeRecord[];
  /** Dropped, and their removal confirmed by all. */
  readonly forgottenVolumeIds: readonly number[];
}

export interface RecoveryProgress {
  phase: 'reading-journals' | 'opening-epoch' | 'levelling' | 'restoring-checkpoint' | 'replaying' | 'ready';
  /** 0 to 1. */
  fraction: number;
  detail?: string;
}

/** Where a body lies: written just now, or a blob that is live already (Copy, Complete). */
export type BlobUse = { newBlob: BlobRecord } | { existingBlobId: number };

/**
 * Preconditions on the current version of the key; ETags without quotes, `'*'` matches any existing object.
 * Of a write: ifMatch and the key is missing, or a delete marker: NoSuchKey; not equal: PreconditionFailed; ifNoneMatch
 * matches: PreconditionFailed. Of a delete, on the version that is covered or removed: they hold where there is none; a
 * delete marker meets `'*'` and its time, but no ETag and no size.
 */
export interface WritePreconditions {
  ifMatch?: readonly string[];
  ifNoneMatch?: readonly string[];
  ifMatchLastModifiedMs?: number;
  ifMatchSizeBytes?: number;
}

export type Mutation =
  | {
      type: 'CreateBucket';
      name: string;
      owner: Owner;
      region: string;
      createdAtMs: number;
      /** Set from its first moment on. */
      configuration?: BucketConfiguration;
    } // BucketAlreadyExists | BucketAlreadyOwnedByYou
  | { type: 'DeleteBucket'; bucketId: number } // NoSuchBucket | BucketNotEmpty (objects, versions or uploads in progress do count as S3 counts them)
  | ({ type: 'PutBucketConfiguration'; bucketId: number } & BucketConfigurationEntry) // NoSuchBucket | InvalidBucketState
  | { type: 'DeleteBucketConfiguration'; bucketId: number; name: BucketConfigurationName } // NoSuchBucket; nothing set: succeeds
  | {
      type: 'PutObject';
      bucketId: number;
      key: string;
      owner: Owner;
      attributes: ObjectAttributes;
      blobs: readonly BlobUse[];
      lastModifiedMs: number;
      /** With which the version's id, if it gets one, begins (model/version-seed.ts); otherwise the commit chooses. */
      versionSeed?: Buffer;
      preconditions?: WritePreconditions;
      /** Its id if the bucket makes versions by then, made by `proposeVersionId`; else the commit makes one. */
      versionId?: string;
    } // NoSuchBucket | NoSuchKey | PreconditionFailed | BlobGone
  /**
   * Without `versionId`: removes the object where the bucket never had versions, else covers it with a delete marker.
   * With it: removes that version or delete marker, and the newest that is left becomes current. What is not there
   * counts as deleted. Conditions are evaluated on the version that is covered or removed.
   */
  | {
      type: 'DeleteObject';
      bucketId: number;
      key: string;
      /** Of a delete marker. */
      owner: Owner;
      versionId?: string;
      preconditions?: WritePreconditions;
      /** PreconditionFailed unless the version that is covered or removed has this order. */
      onlyOrder?: number;
      /** With `versionId`. PreconditionFailed when that version is the current one, or has become it again. */
      onlyNoncurrent?: boolean;
      /** Permitted to remove a version that is retained in GOVERNANCE mode. */
      bypassesGovernance?: boolean;
      atMs: number;
    } // NoSuchBucket | PreconditionFailed | AccessDenied (locked)
  /**
   * Changes what is said of one version, the current one or the named one: no new version, ETag or time.
   * NoSuchBucket | NoSuchKey | NoSuchVersion | MethodNotAllowed (a delete marker, by its id) | AccessDenied (its lock).
   */
  | {
      type: 'ChangeVersion';
      bucketId: number;
      key: string;
      versionId?: string;
      /** PreconditionFailed unless the version has this order. */
      onlyOrder?: number;
      change: VersionChange;
    }
  /**
   * The version's bytes lie elsewhere from now on, in another storage class; everything else of it stays, Last-Modified and
   * ETag too. Only the version of this order: PreconditionFailed when it is gone or was replaced.
   */
  | {
      type: 'TransitionVersion';
      bucketId: number;
      key: string;
      versionId: string;
      onlyOrder: number;
      storageClass: string;
      blobs: readonly BlobUse[];
    } // NoSuchBucket | PreconditionFailed | BlobGone
  /**
   * The data key of the version of this order is sealed anew; its bytes, ETag and Last-Modified stay. Only while `from` is
   * how it is encrypted: else PreconditionFailed, also when it is gone. With a manifest, it must be the current version
   * and still of its storage class, and lies in `blobs` with the manifest behind them.
   */
  | {
      type: 'ReplaceEncryption';
      bucketId: number;
      key: string;
      versionId: string;
      onlyOrder: number;
      from: Buffer;
      to: Buffer;
      described?: { storageClass: string; blobs: readonly BlobUse[] };
    } // NoSuchBucket | PreconditionFailed | AccessDenied (its lock) | BlobGone
  /**
   * The object goes on with the blobs and has `sizeBytes` then; nothing else of it changes. In a bucket that never had
   * versions. ConditionalRequestConflict: it is as long as it was, but not what was seen.
   */
  | {
      type: 'AppendObject';
      bucketId: number;
      key: string;
      seen: { order: number; sizeBytes: number; attributes: ObjectAttributes };
      /** Of the whole from now on. */
      etag: string;
      sizeBytes: number;
      lastModifiedMs: number;
      checksum: ObjectChecksum | undefined;
      encryption: Buffer | undefined;
      /** Numbered on; what was one body before becomes the first. */
      parts: readonly { sizeBytes: number; checksum?: string }[];
      blobs: readonly BlobUse[];
      preconditions?: WritePreconditions;
    } // NoSuchBucket | NoSuchKey | PreconditionFailed | NotImplemented (versions) | InvalidWriteOffset | ConditionalRequestConflict | BlobGone
  /**
   * The object under `sourceKey` becomes the object under `key`, in one step: never both, never none. In a bucket that never
   * had versions. With a token that is remembered nothing happens: a retry of what was done. ConditionalRequestConflict:
   * one of the keys is not as it was seen.
   */
  | {
      type: 'RenameObject';
      bucketId: number;
      sourceKey: string;
      key: string;
      /** `undefined`: there is none, as far as was seen; then only a token helps. */
      source: RenamedSource | undefined;
      /** Of the object under `key`, 0 without one; `undefined`: whatever it is. */
      destinationOrder: number | undefined;
      token?: { value: string; /** Of the request; the same with another meaning is refused. */ meaning: Buffer };
    } // NoSuchBucket | NoSuchKey | NotImplemented (versions) | ConditionalRequestConflict | IdempotencyParameterMismatch | BlobGone
  | { type: 'CreateMultipartUpload'; upload: UploadRecord }
  | {
      type: 'PutPart';
      bucketId: number;
      key: string;
      uploadId: string;
      part: Omit<PartRecord, 'blobs'>;
      blobs: readonly BlobUse[];
    } // NoSuchUpload
  | {
      type: 'CompleteMultipartUpload';
      bucketId: number;
      key: string;
      uploadId: string;
      /**
       * As listed by the client, ascending; each must still have this ETag: InvalidPart. And the same encryption: a part
       * that was sent again has the same ETag and another stream. Then StoreError BlobGone: read the parts again.
       */
      parts: readonly { partNumber: number; etag: string; encryption?: Buffer | undefined }[];
      attributes: ObjectAttributes;
      /** Behind the bytes, in this order. More than one only in format 2. */
      manifests?: readonly BlobRecord[];
      lastModifiedMs: number;
      versionSeed?: Buffer;
      preconditions?: WritePreconditions;
      /** As of PutObject. */
      versionId?: string;
    } // NoSuchUpload | InvalidPart | PreconditionFailed. A retry after success answers as the first did (remembered for a day).
  | { type: 'AbortMultipartUpload'; bucketId: number; key: string; uploadId: string } // NoSuchUpload
  /** Not for bucket configurations, which depend on their bucket. */
  | { type: 'PutDocument'; address: DocumentAddress; body: Buffer }
  | { type: 'DeleteDocument'; address: DocumentAddress }
  | {
      type: 'OpenVolume';
      volume: OpenedVolumeRecord;
    }
  | { type: 'SealVolume'; volumeId: number; lengthBytes: number }
  | { type: 'DropVolume'; volumeId: number } // result false while a live blob names it
  | { type: 'ConfirmDrop'; volumeId: number; diskIds: readonly string[] }
  /** Collector: each move is a compare-and-swap of one blob's location; moves whose blob changed or died are skipped. */
  | {
      type: 'MoveBlobs';
      moves: readonly { blobId: number; fromLayout: Buffer; toLayout: Buffer; toFootprint: readonly BlobFootprint[] }[];
    }
  | { type: 'RecordDamage'; damage: readonly DamageRecord[] }
  | { type: 'ClearDamage'; damage: readonly Pick<DamageRecord, 'volumeId' | 'diskId' | 'offset'>[] }
  /**
   * One shard file of a sealed volume lies on another disk from now on; `shardIndex` is its slot. The file there is
   * whole. Result false when the volume is not sealed any more or the file is not where it was thought to be.
   */
  | ({ type: 'MoveShard' } & ShardMove)
  /** Only for `finalizeUpgrade`: the disks must have been told before. */
  | { type: 'RaiseFormat'; formatVersion: number }
  /** Decided outcomes, as they are, in one commit: for a recovery into an empty store, which knows every id itself. */
  | { type: 'ImportRecords'; records: readonly JournalRecord[] };

export interface RenamedSource {
  order: number;
  owner: Owner;
  lastModifiedMs: number;
  /** As it was read: it is ConditionalRequestConflict when its tags or its envelope were changed since. */
  seen: ObjectAttributes;
  /** As under the new key: an envelope is bound to it. */
  attributes: ObjectAttributes;
  blobs: readonly BlobUse[];
}

/** One member of a version. */
export type VersionChange =
  | { member: 'tags'; tags: readonly Tag[] }
  /** `undefined` removes it. Only in a bucket with Object Lock. */
  | { member: 'retention'; retention: Retention | undefined; bypassesGovernance: boolean }
  | { member: 'legalHold'; legalHold: LegalHold }
  /** `undefined`: full control for the owner. */
  | { member: 'acl'; acl: readonly Grant[] | undefined };

export type MutationResult<M extends Mutation> = M extends { type: 'CreateBucket' }
  ? BucketRecord
  : M extends { type: 'PutObject' | 'AppendObject' }
    ? WrittenVersion
    : M extends { type: 'CompleteMultipartUpload' }
      ? WrittenVersion
      : M extends { type: 'DeleteObject' }
        ? DeletedVersion
        : M extends { type: 'ChangeVersion' }
          ? { versionId: string }
          : M extends { type: 'DropVolume' | 'MoveShard' }
            ? boolean
            : M extends { type: 'MoveBlobs' }
              ? { movedBlobIds: number[] }
              : void;

export interface WrittenVersion {
  versionId: string;
  order: number;
  etag: string;
  lastModifiedMs: number;
}

export interface DeletedVersion {
  /**
   * The delete marker that was made, or the version that was named. Absent: the bucket never had versions, or there was
   * nothing at all under the key of a conditional delete.
   */
  deletedVersionId?: string;
  /** A delete marker was made, or removed. */
  isDeleteMarker: boolean;
}

export interface DocumentAddress {
  /** E.g. `credentials`, `cluster`; `bucket-…` for bucket configurations. */
  collection: string;
  /** A bucket id in decimal, or a name within the collection. */
  id: string;
}

export interface DamageRecord {
  volumeId: number;
  diskId: string;
  shardIndex: number;
  offset: number;
  kind: 'missing' | 'corrupt' | 'unreadable';
  seenAtMs: number;
}

export interface DamagedFile {
  volumeId: number;
  diskId: string;
  /** The oldest damage still recorded. */
  sinceMs: number;
  /** Some of it: something was not there at all. */
  isMissing: boolean;
}

export interface ListObjectsQuery {
  bucketId: number;
  prefix: string;
  /** Empty: none. May be longer than one character. */
  delimiter: string;
  /** Keys and common prefixes strictly after this one, by UTF-8 bytes. A common prefix is skipped when it is not greater than `startAfter`. */
  startAfter: string;
  /** Keys and common prefixes together. */
  limit: number;
}

export interface ListObjectsPage {
  /** Ascending by UTF-8 bytes. */
  objects: ListedObject[];
  commonPrefixes: string[];
  isTruncated: boolean;
  /** The last key or common prefix of this page, by byte order; where the next page starts after. */
  lastEntry: string | undefined;
}

export interface ListVersionsQuery {
  bucketId: number;
  prefix: string;
  delimiter: string;
  /** Entries after this key, or common prefix. With `versionIdMarker` older versions of this very key come first. */
  keyMarker: string;
  /**
   * Empty: none. The place of a version that was deleted meanwhile is still known by its id; of another one that is not
   * there the key is listed from its newest version on: repeated entries, never missed ones.
   */
  versionIdMarker: string;
  /** Versions, delete markers and common prefixes together. */
  limit: number;
}

export interface ListVersionsPage {
  /** Ascending by key (UTF-8 bytes), the newest version of a key first. */
  versions: ListedVersion[];
  commonPrefixes: string[];
  isTruncated: boolean;
  /** Of the last entry, when there are more. A common prefix has no version id. */
  nextKeyMarker: string | undefined;
  nextVersionIdMarker: string | undefined;
}

export interface ListUploadsQuery {
  bucketId: number;
  prefix: string;
  delimiter: string;
  keyMarker: string;
  uploadIdMarker: string;
  limit: number;
}

export interface ListUploadsPage {
  uploads: UploadRecord[];
  commonPrefixes: string[];
  isTruncated: boolean;
  nextKeyMarker: string | undefined;
  nextUploadIdMarker: string | undefined;
}

export interface MetadataStatus {
  epoch: number;
  sequence: number;
  /** The journal's word on each disk. */
  disks: {
    diskId: string;
    /** With more disks than a journal needs, some carry none. */
    carriesJournal: boolean;
    isLevel: boolean;
    /** It did not hold the newest records when this run began: it missed them, or is of an earlier time. */
    wasBehindAtStart: boolean;
    journalBytes: number;
    checkpointBytes: number;
  }[];
  checkpoints: { epoch: number; sequence: number; holders: string[]; sizeBytes: number; createdAtMs: number }[];
  indexBytes: number;
  formatVersion: number;
  bucketCount: number;
  objectCount: number;
  uploadCount: number;
  damageCount: number;
}
