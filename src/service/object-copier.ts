import { S3Error } from '../errors/s3-error.ts';
import type { WritePreconditions } from '../metadata-store/metadata-store.ts';
import type {
  BucketRecord,
  ChecksumAlgorithm,
  ObjectAttributes,
  ObjectHeaders,
  ObjectRecord,
} from '../model/object-record.ts';
import type { ObjectLock } from '../model/object-lock.ts';
import type { ObjectOwnerAndAcl } from './access-control.ts';
import { requireObjectLock } from './lock-rules.ts';
import { digestObject } from './digest-object.ts';
import type { CustomerKey, EncryptionWish } from './encryption/encryption-modes.ts';
import { decodeEncryption } from './encryption/encryption-record.ts';
import { refuseCustomerKey } from './encryption/encryption-service.ts';
import { rangeAsBody, sealPart, unseal, type Unsealed } from './encryption/read-sealed.ts';
import type { VersionSealing } from './encryption/version-sealing.ts';
import type { ObjectReader } from './object-reader.ts';
import { wasAppended } from './object-appender.ts';
import { shownSourceVersionId, SINGLE_BODY_LIMIT_BYTES } from './object-rules.ts';
import type { ObjectAddress, PutObjectRequest, WrittenObject } from './objects.ts';
import { placeBlobs } from './place-blobs.ts';
import type { ServiceStores } from './service-stores.ts';

export interface CopyObjectRequest {
  source: ObjectAddress;
  /** Throws what `x-amz-copy-source-if-*` ask for. */
  checkSource: (source: ObjectRecord) => Promise<void>;
  bucket: BucketRecord;
  key: string;
  /** `x-amz-metadata-directive: REPLACE`; otherwise both are copied. */
  replaceMetadata: { headers: ObjectHeaders; userMetadata: Readonly<Record<string, string>> } | undefined;
  /** `x-amz-tagging-directive: REPLACE`; otherwise the tags are copied. */
  replaceTags: { tags: ObjectAttributes['tags'] } | undefined;
  /** As asked for; `undefined`: the bucket's default. That of the source is never copied. */
  lock: ObjectLock | undefined;
  /** Of the copy. */
  storageClass: string;
  /** Of the copy, never of the source. Absent: the bucket's owner, with full control. */
  ownership?: ObjectOwnerAndAcl;
  /** The client named it: then a copy onto itself changes something. */
  namesStorageClass: boolean;
  /** `x-amz-checksum-algorithm`; otherwise the checksum is copied. */
  checksumAlgorithm: ChecksumAlgorithm | undefined;
  preconditions: WritePreconditions | undefined;
  encryption: EncryptionWish;
  /** `x-amz-copy-source-server-side-encryption-customer-*`. */
  sourceCustomerKey: CustomerKey | undefined;
}

export interface CopiedObject extends WrittenObject {
  /** `undefined`: the source's bucket never had versions. */
  sourceVersionId: string | undefined;
}

/** What a copy keeps of its source, or computes anew. */
type CopiedContent = Pick<ObjectAttributes, 'etag' | 'sizeBytes' | 'checksum' | 'parts'>;

/**
 * Copies an object by naming the same blobs under another key: no bytes move, whatever the size. A copy therefore
 * keeps the source's ETag, parts and checksum (docs/decisions/0007-copy-etag.md). Only a checksum that the source does
 * not have is computed, by reading; then the ETag is the MD5 of the bytes that were read, as AWS's is.
 *
 * So it is between two places with the same encryption: the data key goes along under a new envelope. Where the
 * encryption changes, or a customer's key has a part in it, or the source was appended to piece by piece, the bytes are read and written again, as an upload is.
 */
export class ObjectCopier {
  readonly #stores: ServiceStores;
  readonly #tools: { reader: ObjectReader; digests: ServiceStores['digests'] };
  readonly #put: (request: PutObjectRequest) => Promise<WrittenObject>;

  constructor(stores: ServiceStores, reader: ObjectReader, put: (request: PutObjectRequest) => Promise<WrittenObject>) {
    this.#stores = stores;
    this.#put = put;
    this.#tools = { reader, digests: stores.digests };
  }

  /**
   * @throws S3Error PreconditionFailed | InvalidRequest (onto itself without a change, over 5 GiB, a lock without Object Lock) | NoSuchBucket | NoSuchKey
   * @throws StoreError BlobGone: the source was replaced or deleted meanwhile, look it up again
   */
  async copy(source: ObjectRecord, request: CopyObjectRequest): Promise<CopiedObject> {
    await request.checkSource(source);
    if (request.lock !== undefined) requireObjectLock(request.bucket);
    if (source.sizeBytes > SINGLE_BODY_LIMIT_BYTES) {
      throw new S3Error('InvalidRequest', {
        message: `The specified copy source is larger than the maximum allowable size for a copy source: ${SINGLE_BODY_LIMIT_BYTES}`,
      });
    }
    const computed = checksumToCompute(source, request.checksumAlgorithm);
    refuseUnchangedSelfCopy(source, request, computed);
    const effective = this.#stores.encryption.effective(request.bucket, request.encryption);
    if (source.encryption === undefined && effective === undefined) {
      refuseCustomerKey(request.sourceCustomerKey);
      if (wasAppended(source)) return await this.#rewrite({ object: source, sealing: undefined }, request);
      return await this.#commit(source, request, await this.#content({ object: source, sealing: undefined }, computed));
    }
    const permit = { customerKey: request.sourceCustomerKey, authorizeKey: request.encryption.authorizeKey };
    const unsealed = await unseal(this.#stores.encryption, source, permit);
    const { encryption } = source;
    if (
      effective === undefined ||
      encryption === undefined ||
      wasAppended(source) ||
      !this.#stores.encryption.canRewrap(encryption, effective)
    ) {
      return await this.#rewrite(unsealed, request);
    }
    const { bucket, key } = request;
    const target = { bucket, key, wish: request.encryption };
    const rewrapped = await this.#stores.encryption.rewrap(unsealed.sealing!, target, effective);
    const content = await this.#content(unsealed, computed);
    // Sealed already, under the same data key.
    const stored = computed === undefined ? keptContent(source) : sealedContent(content, rewrapped);
    return await this.#commit(source, request, content, { sealing: rewrapped, content: stored });
  }

  async #content(source: Unsealed, computed: ChecksumAlgorithm | undefined): Promise<CopiedContent> {
    const { object, sealing } = source;
    if (computed === undefined) return keptContent(object);
    const content = await digestObject(this.#tools, source, { start: 0, length: object.sizeBytes }, computed);
    return sealing?.hasOpaqueEtag === true ? { ...content, etag: sealing.makeOpaqueEtag() } : content;
  }

  /** As an upload of the same bytes: with the ETag of one, a checksum over all of it, and without parts. */
  async #rewrite(source: Unsealed, request: CopyObjectRequest): Promise<CopiedObject> {
    const { object } = source;
    const { bucket, key, preconditions, encryption } = request;
    const { headers, userMetadata } = request.replaceMetadata ?? object;
    const range = { start: 0, length: object.sizeBytes };
    const tags = request.replaceTags ? request.replaceTags.tags : object.tags;
    const written = await this.#put({
      bucket,
      key,
      body: {
        lengthBytes: object.sizeBytes,
        expectations: [],
        [Symbol.asyncIterator]: () => rangeAsBody(this.#tools.reader, source, range),
      },
      headers,
      userMetadata,
      tags,
      lock: request.lock,
      storageClass: request.storageClass,
      ...(request.ownership ? { ownership: request.ownership } : {}),
      defaultChecksum: request.checksumAlgorithm ?? object.checksum?.algorithm,
      preconditions,
      encryption,
    });
    return { ...written, tags: tags ?? [], sourceVersionId: shownSourceVersionId(request.source.bucket, object) };
  }

  /** Names the source's blobs. `sealed`: the source's data key under the envelope of the copy, and what it seals. */
  async #commit(
    source: ObjectRecord,
    request: CopyObjectRequest,
    content: CopiedContent,
    sealed?: { sealing: VersionSealing; content: CopiedContent },
  ): Promise<CopiedObject> {
    const stored = sealed?.content ?? content;
    const encryption = sealed?.sealing.encode(decodeEncryption(source.encryption!).salts);
    const { bucket, key, preconditions } = request;
    const lastModifiedMs = this.#stores.clock.nowMs();
    const { headers, userMetadata } = request.replaceMetadata ?? source;
    const tags = request.replaceTags ? request.replaceTags.tags : source.tags;
    const { storageClass } = request;
    const { owner, acl } = request.ownership ?? { owner: bucket.owner, acl: undefined };
    const named = { headers, userMetadata, storageClass, ...(tags ? { tags } : {}) };
    const placed = await placeBlobs(this.#stores, source, {
      storageClass,
      describe: (blobs) => ({
        kind: 'manifest',
        bucketId: bucket.bucketId,
        bucketName: bucket.name,
        key,
        content: { ...stored, lastModifiedMs },
        attributes: { ...named, ownerAccountId: owner.accountId },
        uploadId: '',
        blobs,
        parts: content.parts ?? [],
        encryption,
      }),
    });
    try {
      const written = await this.#stores.metadataStore.commit({
        type: 'PutObject',
        bucketId: bucket.bucketId,
        key,
        owner,
        attributes: {
          ...stored,
          ...named,
          ...request.lock,
          ...(encryption ? { encryption } : {}),
          ...(acl ? { acl } : {}),
        },
        blobs: placed.uses,
        lastModifiedMs,
        ...(sealed ? { versionSeed: sealed.sealing.name.seed } : {}),
        ...(preconditions ? { preconditions } : {}),
      });
      return {
        ...written,
        sizeBytes: content.sizeBytes,
        checksum: content.checksum,
        tags: tags ?? [],
        ...(content.parts ? { partsCount: content.parts.length } : {}),
        ...(sealed ? { encryption: sealed.sealing.facts } : {}),
        sourceVersionId: shownSourceVersionId(request.source.bucket, source),
      };
    } finally {
      placed.unpin();
    }
  }
}

/** With its checksums sealed. */
function sealedContent(content: CopiedContent, sealing: VersionSealing): CopiedContent {
  const { checksum, parts } = content;
  return {
    ...content,
    ...(checksum ? { checksum: sealing.sealChecksum(checksum) } : {}),
    ...(parts ? { parts: parts.map((part) => sealPart(part, sealing)) } : {}),
  };
}

function keptContent({ etag, sizeBytes, checksum, parts }: ObjectRecord): CopiedContent {
  return { etag, sizeBytes, ...(checksum ? { checksum } : {}), ...(parts ? { parts } : {}) };
}

/** The algorithm that was asked for, unless the source has its value over the whole object already. */
function checksumToCompute(source: ObjectRecord, wanted: ChecksumAlgorithm | undefined): ChecksumAlgorithm | undefined {
  const kept = source.checksum;
  return kept?.algorithm === wanted && kept?.type === 'FULL_OBJECT' ? undefined : wanted;
}

function refuseUnchangedSelfCopy(
  source: ObjectRecord,
  request: CopyObjectRequest,
  computed: ChecksumAlgorithm | undefined,
): void {
  // A version that is named is brought back as the newest one.
  const isBroughtBack = request.source.versionId !== undefined && request.bucket.configuration.versioning !== undefined;
  const isSelfCopy = source.bucketId === request.bucket.bucketId && source.key === request.key && !isBroughtBack;
  const isChanged =
    request.replaceMetadata ||
    request.namesStorageClass ||
    computed ||
    request.encryption.requested !== undefined ||
    // As AWS does: a bucket that says how its objects are encrypted encrypts this one so.
    request.bucket.configuration.encryption?.default !== undefined;
  if (!isSelfCopy || isChanged) return;
  throw new S3Error('InvalidRequest', {
    message:
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  });
}
