import { S3Error } from '../errors/s3-error.ts';
import type { BlobUse, WritePreconditions } from '../metadata-store/metadata-store.ts';
import type {
  BucketRecord,
  ChecksumAlgorithm,
  ObjectAttributes,
  ObjectHeaders,
  ObjectRecord,
} from '../model/object-record.ts';
import { encodeBlobDescriptor } from './blob-descriptor.ts';
import { digestObject } from './digest-object.ts';
import type { ObjectReader } from './object-reader.ts';
import { shownSourceVersionId, SINGLE_BODY_LIMIT_BYTES } from './object-rules.ts';
import type { ObjectAddress, WrittenObject } from './objects.ts';
import type { ServiceStores } from './service-stores.ts';

export interface CopyObjectRequest {
  source: ObjectAddress;
  /** Throws what `x-amz-copy-source-if-*` ask for. */
  checkSource: (source: ObjectRecord) => void;
  bucket: BucketRecord;
  key: string;
  /** `x-amz-metadata-directive: REPLACE`; otherwise both are copied. */
  replaceMetadata: { headers: ObjectHeaders; userMetadata: Readonly<Record<string, string>> } | undefined;
  /** `x-amz-tagging-directive: REPLACE`; otherwise the tags are copied. */
  replaceTags: { tags: ObjectAttributes['tags'] } | undefined;
  /** As the client named it, if it did. */
  storageClass: string | undefined;
  /** `x-amz-checksum-algorithm`; otherwise the checksum is copied. */
  checksumAlgorithm: ChecksumAlgorithm | undefined;
  preconditions: WritePreconditions | undefined;
}

export interface CopiedObject extends WrittenObject {
  /** `undefined`: the source's bucket never had versions. */
  sourceVersionId: string | undefined;
}

/** What a copy keeps of its source, or computes anew. */
type CopiedContent = Pick<ObjectAttributes, 'etag' | 'sizeBytes' | 'checksum' | 'parts'>;

const EMPTY = Buffer.alloc(0);

/**
 * Copies an object by naming the same blobs under another key: no bytes move, whatever the size. A copy therefore
 * keeps the source's ETag, parts and checksum (docs/decisions/0007-copy-etag.md). Only a checksum that the source does
 * not have is computed, by reading; then the ETag is the MD5 of the bytes that were read, as AWS's is.
 */
export class ObjectCopier {
  readonly #stores: ServiceStores;
  readonly #tools: { reader: ObjectReader; digests: ServiceStores['digests'] };

  constructor(stores: ServiceStores, reader: ObjectReader) {
    this.#stores = stores;
    this.#tools = { reader, digests: stores.digests };
  }

  /**
   * @throws S3Error PreconditionFailed | InvalidRequest (onto itself without a change, over 5 GiB) | NoSuchBucket | NoSuchKey
   * @throws StoreError BlobGone: the source was replaced or deleted meanwhile, look it up again
   */
  async copy(source: ObjectRecord, request: CopyObjectRequest): Promise<CopiedObject> {
    request.checkSource(source);
    if (source.sizeBytes > SINGLE_BODY_LIMIT_BYTES) {
      throw new S3Error('InvalidRequest', {
        message: `The specified copy source is larger than the maximum allowable size for a copy source: ${SINGLE_BODY_LIMIT_BYTES}`,
      });
    }
    const computed = checksumToCompute(source, request.checksumAlgorithm);
    refuseUnchangedSelfCopy(source, request, computed);
    const content: CopiedContent = computed
      ? await digestObject(this.#tools, source, { start: 0, length: source.sizeBytes }, computed)
      : keptContent(source);
    return await this.#commit(source, request, content);
  }

  async #commit(source: ObjectRecord, request: CopyObjectRequest, content: CopiedContent): Promise<CopiedObject> {
    const { bucket, key, preconditions } = request;
    const lastModifiedMs = this.#stores.clock.nowMs();
    const { headers, userMetadata } = request.replaceMetadata ?? source;
    const tags = request.replaceTags ? request.replaceTags.tags : source.tags;
    const storageClass = request.storageClass ?? source.storageClass;
    const named = { headers, userMetadata, storageClass, ...(tags ? { tags } : {}) };
    const blobs = source.blobs.filter((blob) => blob.sizeBytes > 0);
    const manifest = await this.#stores.dataStore.writeSmall(
      EMPTY,
      encodeBlobDescriptor({
        kind: 'manifest',
        bucketId: bucket.bucketId,
        bucketName: bucket.name,
        key,
        content: { ...content, lastModifiedMs },
        attributes: { ...named, ownerAccountId: bucket.owner.accountId },
        uploadId: '',
        blobs,
        parts: content.parts ?? [],
      }),
    );
    try {
      const written = await this.#stores.metadataStore.commit({
        type: 'PutObject',
        bucketId: bucket.bucketId,
        key,
        owner: bucket.owner,
        attributes: { ...content, ...named },
        blobs: [...blobs.map(({ blobId }): BlobUse => ({ existingBlobId: blobId })), { newBlob: manifest.blob }],
        lastModifiedMs,
        ...(preconditions ? { preconditions } : {}),
      });
      return {
        ...written,
        sizeBytes: content.sizeBytes,
        checksum: content.checksum,
        tags: tags ?? [],
        ...(content.parts ? { partsCount: content.parts.length } : {}),
        sourceVersionId: shownSourceVersionId(request.source.bucket, source),
      };
    } finally {
      manifest.unpin();
    }
  }
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
  const isChanged = request.replaceMetadata || request.storageClass !== undefined || computed;
  if (!isSelfCopy || isChanged) return;
  throw new S3Error('InvalidRequest', {
    message:
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  });
}
