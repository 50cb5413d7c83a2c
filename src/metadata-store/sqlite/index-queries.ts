import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { BlobRecord, VolumeRecord } from '../../model/blob.ts';
import type { BucketConfiguration } from '../../model/bucket-configuration.ts';
import type { BucketRecord, ListedBucket, ObjectRecord } from '../../model/object-record.ts';
import type { BucketUsage, DamagedFile, DamageRecord, DocumentAddress } from '../metadata-store.ts';
import { decodeAttributes } from '../records/attributes-codec.ts';
import { decodeFootprint } from '../records/record-codec.ts';
import { NULL_VERSION_ID } from './apply-object-record.ts';
import { decodeBlobIds } from './blob-ids.ts';
import { shownVersionId } from './decide-objects.ts';
import { prepareBucketConfiguration } from './bucket-configuration-query.ts';
import type { OwnerTable } from './owner-table.ts';

const EMPTY = Buffer.alloc(0);
const KNOWN_BUCKET_LIMIT = 10_000;

type BucketRow = [bucketId: number, name: string, ownerId: number, region: string, createdAtMs: number];

/** Point reads of the index, on the connection that sees acknowledged state only. Each call is one moment in time. */
export class IndexQueries {
  readonly #owners: OwnerTable;
  readonly #buckets = new Map<string, Readonly<BucketRecord>>();
  readonly #configuration: (bucketId: number) => BucketConfiguration;
  readonly #sql;

  constructor(db: Database, owners: OwnerTable) {
    this.#owners = owners;
    this.#configuration = prepareBucketConfiguration(db);
    this.#sql = prepareStatements(db);
  }

  /** The same object for each call: every request asks for its bucket. */
  bucket(name: string): Readonly<BucketRecord> | undefined {
    const known = this.#buckets.get(name);
    if (known !== undefined) return known;
    const row = this.#sql.bucketByName.get(name);
    if (row === undefined) return undefined;
    const bucket = Object.freeze({ ...this.#bucket(row), configuration: this.#configuration(row[0]) });
    if (this.#buckets.size >= KNOWN_BUCKET_LIMIT) this.#buckets.clear();
    this.#buckets.set(name, bucket);
    return bucket;
  }

  /** After each commit that made, configured or deleted one. */
  forgetBuckets(): void {
    this.#buckets.clear();
  }

  buckets(query: { accountId: string; prefix: string; startAfter: string; limit: number }): ListedBucket[] {
    const { accountId, prefix, startAfter, limit } = query;
    // No name contains U+10FFFF.
    const rows = this.#sql.bucketsOfAccount.all(accountId, startAfter, prefix, `${prefix}\u{10ffff}`, limit);
    return rows.map((row) => this.#bucket(row));
  }

  usage(bucketId: number): BucketUsage | undefined {
    return this.#sql.usage.get(bucketId);
  }

  object(query: { bucketId: number; key: string; versionId?: string }): ObjectRecord | undefined {
    const { bucketId, key, versionId } = query;
    const keyBytes = Buffer.from(key);
    const row = this.#sql.object.get(bucketId, keyBytes);
    if (versionId === undefined) {
      if (row !== undefined) return this.#object(bucketId, key, row, false);
      const newest = this.#sql.newestVersion.get(bucketId, keyBytes);
      return newest && this.#object(bucketId, key, newest, true);
    }
    const stored = versionId === 'null' ? NULL_VERSION_ID : versionId;
    if (row?.[1] === stored) return this.#object(bucketId, key, row, false);
    const version = this.#sql.versionById.get(bucketId, keyBytes, stored);
    return version && this.#object(bucketId, key, version, version[15] === 1);
  }

  #object(bucketId: number, key: string, row: ObjectRow | VersionRow, isDeleteMarker: boolean): ObjectRecord {
    const [order, version, sizeBytes, etag, lastModifiedMs, ownerId, storageClass, checksum, hasLarge, details] = row;
    let blobs: BlobRecord[];
    let parts: Buffer = EMPTY;
    const onlyBlobId = row[11];
    if (onlyBlobId !== null) {
      assert(row[12] !== null, `blob ${onlyBlobId} is named but not live`);
      blobs = [blobRecord(onlyBlobId, [row[12], row[13], row[14]])];
    } else if (hasLarge === 1) {
      const large = this.#sql.largeLists.get(order);
      assert(large !== undefined, `the lists of version ${order} are missing`);
      blobs = this.blobs(decodeBlobIds(large[0]));
      parts = large[1];
    } else {
      assert(row[10] !== null, `version ${order} names no blobs`);
      blobs = this.blobs(decodeBlobIds(row[10]));
    }
    const attributes = decodeAttributes({ etag, sizeBytes, storageClass, checksum, details, parts });
    // No spread: with members behind it V8 makes a new shape for each object, which costs more than the lookup.
    const record: ObjectRecord = {
      etag,
      sizeBytes,
      headers: attributes.headers,
      userMetadata: attributes.userMetadata,
      storageClass: attributes.storageClass,
      bucketId,
      key,
      versionId: shownVersionId(version),
      order,
      isDeleteMarker,
      lastModifiedMs,
      owner: this.#owners.byId(ownerId),
      blobs,
    };
    if (attributes.checksum !== undefined) record.checksum = attributes.checksum;
    if (attributes.tags !== undefined) record.tags = attributes.tags;
    if (attributes.retention !== undefined) record.retention = attributes.retention;
    if (attributes.legalHold !== undefined) record.legalHold = attributes.legalHold;
    if (attributes.acl !== undefined) record.acl = attributes.acl;
    if (attributes.encryption !== undefined) record.encryption = attributes.encryption;
    if (attributes.parts !== undefined) record.parts = attributes.parts;
    return record;
  }

  blobs(blobIds: readonly number[]): BlobRecord[] {
    return blobIds.map((blobId) => {
      const row = this.#sql.blob.get(blobId);
      assert(row !== undefined, `blob ${blobId} is named but not live`);
      return blobRecord(blobId, row);
    });
  }

  blobsInVolume(query: { volumeId: number; afterBlobId: number; limit: number }): BlobRecord[] {
    const rows = this.#sql.blobsInVolume.all(query.volumeId, query.afterBlobId, query.limit);
    return rows.map(([blobId, ...row]) => blobRecord(blobId, row));
  }

  document({ collection, id }: DocumentAddress): Buffer | undefined {
    return this.#sql.document.get(collection, id);
  }

  documents(collection: string): { id: string; body: Buffer }[] {
    return this.#sql.documents.all(collection).map(([id, body]) => ({ id, body }));
  }

  /** Ascending by id. */
  volumes(): VolumeRecord[] {
    return this.#sql.volumes.all().map(volumeRecord);
  }

  volume(volumeId: number): VolumeRecord | undefined {
    const row = this.#sql.volume.get(volumeId);
    return row === undefined ? undefined : volumeRecord(row);
  }

  damagedFiles(): DamagedFile[] {
    return this.#sql.damagedFiles.all().map(([volumeId, diskId, sinceMs, isMissing]) => {
      return { volumeId, diskId, sinceMs, isMissing: isMissing === 1 };
    });
  }

  damage({ volumeId: id, limit }: { volumeId: number; limit: number }): DamageRecord[] {
    return this.#sql.damage.all(id, limit).map(([volumeId, diskId, offset, shardIndex, kind, seenAtMs]) => {
      return { volumeId, diskId, shardIndex, offset, kind, seenAtMs };
    });
  }

  counts(): { bucketCount: number; objectCount: number; uploadCount: number; damageCount: number } {
    const row = this.#sql.counts.get();
    assert(row !== undefined, 'a sum has a row');
    return { bucketCount: row[0], objectCount: row[1], uploadCount: row[2], damageCount: row[3] };
  }

  /** For `UndecidedScope`. */
  uploadKey(uploadOrder: number): { bucketId: number; key: Buffer } | undefined {
    const row = this.#sql.uploadKey.get(uploadOrder);
    return row === undefined ? undefined : { bucketId: row[0], key: row[1] };
  }

  /** For `UndecidedScope`. */
  bucketName(bucketId: number): string | undefined {
    return this.#sql.bucketName.get(bucketId);
  }

  #bucket([bucketId, name, ownerId, region, createdAtMs]: BucketRow): ListedBucket {
    return { bucketId, name, owner: this.#owners.byId(ownerId), region, createdAtMs };
  }
}

function blobRecord(blobId: number, [sizeBytes, layout, footprint]: [number, Buffer, Buffer]): BlobRecord {
  return { blobId, sizeBytes, layout, footprint: decodeFootprint(footprint) };
}

function volumeRecord(row: VolumeRow): VolumeRecord {
  return {
    volumeId: row.volume_id,
    k: row.k,
    m: row.m,
    diskIds: JSON.parse(row.disk_ids) as string[],
    purpose: row.purpose,
    shardSizeBytes: row.shard_size_bytes,
    state: row.state,
    lengthBytes: row.length_bytes,
    liveBytes: row.live_bytes,
    storedBytes: row.stored_bytes,
    undroppedDiskIds: JSON.parse(row.undropped_disk_ids) as string[],
    ...(row.storage_class === '' ? {} : { storageClass: row.storage_class }),
  };
}

interface VolumeRow {
  volume_id: number;
  k: number;
  m: number;
  disk_ids: string;
  purpose: VolumeRecord['purpose'];
  shard_size_bytes: number;
  state: VolumeRecord['state'];
  length_bytes: number;
  live_bytes: number;
  stored_bytes: number;
  undropped_disk_ids: string;
  storage_class: string;
}

type ObjectRow = readonly [
  order: number,
  versionId: string,
  sizeBytes: number,
  etag: string,
  lastModifiedMs: number,
  ownerId: number,
  storageClass: string,
  checksum: number,
  hasLargeLists: number,
  details: Buffer,
  /** `null` when there is only one. */
  blobIds: Buffer | null,
  onlyBlobId: number | null,
  blobSizeBytes: number | null,
  layout: Buffer,
  footprint: Buffer,
];
type VersionRow = readonly [...ObjectRow, isDeleteMarker: number];

function prepareStatements(db: Database) {
  const objectColumns = `ord, version_id, o.size_bytes, etag, modified_ms, owner_id, storage_class, checksum,
    has_large_lists, details, CASE WHEN only_blob_id IS NULL THEN blob_ids END, only_blob_id, b.size_bytes, layout,
    footprint`;
  const bucketColumns = 'bucket_id, name, owner_id, region, created_at_ms';
  return {
    bucketByName: db.prepare<[string], BucketRow>(`SELECT ${bucketColumns} FROM buckets WHERE name = ?`).raw(),
    bucketsOfAccount: db
      .prepare<[string, string, string, string, number], BucketRow>(
        `SELECT ${bucketColumns} FROM buckets
         WHERE account_id = ? AND name > ? AND name >= ? AND name < ? ORDER BY name LIMIT ?`,
      )
      .raw(),
    usage: db.prepare<[number], BucketUsage>(
      `SELECT object_count AS objectCount, size_bytes AS sizeBytes, version_count AS versionCount,
       version_size_bytes AS versionSizeBytes FROM buckets WHERE bucket_id = ?`,
    ),
    object: db
      .prepare<[number, Buffer], ObjectRow>(
        `SELECT ${objectColumns} FROM objects o LEFT JOIN blobs b ON blob_id = only_blob_id
         WHERE bucket_id = ? AND key = ?`,
      )
      .raw(),
    newestVersion: db
      .prepare<[number, Buffer], VersionRow>(
        `SELECT ${objectColumns}, is_delete_marker FROM versions o LEFT JOIN blobs b ON blob_id = only_blob_id
         WHERE bucket_id = ? AND key = ? ORDER BY ord DESC LIMIT 1`,
      )
      .raw(),
    versionById: db
      .prepare<[number, Buffer, string], VersionRow>(
        `SELECT ${objectColumns}, is_delete_marker FROM versions o INDEXED BY versions_by_id
         LEFT JOIN blobs b ON blob_id = only_blob_id WHERE bucket_id = ? AND key = ? AND version_id = ?`,
      )
      .raw(),
    largeLists: db.prepare<[number], [Buffer, Buffer]>('SELECT blob_ids, parts FROM large_lists WHERE ord = ?').raw(),
    blob: db
      .prepare<[number], [number, Buffer, Buffer]>('SELECT size_bytes, layout, footprint FROM blobs WHERE blob_id = ?')
      .raw(),
    blobsInVolume: db
      .prepare<[number, number, number], [number, number, Buffer, Buffer]>(
        `SELECT blob_id, size_bytes, layout, footprint FROM blob_volumes JOIN blobs USING (blob_id)
         WHERE volume_id = ? AND blob_id > ? ORDER BY blob_id LIMIT ?`,
      )
      .raw(),
    document: db
      .prepare<[string, string], Buffer>('SELECT body FROM documents WHERE collection = ? AND id = ?')
      .pluck(),
    documents: db
      .prepare<[string], [string, Buffer]>('SELECT id, body FROM documents WHERE collection = ? ORDER BY id')
      .raw(),
    volumes: db.prepare<[], VolumeRow>('SELECT * FROM volumes ORDER BY volume_id'),
    volume: db.prepare<[number], VolumeRow>('SELECT * FROM volumes WHERE volume_id = ?'),
    damagedFiles: db
      .prepare<[], [number, string, number, 0 | 1]>(
        `SELECT volume_id, disk_id, min(seen_at_ms), max(kind = 'missing') FROM damage GROUP BY volume_id, disk_id`,
      )
      .raw(),
    damage: db
      .prepare<[number, number], [number, string, number, number, DamageRecord['kind'], number]>(
        'SELECT volume_id, disk_id, shard_offset, shard_index, kind, seen_at_ms FROM damage WHERE volume_id = ? LIMIT ?',
      )
      .raw(),
    uploadKey: db.prepare<[number], [number, Buffer]>('SELECT bucket_id, key FROM uploads WHERE ord = ?').raw(),
    bucketName: db.prepare<[number], string>('SELECT name FROM buckets WHERE bucket_id = ?').pluck(),
    counts: db
      .prepare<[], [number, number, number, number]>(
        `SELECT count(*), coalesce(sum(object_count), 0), coalesce(sum(upload_count), 0),
         (SELECT count(*) FROM damage) FROM buckets`,
      )
      .raw(),
  };
}
