import { S3Error } from '../errors/s3-error.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { RenamedSource } from '../metadata-store/metadata-store.ts';
import { attributesOf, type BucketRecord, type ObjectAttributes, type ObjectRecord } from '../model/object-record.ts';
import type { AuthorizeKey } from './encryption/encryption-modes.ts';
import { decodeEncryption } from './encryption/encryption-record.ts';
import { unseal } from './encryption/read-sealed.ts';
import { placeBlobs } from './place-blobs.ts';
import type { ServiceStores } from './service-stores.ts';

/** How often it starts over because one of the keys was written to meanwhile. */
const LOOK_UP_LIMIT = 8;

export interface RenameObjectRequest {
  bucket: BucketRecord;
  sourceKey: string;
  key: string;
  /** Throws what conditions on the source ask for, and may ask whether the caller may have what goes along. */
  checkSource: (source: ObjectRecord) => Promise<void>;
  /** Throws what conditions on the destination ask for; `undefined`: there are none. */
  checkDestination: ((destination: ObjectRecord | undefined) => void) | undefined;
  token: { value: string; meaning: Buffer } | undefined;
  authorizeKey: AuthorizeKey;
}

/**
 * Renames an object within its bucket: one commit takes it from the one key to the other, with its ETag, time, metadata,
 * tags and storage class. No bytes move. An envelope is bound to its key, so that of an encrypted object is sealed anew,
 * under the same wrapping key; a small manifest tells a recovery from shards where the bytes belong now.
 */
export class ObjectRenamer {
  readonly #stores: ServiceStores;

  constructor(stores: ServiceStores) {
    this.#stores = stores;
  }

  /**
   * @throws S3Error NoSuchKey (the source) | PreconditionFailed | NotImplemented (versions) | InvalidRequest (under a
   *   customer's key) | ConditionalRequestConflict | IdempotencyParameterMismatch | AccessDenied (its key) | KMS.*
   * @throws StoreError KeysUnavailable
   */
  async rename(request: RenameObjectRequest): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#tryToRename(request);
      } catch (error) {
        if (isOvertaken(error) && attempt < LOOK_UP_LIMIT) continue;
        // A retry of what succeeded finds no source, or conditions that held before it.
        if (error instanceof S3Error && request.token !== undefined && (await this.#wasDone(request))) return;
        throw error;
      }
    }
  }

  async #tryToRename(request: RenameObjectRequest): Promise<void> {
    const { bucket, sourceKey, key, checkDestination } = request;
    const { bucketId } = bucket;
    const { metadataStore } = this.#stores;
    const found = await metadataStore.getObject({ bucketId, key: sourceKey });
    const source = found?.isDeleteMarker === true ? undefined : found;
    if (source === undefined) throw new S3Error('NoSuchKey', { details: { Key: sourceKey } });
    await request.checkSource(source);
    let destinationOrder: number | undefined;
    if (checkDestination !== undefined) {
      const destination = await metadataStore.getObject({ bucketId, key });
      checkDestination(destination?.isDeleteMarker === true ? undefined : destination);
      destinationOrder = destination?.order ?? 0;
    }
    const attributes = await this.#renamedAttributes(source, request);
    const { storageClass, lastModifiedMs, owner, order } = source;
    const placed = await placeBlobs(this.#stores, source, {
      storageClass,
      describe: (blobs) => ({
        kind: 'manifest',
        bucketId,
        bucketName: bucket.name,
        key,
        content: { ...attributes, lastModifiedMs },
        attributes: { ...attributes, ownerAccountId: owner.accountId },
        uploadId: '',
        blobs,
        parts: attributes.parts ?? [],
        encryption: attributes.encryption,
      }),
    });
    try {
      const renamed: RenamedSource = {
        order,
        owner,
        lastModifiedMs,
        seen: attributesOf(source),
        attributes,
        blobs: placed.uses,
      };
      await this.#commit(request, renamed, destinationOrder);
    } finally {
      placed.unpin();
    }
  }

  async #commit(
    { bucket, sourceKey, key, token }: RenameObjectRequest,
    source: RenamedSource | undefined,
    destinationOrder: number | undefined,
  ): Promise<void> {
    const named = { bucketId: bucket.bucketId, sourceKey, key, source, destinationOrder };
    await this.#stores.metadataStore.commit({ type: 'RenameObject', ...named, ...(token ? { token } : {}) });
  }

  /** @throws S3Error IdempotencyParameterMismatch */
  async #wasDone(request: RenameObjectRequest): Promise<boolean> {
    try {
      await this.#commit(request, undefined, undefined);
      return true;
    } catch (error) {
      if (error instanceof S3Error && error.code !== 'IdempotencyParameterMismatch') return false;
      throw error;
    }
  }

  async #renamedAttributes(
    source: ObjectRecord,
    { bucket, key, authorizeKey }: RenameObjectRequest,
  ): Promise<ObjectAttributes> {
    const kept = attributesOf(source);
    // Sealed checksums stay as they are: the data key is the same.
    const { encryption } = kept;
    if (encryption === undefined) return kept;
    const service = this.#stores.encryption;
    const { sealing } = await unseal(service, source, { customerKey: undefined, authorizeKey });
    const renamed = await service.renamed(sealing!, { bucket, key, authorizeKey });
    const resealed = renamed.encode(decodeEncryption(encryption).salts);
    sealing!.end();
    renamed.end();
    return { ...kept, encryption: resealed };
  }
}

function isOvertaken(error: unknown): boolean {
  return isStoreError(error, 'BlobGone') || (error instanceof S3Error && error.code === 'ConditionalRequestConflict');
}
