/** Which version of which object; without `versionId` the current one. */
export interface ExplainedAddress {
  bucketName: string;
  key: string;
  versionId?: string | undefined;
}

/** What `holdfast explain s3://BUCKET/KEY --json` prints: where every byte of an object lies. Fields are only ever added. */
export interface ExplainReport {
  formatVersion: 1;
  mode: 'online' | 'offline';
  bucket: string;
  key: string;
  versionId: string;
  sizeBytes: number;
  etag: string;
  lastModifiedMs: number;
  storageClass: string;
  /** How many more disks may be lost without losing a byte of this object; -1: it cannot be read whole now. */
  marginDiskCount: number;
  blobs: { blobId: number; sizeBytes: number; extents: ExtentReport[] }[];
}

export interface ExtentReport {
  volumeId: number;
  /** `unknown`: the journal's volumes do not name it. */
  volumeState: string;
  kind: 'small' | 'large';
  k: number;
  m: number;
  stripeCount: number;
  marginDiskCount: number;
  shards: ExtentShard[];
}

export interface ExtentShard {
  slot: number;
  /** In the shard file. */
  offset: number;
  lengthBytes: number;
  file: string;
  diskId: string;
  diskIndex: number | undefined;
  /** Where the disk is, or was last. */
  path: string | undefined;
  diskState: string;
  /** Damaged shards of these stripes that wait for repair. */
  damagedCount: number;
}
