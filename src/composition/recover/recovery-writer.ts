import type { Randomness } from '../../model/clock.ts';
import type { ObjectAttributes, Owner } from '../../model/object-record.ts';
import { KEY_RING_ADDRESS, type KeyRingCopy } from '../../keys/key-ring.ts';
import { makeVersionId } from '../../model/version-id.ts';
import { decodeEncryption } from '../../service/encryption/encryption-record.ts';
import type { VolumeShape } from '../../data-store/volume/volume-file.ts';
import type { BlobUse, MetadataStore } from '../../metadata-store/metadata-store.ts';
import { encodeAttributes } from '../../metadata-store/records/attributes-codec.ts';
import {
  bucketConfigurationAddress,
  encodeBucketConfigurationValue,
} from '../../metadata-store/records/bucket-configuration-codec.ts';
import type { JournalRecord } from '../../metadata-store/records/journal-record.ts';
import type { Candidate } from './recovery-plan.ts';
import type { ShardCatalog } from './shard-catalog.ts';

const BATCH_RECORDS = 256;
const BATCH_BYTES = 512 * 1024;
const FIRST_OWNER_ID = 1;

export interface RestoredBucket {
  readonly bucketId: number;
  readonly name: string;
  readonly createdAtMs: number;
  /** Some key has older versions. */
  readonly hasVersions: boolean;
}

/**
 * Writes what a recovery has decided into an empty store, as records that know every id themselves: buckets, volumes and
 * blobs keep theirs, which the shards name too. Blobs are shared as they were: the first name brings them in.
 */
export class RecoveryWriter {
  readonly #store: MetadataStore;
  readonly #catalog: ShardCatalog;
  readonly #randomness: Randomness;
  readonly #ownerIds = new Map<string, number>();
  readonly #versioned = new Set<number>();
  #records: JournalRecord[] = [];
  #bytes = 0;

  constructor(options: { store: MetadataStore; catalog: ShardCatalog; randomness: Randomness }) {
    this.#store = options.store;
    this.#catalog = options.catalog;
    this.#randomness = options.randomness;
  }

  /** The accounts that own something; the first is the cluster's. Their canonical ids are not in shards: they are new ones. */
  async owners(accountIds: readonly string[]): Promise<void> {
    for (const accountId of accountIds) {
      const owner: Owner = { accountId, canonicalId: this.#randomness.bytes(32).toString('hex'), displayName: 'root' };
      const ownerId = FIRST_OWNER_ID + this.#ownerIds.size;
      if (this.#ownerIds.size === 0) {
        const address = { collection: 'cluster', id: 'owner' };
        await this.#add({ type: 'PutDocument', address, body: Buffer.from(JSON.stringify(owner)) });
      }
      this.#ownerIds.set(accountId, ownerId);
      await this.#add({ type: 'InternOwner', ownerId, owner });
    }
  }

  async bucket({ bucketId, name, createdAtMs, hasVersions }: RestoredBucket, region: string): Promise<void> {
    await this.#add({ type: 'CreateBucket', bucketId, name, ownerId: FIRST_OWNER_ID, region, createdAtMs });
    if (!hasVersions) return;
    this.#versioned.add(bucketId);
    const address = bucketConfigurationAddress(bucketId, 'versioning');
    await this.#add({ type: 'PutDocument', address, body: encodeBucketConfigurationValue({ status: 'Suspended' }) });
  }

  /** Left open: the next start seals it, as any volume of an earlier run. */
  async volume(volume: VolumeShape): Promise<void> {
    await this.#add({ type: 'OpenVolume', volume });
  }

  /** Where it belongs, or under `quarantine`. */
  async object(candidate: Candidate, quarantine?: { bucketId: number; key: string; why: Record<string, string> }) {
    const { blobId, lastModifiedMs, ownerAccountId = '', fate } = candidate;
    const bucketId = quarantine?.bucketId ?? candidate.bucketId;
    const key = Buffer.from(quarantine?.key ?? candidate.key);
    const put = {
      bucketId,
      key,
      order: blobId,
      lastModifiedMs,
      ownerId: this.#ownerIds.get(ownerAccountId) ?? FIRST_OWNER_ID,
      attributes: encodeAttributes(withUserMetadata(candidate.attributes, quarantine?.why)),
      blobs: candidate.blobIds.map((id) => this.#use(id)),
    };
    if (!this.#versioned.has(bucketId)) return await this.#add({ type: 'PutObject', ...put });
    const versionId = fate === 'restored' || quarantine !== undefined ? '' : this.#versionIdOf(candidate);
    await this.#add({ type: 'PutVersion', ...put, versionId });
  }

  /** Over versions of which nothing says which is current. `order`: above theirs. */
  async deleteMarker({ bucketId, key, lastModifiedMs }: Candidate, order: number): Promise<void> {
    const marker = { bucketId, key: Buffer.from(key), order, ownerId: FIRST_OWNER_ID, lastModifiedMs };
    await this.#add({ type: 'PutDeleteMarker', ...marker, versionId: makeVersionId(order, this.#randomness) });
  }

  /** What encrypted a version knows its id by the beginning. */
  #versionIdOf({ blobId, attributes: { encryption } }: Candidate): string {
    const seed = encryption === undefined ? undefined : decodeEncryption(encryption).seed;
    return makeVersionId(blobId, seed === undefined ? this.#randomness : { bytes: () => seed });
  }

  /** The sealed key ring, as a copy of it on a disk tells it. */
  async keyRing({ body }: KeyRingCopy): Promise<void> {
    await this.#add({ type: 'PutDocument', address: KEY_RING_ADDRESS, body });
  }

  #use(blobId: number): BlobUse {
    const blob = this.#catalog.blob(blobId)!;
    if (blob.isUsed) return { existingBlobId: blobId };
    this.#catalog.markUsed(blobId);
    const { sizeBytes, layout, footprint } = blob;
    this.#bytes += layout.length;
    return { newBlob: { blobId, sizeBytes, layout, footprint } };
  }

  async #add(record: JournalRecord): Promise<void> {
    this.#records.push(record);
    if (this.#records.length >= BATCH_RECORDS || this.#bytes >= BATCH_BYTES) await this.flush();
  }

  /** Resolves when all that was added is acknowledged. */
  async flush(): Promise<void> {
    const records = this.#records;
    this.#records = [];
    this.#bytes = 0;
    if (records.length > 0) await this.#store.commit({ type: 'ImportRecords', records });
  }
}

function withUserMetadata(attributes: ObjectAttributes, more: Record<string, string> | undefined): ObjectAttributes {
  return more === undefined ? attributes : { ...attributes, userMetadata: { ...attributes.userMetadata, ...more } };
}
