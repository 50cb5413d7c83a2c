import type { ByteRange, DataPiece } from '../data-store/data-store.ts';
import { S3Error } from '../errors/s3-error.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { Mutation, VersionChange, WritePreconditions } from '../metadata-store/metadata-store.ts';
import type { ObjectLock } from '../model/object-lock.ts';
import type {
  BucketRecord,
  ChecksumAlgorithm,
  ObjectAttributes,
  ObjectChecksum,
  ObjectHeaders,
  ObjectRecord,
  Tag,
} from '../model/object-record.ts';
import type { RequestBody } from '../streams/request-body.ts';
import { type DescribedAttributes, type DescribedContent, encodeBlobDescriptor } from './blob-descriptor.ts';
import type { ObjectOwnerAndAcl } from './access-control.ts';
import { BodyWriter } from './body-writer.ts';
import type { EncryptionFacts, EncryptionWish } from './encryption/encryption-modes.ts';
import { encryptionFacts } from './encryption/encryption-record.ts';
import { openRange, type ReadPermit, unseal } from './encryption/read-sealed.ts';
import { updateEncryption, type UpdateEncryptionRequest } from './encryption/update-encryption.ts';
import { ObjectAppender } from './object-appender.ts';
import { ObjectCopier, type CopyObjectRequest, type CopiedObject } from './object-copier.ts';
import { ObjectReader } from './object-reader.ts';
import { ObjectRenamer, type RenameObjectRequest } from './object-renamer.ts';
import { checkVersionId } from './object-rules.ts';
import type { ServiceStores } from './service-stores.ts';

/** How often a read or a copy starts over because the object was replaced under it. */
const LOOK_UP_LIMIT = 4;

export interface ObjectAddress {
  bucket: BucketRecord;
  key: string;
  /** `versionId=` as the client sent it; `undefined`: the current version. */
  versionId?: string | undefined;
}

export interface PutObjectRequest {
  bucket: BucketRecord;
  key: string;
  body: RequestBody;
  headers: ObjectHeaders;
  userMetadata: Readonly<Record<string, string>>;
  tags: ObjectAttributes['tags'];
  /** As asked for, and checked by `checkLockedUpload`; `undefined`: the bucket's default. */
  lock: ObjectLock | undefined;
  storageClass: string;
  /** Absent: the bucket's owner, with full control. */
  ownership?: ObjectOwnerAndAcl;
  /** Kept when the client sent none; `undefined`: the server's default. */
  defaultChecksum?: ChecksumAlgorithm | undefined;
  preconditions: WritePreconditions | undefined;
  encryption: EncryptionWish;
  /** The body goes behind that of the object, which has this many bytes (ObjectAppender). */
  append?: { offsetBytes: number; namedStorageClass: string | undefined } | undefined;
}

export interface WrittenObject {
  versionId: string;
  etag: string;
  sizeBytes: number;
  lastModifiedMs: number;
  checksum: ObjectChecksum | undefined;
  /** Parts of a multipart object; `undefined` for one that has none. */
  partsCount?: number;
  /** Of Copy and Complete, unless something else has taken the object's place meanwhile. */
  tags?: readonly Tag[];
  encryption?: EncryptionFacts;
}

export interface OpenedObject<S> {
  object: ObjectRecord;
  selection: S;
  /** The bytes of `selection.range`, the first piece already verified. To be iterated, or its `return` called. */
  body: Buffer | AsyncIterableIterator<DataPiece>;
}

export interface DeleteRequest {
  key: string;
  versionId?: string | undefined;
  /** Asked for and permitted: a version retained in GOVERNANCE mode goes. */
  bypassesGovernance?: boolean;
  preconditions?: WritePreconditions | undefined;
}

export interface DeletedObject {
  /** The delete marker that was made, or the version that was named. `undefined`: the bucket never had versions. */
  versionId?: string;
  isDeleteMarker: boolean;
}

export type DeleteOutcome = { request: DeleteRequest } & (
  { deleted: DeletedObject; error?: undefined } | { deleted?: undefined; error: S3Error }
);

/**
 * The rules of S3 for objects. Bodies go through the data store first and are named by one commit of the metadata
 * store: what fails in between leaves bytes that nothing names and the collector reclaims.
 *
 * StoreErrors of both stores pass through; the pipeline answers them with 5xx.
 */
export class ObjectService {
  readonly #stores: ServiceStores;
  readonly #bodies: BodyWriter;
  readonly #reader: ObjectReader;
  readonly #copier: ObjectCopier;
  readonly #renamer: ObjectRenamer;
  readonly #appender: ObjectAppender;

  constructor(stores: ServiceStores) {
    this.#stores = stores;
    this.#bodies = new BodyWriter(stores);
    this.#reader = new ObjectReader(stores);
    this.#appender = new ObjectAppender(stores, this.#bodies, (request) => this.putObject(request));
    this.#renamer = new ObjectRenamer(stores);
    this.#copier = new ObjectCopier(stores, this.#reader, (request) => this.putObject(request));
  }

  /**
   * Stores a body under a key. Resolves when the bytes and the object's row are synced.
   *
   * @throws S3Error MissingContentLength | EntityTooLarge | IncompleteBody | BadDigest | XAmzContentSHA256Mismatch |
   *   PreconditionFailed | NoSuchKey (If-Match on a missing key) | NoSuchBucket
   */
  async putObject(request: PutObjectRequest): Promise<WrittenObject> {
    if (request.append !== undefined) return await this.#appender.append(request, request.append);
    const { bucket, key, preconditions, lock } = request;
    const lastModifiedMs = this.#stores.clock.nowMs();
    const { headers, userMetadata, tags, storageClass, ownership } = request;
    const owner = ownership === undefined ? bucket.owner : ownership.owner;
    const begun = this.#stores.encryption.begin(bucket, key, request.encryption);
    const sealing = begun === undefined ? undefined : await begun;
    let storedChecksum: ObjectChecksum | undefined;
    let encryption: Buffer | undefined;
    // No spreads here and below: each costs a microsecond in V8, and this is every upload's way.
    return await this.#bodies.store({
      body: request.body,
      defaultChecksum: request.defaultChecksum ?? this.#stores.defaultChecksum,
      sealing,
      storageClass,
      describe: (content) => {
        storedChecksum = content.checksum;
        if (sealing !== undefined) {
          if (storedChecksum) storedChecksum = sealing.sealChecksum(storedChecksum);
          encryption = sealing.encode(content.salt === undefined ? [] : [content.salt]);
        }
        const described: DescribedContent = { sizeBytes: content.sizeBytes, etag: content.etag, lastModifiedMs };
        if (storedChecksum) described.checksum = storedChecksum;
        const attributes: DescribedAttributes = {
          ownerAccountId: owner.accountId,
          storageClass,
          headers,
          userMetadata,
        };
        if (tags) attributes.tags = tags;
        const { bucketId, name } = bucket;
        return encodeBlobDescriptor({
          kind: 'object',
          bucketId,
          bucketName: name,
          key,
          content: described,
          attributes,
          encryption,
        });
      },
      commit: async (content, blob) => {
        const { sizeBytes, etag, checksum } = content;
        const attributes: ObjectAttributes = { etag, sizeBytes, headers, userMetadata, storageClass };
        if (storedChecksum) attributes.checksum = storedChecksum;
        if (tags) attributes.tags = tags;
        if (encryption) attributes.encryption = encryption;
        if (lock) Object.assign(attributes, lock);
        if (ownership?.acl) attributes.acl = ownership.acl;
        const mutation: Extract<Mutation, { type: 'PutObject' }> = {
          type: 'PutObject',
          bucketId: bucket.bucketId,
          key,
          owner,
          attributes,
          blobs: [{ newBlob: blob }],
          lastModifiedMs,
        };
        if (preconditions) mutation.preconditions = preconditions;
        if (sealing) mutation.versionSeed = sealing.name.seed;
        const written = await this.#stores.metadataStore.commit(mutation);
        const { versionId } = written;
        const answer: WrittenObject = {
          versionId,
          etag: written.etag,
          sizeBytes,
          lastModifiedMs: written.lastModifiedMs,
          checksum,
        };
        if (sealing) answer.encryption = sealing.facts;
        return answer;
      },
    });
  }

  /**
   * The record of an object, without its bytes.
   *
   * @throws S3Error NoSuchKey | NoSuchVersion | InvalidArgument (version id) | MethodNotAllowed (a delete marker, by its id)
   */
  async headObject({ bucket, key, versionId }: ObjectAddress): Promise<ObjectRecord> {
    if (versionId !== undefined) checkVersionId(versionId);
    const { bucketId } = bucket;
    const query = versionId === undefined ? { bucketId, key } : { bucketId, key, versionId };
    const object = await this.#stores.metadataStore.getObject(query);
    if (!object) {
      throw versionId === undefined
        ? new S3Error('NoSuchKey', { details: { Key: key } })
        : new S3Error('NoSuchVersion', { details: { Key: key, VersionId: versionId } });
    }
    if (object.isDeleteMarker) throw deleteMarkerError(object, versionId);
    return object;
  }

  /**
   * The record of the source of a copy.
   *
   * @throws S3Error as `headObject`; InvalidRequest for a delete marker by its id
   */
  async headSource(address: ObjectAddress): Promise<ObjectRecord> {
    try {
      return await this.headObject(address);
    } catch (error) {
      if (!(error instanceof S3Error) || error.code !== 'MethodNotAllowed') throw error;
      throw new S3Error('InvalidRequest', {
        message: 'The source of a copy request may not specifically refer to a delete marker by version id.',
        cause: error,
      });
    }
  }

  /**
   * The same with checksums in the clear, where `needsChecksums` says so. A version under a customer's key is shown only
   * to who has the key.
   *
   * @throws what `headObject` throws; S3Error InvalidRequest | AccessDenied (customer's key) | KMS.*; StoreError KeysUnavailable
   */
  async inspectObject(address: ObjectAddress & ReadPermit, needsChecksums: boolean): Promise<ObjectRecord> {
    const object = await this.headObject(address);
    const isFree = !needsChecksums && encryptionFacts(object.encryption)?.mode !== 'SSE-C';
    if (isFree && address.customerKey === undefined) return object;
    return (await unseal(this.#stores.encryption, object, address)).object;
  }

  /**
   * Opens an object for reading. `select` looks at the record (conditions, Range, partNumber), throws what the client
   * shall get, or names the bytes to read; it is asked again when the object was replaced before its first byte was
   * read. The bytes stay those of the returned record, whatever is written meanwhile, or the iteration fails.
   *
   * @throws what `headObject` and `select` throw
   */
  async getObject<S extends { range: ByteRange }>(
    address: ObjectAddress & ReadPermit,
    select: (object: ObjectRecord) => S,
  ): Promise<OpenedObject<S>> {
    for (let attempt = 1; ; attempt++) {
      const found = await this.headObject(address);
      const unsealed = await unseal(this.#stores.encryption, found, address);
      const { object } = unsealed;
      const selection = select(object);
      try {
        return { object, selection, body: await openRange(this.#reader, unsealed, selection.range) };
      } catch (error) {
        if (!isStoreError(error, 'BlobGone') || attempt === LOOK_UP_LIMIT) throw error;
      }
    }
  }

  /**
   * Changes what is said of a version: its tags, its retention, its legal hold or its ACL. No new version, ETag or time.
   *
   * @param onlyOrder of the version that was seen: no other may stand in its place
   * @throws S3Error NoSuchKey | NoSuchVersion | InvalidArgument (version id) | MethodNotAllowed (a delete marker, by its
   *   id) | AccessDenied (its lock forbids it) | ConditionalRequestConflict (it was replaced)
   */
  async changeVersion(
    { bucket, key, versionId }: ObjectAddress,
    change: VersionChange,
    onlyOrder?: number,
  ): Promise<{ versionId: string }> {
    if (versionId !== undefined) checkVersionId(versionId);
    try {
      return await this.#stores.metadataStore.commit({
        type: 'ChangeVersion',
        bucketId: bucket.bucketId,
        key,
        ...(versionId === undefined ? {} : { versionId }),
        ...(onlyOrder === undefined ? {} : { onlyOrder }),
        change,
      });
    } catch (error) {
      const isReplaced = error instanceof S3Error && error.code === 'PreconditionFailed';
      throw isReplaced ? new S3Error('ConditionalRequestConflict', { cause: error }) : error;
    }
  }

  /**
   * Deletes an object, covers it with a delete marker, or deletes a version; deleting what is not there succeeds.
   *
   * @throws S3Error PreconditionFailed | InvalidArgument (version id)
   */
  async deleteObject(bucket: BucketRecord, request: DeleteRequest): Promise<DeletedObject> {
    const { key, versionId, preconditions } = request;
    if (versionId !== undefined) checkVersionId(versionId);
    const result = await this.#stores.metadataStore.commit({
      type: 'DeleteObject',
      bucketId: bucket.bucketId,
      key,
      owner: bucket.owner,
      ...(versionId === undefined ? {} : { versionId }),
      ...(request.bypassesGovernance ? { bypassesGovernance: true } : {}),
      atMs: this.#stores.clock.nowMs(),
      ...(preconditions ? { preconditions } : {}),
    });
    const { isDeleteMarker, deletedVersionId } = result;
    return { isDeleteMarker, ...(deletedVersionId === undefined ? {} : { versionId: deletedVersionId }) };
  }

  /**
   * Deletes each; outcomes in the order of the requests. All are committed together, and all are decided when this
   * resolves. A failure of the environment fails the whole call: deleting again is harmless.
   */
  async deleteObjects(bucket: BucketRecord, requests: readonly DeleteRequest[]): Promise<DeleteOutcome[]> {
    const settled = await Promise.allSettled(requests.map((request) => this.deleteObject(bucket, request)));
    return settled.map((result, index): DeleteOutcome => {
      const request = requests[index]!;
      if (result.status === 'fulfilled') return { request, deleted: result.value };
      if (result.reason instanceof S3Error && result.reason.code !== 'NoSuchBucket') {
        return { request, error: result.reason };
      }
      throw result.reason;
    });
  }

  /** See `updateEncryption`. */
  async updateEncryption(request: UpdateEncryptionRequest): Promise<{ versionId: string }> {
    return await updateEncryption(this.#stores, request, (address) => this.headObject(address));
  }

  /** See ObjectRenamer. */
  async renameObject(request: RenameObjectRequest): Promise<void> {
    await this.#renamer.rename(request);
  }

  /** See ObjectCopier. */
  async copyObject(request: CopyObjectRequest): Promise<CopiedObject> {
    for (let attempt = 1; ; attempt++) {
      const source = await this.headSource(request.source);
      try {
        return await this.#copier.copy(source, request);
      } catch (error) {
        if (!isStoreError(error, 'BlobGone') || attempt === LOOK_UP_LIMIT) throw error;
      }
    }
  }
}

function deleteMarkerError(marker: ObjectRecord, versionId: string | undefined): S3Error {
  const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': marker.versionId };
  if (versionId === undefined) return new S3Error('NoSuchKey', { details: { Key: marker.key }, headers });
  return new S3Error('MethodNotAllowed', {
    details: { Method: 'GET', ResourceType: 'DeleteMarker' },
    headers: { ...headers, allow: 'DELETE', 'last-modified': new Date(marker.lastModifiedMs).toUTCString() },
  });
}
