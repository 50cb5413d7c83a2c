import { isStoreError } from '../errors/store-error.ts';
import type { BlobUse, ListUploadsPage, ListUploadsQuery } from '../metadata-store/metadata-store.ts';
import type {
  BucketRecord,
  ChecksumAlgorithm,
  ChecksumType,
  ObjectAttributes,
  ObjectHeaders,
  ObjectRecord,
  Owner,
  PartRecord,
  UploadRecord,
} from '../model/object-record.ts';
import type { ByteRange } from '../data-store/data-store.ts';
import type { RequestBody } from '../streams/request-body.ts';
import { encodeBlobDescriptor } from './blob-descriptor.ts';
import { BodyWriter, type StoredContent } from './body-writer.ts';
import { checkUploadChecksum, partMismatch } from './multipart-checksums.ts';
import { MultipartCompleter, type CompleteRequest } from './multipart-completer.ts';
import { PartCopier } from './part-copier.ts';
import { ObjectReader } from './object-reader.ts';
import { noSuchUpload, shownSourceVersionId } from './object-rules.ts';
import type { ObjectAddress, ObjectService, WrittenObject } from './objects.ts';
import type { ServiceStores } from './service-stores.ts';

export const PART_NUMBER_LIMIT = 10_000;
const UPLOAD_ID_BYTES = 24;
/** How often a part is copied anew because the source was replaced under it. */
const COPY_LIMIT = 4;

/** An upload as a request names it. All three must belong together, or the upload does not exist. */
export interface UploadAddress {
  bucket: BucketRecord;
  key: string;
  uploadId: string;
}

export interface CreateUploadRequest {
  bucket: BucketRecord;
  key: string;
  initiator: Owner;
  headers: ObjectHeaders;
  userMetadata: Readonly<Record<string, string>>;
  tags: ObjectAttributes['tags'];
  storageClass: string;
  checksumAlgorithm: ChecksumAlgorithm | undefined;
  checksumType: ChecksumType | undefined;
}

export interface UploadPartRequest extends UploadAddress {
  partNumber: number;
  body: RequestBody;
}

export interface CopyPartRequest extends UploadAddress {
  partNumber: number;
  source: ObjectAddress;
  /** Throws what `x-amz-copy-source-if-*` ask for and names the bytes to copy. */
  selectSource: (source: ObjectRecord) => ByteRange;
}

export type WrittenPart = Omit<PartRecord, 'blobs'>;

/** Without `sourceVersionId`, the source's bucket never had versions. */
export type CopiedPart = WrittenPart & { sourceVersionId: string | undefined };

export interface PartsPage {
  upload: UploadRecord;
  parts: PartRecord[];
  isTruncated: boolean;
}

/** The rules of S3 for multipart uploads. Parts are blobs of their own; Complete names them in order and moves no bytes. */
export class MultipartService {
  readonly #stores: ServiceStores;
  readonly #objects: ObjectService;
  readonly #bodies: BodyWriter;
  readonly #partCopier: PartCopier;
  readonly #completer: MultipartCompleter;

  constructor(stores: ServiceStores, objects: ObjectService) {
    this.#stores = stores;
    this.#objects = objects;
    this.#bodies = new BodyWriter(stores);
    this.#partCopier = new PartCopier(stores, new ObjectReader(stores));
    this.#completer = new MultipartCompleter(stores);
  }

  /** @throws S3Error InvalidRequest (checksum algorithm and type do not go together) | NoSuchBucket */
  async createUpload(request: CreateUploadRequest): Promise<UploadRecord> {
    const { bucket, key, headers, userMetadata, storageClass, tags } = request;
    const upload: UploadRecord = {
      uploadId: this.#stores.randomness.bytes(UPLOAD_ID_BYTES).toString('base64url'),
      bucketId: bucket.bucketId,
      key,
      initiatedAtMs: this.#stores.clock.nowMs(),
      owner: bucket.owner,
      initiator: request.initiator,
      headers,
      userMetadata,
      storageClass,
      ...(tags ? { tags } : {}),
      ...checkUploadChecksum(request.checksumAlgorithm, request.checksumType),
    };
    await this.#stores.metadataStore.commit({ type: 'CreateMultipartUpload', upload });
    return upload;
  }

  /**
   * Stores one part; a part of the same number is replaced.
   *
   * @throws S3Error NoSuchUpload | InvalidRequest (another checksum algorithm than the upload's) and those of PutObject's body
   */
  async uploadPart(request: UploadPartRequest): Promise<WrittenPart> {
    const upload = await this.getUpload(request);
    const given = request.body.expectations.find(({ kind }) => kind === 'checksum')?.algorithm;
    if (given && upload.checksumAlgorithm && given !== upload.checksumAlgorithm) {
      throw partMismatch(upload.checksumAlgorithm, given);
    }
    const lastModifiedMs = this.#stores.clock.nowMs();
    return await this.#bodies.store({
      body: request.body,
      defaultChecksum: upload.checksumAlgorithm ?? this.#stores.defaultChecksum,
      describe: (content) => this.#describePart(request, content, lastModifiedMs),
      commit: (content, blob) => this.#commitPart(request, content, lastModifiedMs, [{ newBlob: blob }]),
    });
  }

  /**
   * Makes a part of bytes that are stored already. Whole blobs are named again, other ranges are read and written.
   *
   * @throws S3Error NoSuchUpload | NoSuchKey | PreconditionFailed | InvalidArgument (range) | InvalidRequest (over 5 GiB)
   */
  async uploadPartCopy(request: CopyPartRequest): Promise<CopiedPart> {
    const upload = await this.getUpload(request);
    for (let attempt = 1; ; attempt++) {
      const source = await this.#objects.headSource(request.source);
      const range = request.selectSource(source);
      const lastModifiedMs = this.#stores.clock.nowMs();
      try {
        const part = await this.#partCopier.copy({
          source,
          range,
          checksum: upload.checksumAlgorithm ?? this.#stores.defaultChecksum,
          describe: (content) => this.#describePart(request, content, lastModifiedMs),
          commit: (content, blobs) => this.#commitPart(request, content, lastModifiedMs, blobs),
        });
        return { ...part, sourceVersionId: shownSourceVersionId(request.source.bucket, source) };
      } catch (error) {
        if (!isStoreError(error, 'BlobGone') || attempt === COPY_LIMIT) throw error;
      }
    }
  }

  /** See MultipartCompleter. */
  async completeUpload(request: CompleteRequest): Promise<WrittenObject> {
    return await this.#completer.complete(request);
  }

  /** @throws S3Error NoSuchUpload */
  async abortUpload({ bucket, key, uploadId }: UploadAddress): Promise<void> {
    await this.#stores.metadataStore.commit({
      type: 'AbortMultipartUpload',
      bucketId: bucket.bucketId,
      key,
      uploadId,
    });
  }

  /** @throws S3Error NoSuchUpload */
  async getUpload({ bucket, key, uploadId }: UploadAddress): Promise<UploadRecord> {
    const upload = await this.#stores.metadataStore.getUpload({ bucketId: bucket.bucketId, key, uploadId });
    if (!upload) throw noSuchUpload(uploadId);
    return upload;
  }

  /** Parts after `afterPartNumber`, at most `limit`. @throws S3Error NoSuchUpload */
  async listParts(address: UploadAddress, page: { afterPartNumber: number; limit: number }): Promise<PartsPage> {
    const upload = await this.getUpload(address);
    const { afterPartNumber, limit } = page;
    if (limit === 0) return { upload, parts: [], isTruncated: false };
    const { uploadId } = address;
    const parts = await this.#stores.metadataStore.listParts({ uploadId, afterPartNumber, limit: limit + 1 });
    const isTruncated = parts.length > limit;
    return { upload, parts: isTruncated ? parts.slice(0, limit) : parts, isTruncated };
  }

  async listUploads(query: ListUploadsQuery): Promise<ListUploadsPage> {
    return await this.#stores.metadataStore.listUploads(query);
  }

  #describePart(
    request: UploadAddress & { partNumber: number },
    content: StoredContent,
    lastModifiedMs: number,
  ): Buffer {
    return encodeBlobDescriptor({
      kind: 'part',
      bucketId: request.bucket.bucketId,
      bucketName: request.bucket.name,
      key: request.key,
      content: { ...content, lastModifiedMs },
      uploadId: request.uploadId,
      partNumber: request.partNumber,
    });
  }

  async #commitPart(
    request: UploadAddress & { partNumber: number },
    content: StoredContent,
    lastModifiedMs: number,
    blobs: readonly BlobUse[],
  ): Promise<WrittenPart> {
    const { checksum, etag, sizeBytes } = content;
    const part: WrittenPart = {
      partNumber: request.partNumber,
      etag,
      sizeBytes,
      lastModifiedMs,
      ...(checksum ? { checksum: { algorithm: checksum.algorithm, value: checksum.value } } : {}),
    };
    await this.#stores.metadataStore.commit({
      type: 'PutPart',
      bucketId: request.bucket.bucketId,
      key: request.key,
      uploadId: request.uploadId,
      part,
      blobs,
    });
    return part;
  }
}
