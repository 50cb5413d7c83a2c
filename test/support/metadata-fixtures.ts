import type { BlobRecord } from '../../src/model/blob.ts';
import type { ObjectAttributes, Owner, UploadRecord } from '../../src/model/object-record.ts';
import type { MetadataStore } from '../../src/metadata-store/metadata-store.ts';

export const ALICE: Owner = { accountId: '111111111111', canonicalId: 'a'.repeat(64), displayName: 'alice' };
export const BOB: Owner = { accountId: '222222222222', canonicalId: 'b'.repeat(64), displayName: 'bob' };

/** One etag for each text, in the shape of an MD5. */
export function etagOf(text: string): string {
  return Buffer.from(text).toString('hex').padEnd(32, '0').slice(0, 32);
}

export function attributesOf(etag: string, sizeBytes: number): ObjectAttributes {
  return {
    etag,
    sizeBytes,
    headers: { 'content-type': 'text/plain' },
    userMetadata: {},
    storageClass: 'STANDARD',
  };
}

export async function openVolume(store: MetadataStore): Promise<number> {
  const volumeId = store.nextIdentifier();
  await store.commit({
    type: 'OpenVolume',
    volume: { volumeId, k: 2, m: 1, diskIds: ['d0', 'd1', 'd2'], purpose: 'small', shardSizeBytes: 4096 },
  });
  return volumeId;
}

export function newBlob(store: MetadataStore, volumeId: number, sizeBytes: number): BlobRecord {
  const blobId = store.nextIdentifier();
  return {
    blobId,
    sizeBytes,
    layout: Buffer.from(`layout of ${blobId}`),
    footprint: [{ volumeId, storedBytes: sizeBytes + 8 }],
  };
}

export async function createBucket(store: MetadataStore, name: string, owner = ALICE): Promise<number> {
  const bucket = await store.commit({ type: 'CreateBucket', name, owner, region: 'us-east-1', createdAtMs: 1000 });
  return bucket.bucketId;
}

export interface PutOptions {
  bucketId: number;
  key: string;
  volumeId: number;
  sizeBytes?: number;
  etag?: string;
  lastModifiedMs?: number;
}

export function putMutation(store: MetadataStore, options: PutOptions) {
  const { bucketId, key, volumeId, sizeBytes = 10, lastModifiedMs = 5000 } = options;
  return {
    type: 'PutObject' as const,
    bucketId,
    key,
    owner: ALICE,
    attributes: attributesOf(options.etag ?? etagOf(key), sizeBytes),
    blobs: [{ newBlob: newBlob(store, volumeId, sizeBytes) }],
    lastModifiedMs,
  };
}

export function uploadOf(bucketId: number, key: string, uploadId: string): UploadRecord {
  return {
    uploadId,
    bucketId,
    key,
    initiatedAtMs: 7000,
    owner: ALICE,
    initiator: BOB,
    headers: { 'content-type': 'video/mp4' },
    userMetadata: { colour: 'red' },
    storageClass: 'STANDARD',
    checksumAlgorithm: 'CRC32C',
    checksumType: 'COMPOSITE',
  };
}
