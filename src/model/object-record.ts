import type { Grant } from './access-control.ts';
import type { BlobRecord } from './blob.ts';
import type { BucketConfiguration } from './bucket-configuration.ts';
import type { ObjectLock } from './object-lock.ts';

/** S3's Owner, with the account it belongs to. */
export interface Owner {
  /** 12 decimal digits. */
  accountId: string;
  /** 64 lower-case hex digits: S3's canonical user id. */
  canonicalId: string;
  displayName: string;
}

export type ChecksumAlgorithm =
  'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256' | 'SHA512' | 'MD5' | 'XXHASH64' | 'XXHASH3' | 'XXHASH128';
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';

export interface ObjectChecksum {
  algorithm: ChecksumAlgorithm;
  type: ChecksumType;
  /** Base64 as S3 sends it, without the `-N` of composite values. */
  value: string;
}

/** What LIST shows of a bucket. */
export interface ListedBucket {
  /** Never reused: a bucket deleted and made again has another id and inherits nothing. */
  bucketId: number;
  name: string;
  owner: Owner;
  region: string;
  createdAtMs: number;
}

export interface BucketRecord extends ListedBucket {
  configuration: BucketConfiguration;
}

/** Of an object or a bucket. */
export interface Tag {
  readonly key: string;
  readonly value: string;
}

/** Sent back as they came: Content-Type, Content-Encoding (without aws-chunked), Cache-Control, Expires … lower-case names. */
export type ObjectHeaders = Readonly<Record<string, string>>;

/** What PutObject, Copy and Complete decide about a version, apart from where its bytes lie. */
export interface ObjectAttributes extends ObjectLock {
  /** Without quotes; multipart: `md5-N`. */
  etag: string;
  sizeBytes: number;
  headers: ObjectHeaders;
  /** `x-amz-meta-*` without the prefix, lower-case names. */
  userMetadata: Readonly<Record<string, string>>;
  storageClass: string;
  checksum?: ObjectChecksum;
  /** Object tags, ascending by key. */
  tags?: readonly Tag[];
  /** Absent: full control for the owner of the version. */
  acl?: readonly Grant[];
  /**
   * Present on an encrypted version: how, opaque here (service/encryption). Then checksum values are sealed, and blobs are
   * as long as the sealed bytes; `sizeBytes` and `parts` are those of the plain ones.
   */
  encryption?: Buffer;
  /** Present on objects made by Complete: ascending part numbers, for `partNumber=` and GetObjectAttributes. */
  parts?: readonly ObjectPart[];
}

export interface ObjectPart {
  partNumber: number;
  sizeBytes: number;
  /** Base64, of the object's checksum algorithm. */
  checksum?: string;
}

/** One version of a key, as GET and HEAD need it. */
export interface ObjectRecord extends ObjectAttributes {
  bucketId: number;
  key: string;
  /** `'null'` while the bucket is not versioned. */
  versionId: string;
  /** Orders versions of a key; `makeIdentifier`. */
  order: number;
  isDeleteMarker: boolean;
  lastModifiedMs: number;
  owner: Owner;
  /** In the order of the bytes of the object; sizes add up to `sizeBytes`. */
  blobs: readonly BlobRecord[];
}

/** Without where it lies and what it is called. */
export function attributesOf(object: ObjectRecord): ObjectAttributes {
  const rest: Partial<ObjectRecord> & ObjectAttributes = { ...object };
  for (const name of PLACE_AND_NAME) delete rest[name];
  return rest;
}

const PLACE_AND_NAME = [
  'bucketId',
  'key',
  'versionId',
  'order',
  'isDeleteMarker',
  'lastModifiedMs',
  'owner',
  'blobs',
] as const satisfies readonly Exclude<keyof ObjectRecord, keyof ObjectAttributes>[];

/** What LIST shows of a key. */
export interface ListedObject {
  key: string;
  etag: string;
  sizeBytes: number;
  lastModifiedMs: number;
  storageClass: string;
  checksumAlgorithm?: ChecksumAlgorithm;
  checksumType?: ChecksumType;
  owner: Owner;
}

/** What ListObjectVersions shows of a version or delete marker. */
export interface ListedVersion extends ListedObject {
  /** `'null'` for the null version. */
  versionId: string;
  order: number;
  isLatest: boolean;
  /** Then ETag and size mean nothing. */
  isDeleteMarker: boolean;
}

/** Its lock is that of the object to come. */
export interface UploadRecord extends ObjectLock {
  /** Random, opaque, unguessable. */
  uploadId: string;
  bucketId: number;
  key: string;
  initiatedAtMs: number;
  owner: Owner;
  initiator: Owner;
  headers: ObjectHeaders;
  userMetadata: Readonly<Record<string, string>>;
  storageClass: string;
  tags?: readonly Tag[];
  checksumAlgorithm?: ChecksumAlgorithm;
  checksumType?: ChecksumType;
  /** That of the object to come. */
  acl?: readonly Grant[];
  /** As in ObjectAttributes, without any bytes yet. */
  encryption?: Buffer;
}

export interface PartRecord {
  partNumber: number;
  etag: string;
  sizeBytes: number;
  lastModifiedMs: number;
  checksum?: { algorithm: ChecksumAlgorithm; value: string };
  /** The salt of its stream, of an upload that is encrypted; then the checksum's value is sealed. */
  encryption?: Buffer;
  blobs: readonly BlobRecord[];
}
