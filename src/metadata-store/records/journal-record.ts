import type { BlobFootprint, OpenedVolumeRecord, ShardMove } from '../../model/blob.ts';
import type { Owner } from '../../model/object-record.ts';
import type { BlobUse, DamageRecord, DocumentAddress } from '../metadata-store.ts';

/**
 * What the payload of a journal frame says: decided outcomes. Applying the same batches in order to an empty index gives
 * the same index, without a precondition, a clock or a random number.
 *
 * Payload (format versions 1 and 2):
 *
 *     byte     format version: the format of the store when it was written
 *     varint   batch number: 1 for the first payload of a cluster, one more for each; a gap means a lost frame
 *     varint   count of records
 *     records  one after the other: a byte for the type, then its fields in the order of the table
 *
 * Fields: `varint` is a non-negative integer below 2^53, little end first, seven bits in each byte, the top bit set in
 * all but the last. `signed` is a varint of 2n, or of -2n - 1 for negative n. `bytes` is a varint length and the bytes;
 * `string` is `bytes` in UTF-8. `list(x)` is a varint count and the items. `optional(x)` is a byte 0, or 1 and x.
 *
 *     1  InternOwner            ownerId varint, accountId string, canonicalId string, displayName string
 *     2  CreateBucket           bucketId varint, name string, ownerId varint, region string, createdAtMs signed
 *     3  DeleteBucket           bucketId varint. Uploads in progress and documents of the bucket go with it
 *     4  PutObject              bucketId varint, key bytes, order varint, ownerId varint, lastModifiedMs signed,
 *                               attributes, list(blob use). Replaces the current version
 *     5  DeleteObject           bucketId varint, key bytes
 *     6  CreateMultipartUpload  order varint, uploadId string, bucketId varint, key bytes, initiatedAtMs signed,
 *                               ownerId varint, initiatorId varint, storageClass string, checksum varint, details
 *     7  PutPart                uploadOrder varint, partNumber varint, etag string, sizeBytes varint,
 *                               lastModifiedMs signed, checksum varint, checksumValue string, list(blob use)
 *     8  CompleteMultipartUpload uploadOrder varint, order varint, lastModifiedMs signed, decidedAtMs signed,
 *                               attributes, list(partNumber varint), optional(blob): the manifest.
 *                               Remembered until decidedAtMs + 24 h; older memories go
 *     9  AbortMultipartUpload   uploadOrder varint
 *     10 PutDocument            collection string, id string, body bytes
 *     11 DeleteDocument         collection string, id string
 *     12 OpenVolume             volumeId varint, k varint, m varint, list(diskId string), purpose byte (0 small,
 *                               1 large), shardSizeBytes varint
 *     13 SealVolume             volumeId varint, lengthBytes varint
 *     14 DropVolume             volumeId varint
 *     15 ConfirmDrop            volumeId varint, list(diskId string). A dropped volume is forgotten with its last disk
 *     16 MoveBlobs              list(blobId varint, layout bytes, footprint)
 *     17 RecordDamage           list(volumeId varint, diskId string, shardIndex varint, offset varint, kind byte
 *                               (0 missing, 1 corrupt, 2 unreadable), seenAtMs signed)
 *     18 ClearDamage            list(volumeId varint, diskId string, offset varint)
 *     19 MoveShard              volumeId varint, shardIndex varint, fromDiskId string, toDiskId string. Damage noted for
 *                               the file on the old disk is forgotten
 *
 * Of format 2:
 *
 *     20 PutVersion             as PutObject, then versionId string (empty: the null version). The current version before
 *                               it stays as an older one; a null version takes the place of the key's null version,
 *                               wherever in the history that is
 *     21 PutDeleteMarker        bucketId varint, key bytes, order varint, ownerId varint, lastModifiedMs signed,
 *                               versionId string: likewise
 *     22 DeleteVersion          bucketId varint, key bytes, order varint: of the version or marker that goes; the newest
 *                               that is left is current
 *     23 CompleteVersion        as CompleteMultipartUpload, then versionId string, as in PutVersion
 *     24 ChangeDetails          bucketId varint, key bytes, order varint, details bytes: what is said of the version of
 *                               that order from now on (tags, lock); nothing else of it changes
 *     26 PutEncryptedPart       as PutPart, then encryption bytes: the salt of its stream
 *     27 TransitionVersion      bucketId varint, key bytes, order varint, storageClass string (empty: STANDARD), list(blob
 *                               use): the version of that order lies there from now on, nothing else of it changes
 *     28 RememberToken          bucketId varint, token string, meaning bytes, decidedAtMs signed: of a request that must not be
 *                               done twice. Remembered for an hour; older memories go
 *     29 AppendObject           bucketId varint, key bytes, order varint, newOrder varint, lastModifiedMs signed, etag string,
 *                               sizeBytes varint, checksum varint, details bytes, list(appended part), list(blob use): the
 *                               current version of that order goes on with these parts and blobs and has the other order;
 *                               size, etag, checksum and details are of the whole. Parts are numbered on
 *     30 RaiseFormat            formatVersion varint. From this batch on payloads are of this format
 *     31 OpenClassVolume        the fields of OpenVolume, storageClass string: not STANDARD
 *
 *     blob use    byte 0, then a blob; or byte 1, then the blobId varint of a live one
 *     blob        blobId varint, sizeBytes varint, layout bytes, footprint
 *     footprint   list(volumeId varint, storedBytes varint)
 *     appended part  sizeBytes varint, optional(checksum string)
 *     attributes  etag string, sizeBytes varint, storageClass string (empty: STANDARD), checksum varint, details, parts
 *     details, parts, checksum: see `attributes-codec.ts`; as `bytes`, empty when there are none
 *
 * A type number is never used again for another meaning or another list of fields. An unknown number is refused: it
 * comes from a newer version.
 */
export type JournalRecord =
  | { type: 'InternOwner'; ownerId: number; owner: Owner }
  | { type: 'CreateBucket'; bucketId: number; name: string; ownerId: number; region: string; createdAtMs: number }
  | { type: 'DeleteBucket'; bucketId: number }
  | ({ type: 'PutObject' } & PutFields)
  | { type: 'DeleteObject'; bucketId: number; key: Buffer }
  | {
      type: 'CreateMultipartUpload';
      order: number;
      uploadId: string;
      bucketId: number;
      key: Buffer;
      initiatedAtMs: number;
      ownerId: number;
      initiatorId: number;
      storageClass: string;
      checksum: number;
      details: Buffer;
    }
  | ({ type: 'PutPart' } & PutPartFields)
  | ({ type: 'PutEncryptedPart'; encryption: Buffer } & PutPartFields)
  | ({ type: 'CompleteMultipartUpload' } & CompleteFields)
  | { type: 'AbortMultipartUpload'; uploadOrder: number }
  | { type: 'PutDocument'; address: DocumentAddress; body: Buffer }
  | { type: 'DeleteDocument'; address: DocumentAddress }
  | {
      type: 'OpenVolume';
      volume: Omit<OpenedVolumeRecord, 'storageClass'>;
    }
  | { type: 'OpenClassVolume'; volume: Omit<OpenedVolumeRecord, 'storageClass'>; storageClass: string }
  | { type: 'SealVolume'; volumeId: number; lengthBytes: number }
  | { type: 'DropVolume'; volumeId: number }
  | { type: 'ConfirmDrop'; volumeId: number; diskIds: readonly string[] }
  | {
      type: 'MoveBlobs';
      moves: readonly { blobId: number; layout: Buffer; footprint: readonly BlobFootprint[] }[];
    }
  | { type: 'RecordDamage'; damage: readonly DamageRecord[] }
  | { type: 'ClearDamage'; damage: readonly Pick<DamageRecord, 'volumeId' | 'diskId' | 'offset'>[] }
  | ({ type: 'MoveShard' } & ShardMove)
  | ({ type: 'PutVersion'; versionId: string } & PutFields)
  | {
      type: 'PutDeleteMarker';
      bucketId: number;
      key: Buffer;
      order: number;
      ownerId: number;
      lastModifiedMs: number;
      versionId: string;
    }
  | { type: 'DeleteVersion'; bucketId: number; key: Buffer; order: number }
  | { type: 'ChangeDetails'; bucketId: number; key: Buffer; order: number; details: Buffer }
  | ({ type: 'CompleteVersion'; versionId: string } & CompleteFields)
  | ({ type: 'TransitionVersion' } & TransitionFields)
  | ({ type: 'AppendObject' } & AppendFields)
  | { type: 'RememberToken'; bucketId: number; token: string; meaning: Buffer; decidedAtMs: number }
  | { type: 'RaiseFormat'; formatVersion: number };

export interface PutFields {
  bucketId: number;
  key: Buffer;
  order: number;
  ownerId: number;
  lastModifiedMs: number;
  attributes: EncodedAttributes;
  blobs: readonly BlobUse[];
}

export interface AppendFields {
  bucketId: number;
  key: Buffer;
  order: number;
  newOrder: number;
  lastModifiedMs: number;
  etag: string;
  sizeBytes: number;
  checksum: number;
  details: Buffer;
  parts: readonly AppendedPart[];
  blobs: readonly BlobUse[];
}

export interface AppendedPart {
  sizeBytes: number;
  checksum?: string;
}

export interface TransitionFields {
  bucketId: number;
  key: Buffer;
  order: number;
  storageClass: string;
  blobs: readonly BlobUse[];
}

export interface CompleteFields {
  uploadOrder: number;
  order: number;
  lastModifiedMs: number;
  decidedAtMs: number;
  attributes: EncodedAttributes;
  partNumbers: readonly number[];
  manifest: Extract<BlobUse, { newBlob: unknown }>['newBlob'] | undefined;
}

export interface PutPartFields {
  uploadOrder: number;
  partNumber: number;
  etag: string;
  sizeBytes: number;
  lastModifiedMs: number;
  checksum: number;
  checksumValue: string;
  blobs: readonly BlobUse[];
}

/** `ObjectAttributes` as they are written: what LIST needs in fields of their own, the rest in two opaque pieces. */
export interface EncodedAttributes {
  etag: string;
  sizeBytes: number;
  /** Empty: STANDARD. */
  storageClass: string;
  /** `encodeChecksumKind`. */
  checksum: number;
  /** `encodeDetails`; empty: none. */
  details: Buffer;
  /** `encodeParts`; empty: none. */
  parts: Buffer;
}

/** How long a client's token answers a retry. */
export const TOKEN_MEMORY_MS = 60 * 60 * 1000;
/** How long a completed upload answers a retry. */
export const COMPLETION_MEMORY_MS = 24 * 60 * 60 * 1000;
