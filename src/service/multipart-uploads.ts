import type { ObjectOwnerAndAcl } from './access-control.ts';
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
import type { ObjectLock } from '../model/object-lock.ts';
import type { ByteRange } from '../data-store/data-store.ts';
import type { RequestBody } from '../streams/request-body.ts';
import { encodeBlobDescriptor } from './blob-descriptor.ts';
import { BodyWriter, type StoredContent } from './body-writer.ts';
import type { CustomerKey, EncryptionFacts, EncryptionWish } from './encryption/encryption-modes.ts';
import { encryptionFacts } from './encryption/encryption-record.ts';
import { openUpload } from './encryption/open-upload.ts';
import { openChecksum, type ReadPermit, unseal } from './encryption/read-sealed.ts';
import type { VersionSealing } from './encryption/version-sealing.ts';
import { checkUploadChecksum, partMismatch } from './multipart-checksums.ts';
import { MultipartCompleter, type CompleteRequest } from './multipart-completer.ts';
import { PartCopier } from './part-copier.ts';
import { ObjectReader } from './object-reader.ts';
import { requireDigest, requireObjectLock } from './lock-rules.ts';
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
  /** Absent: the bucket's owner, with full control. */
  ownership?: ObjectOwnerAndAcl;
  /** Of the object to come, as asked for; `undefined`: the bucket's default at Complete. */
  lock: ObjectLock | undefined;
  storageClass: string;
  checksumAlgorithm: ChecksumAlgorithm | undefined;
  checksumType: ChecksumType | undefined;
  encryption: EncryptionWish;
}

export interface UploadPartRequest extends UploadAddress, ReadPermit {
  partNumber: number;
  body: RequestBody;
}

export interface CopyPartRequest extends UploadAddress, ReadPermit {
  partNumber: number;
  source: ObjectAddress;
  sourceCustomerKey: CustomerKey | undefined;
  /** Throws what `x-amz-copy-source-if-*` ask for and names the bytes to copy. */
  selectSource: (source: ObjectRecord) => ByteRange;
}

export type WrittenPart = Omit<PartRecord, 'blobs' | 'encryption'> & { facts?: EncryptionFacts };

/** A part on its way into the store. */
type PartToWrite = UploadAddress & {
  partNumber: number;
  sealing: VersionSealing | undefined;
  lastModifiedMs: number;
};

/** Of an empty part of an encrypted upload, which has no stream. */
const NO_SALT = Buffer.alloc(0);

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

  /** @throws S3Error InvalidRequest (checksum algorithm and type do not go together, no Object Lock) | NoSuchBucket */
  async createUpload(request: CreateUploadRequest): Promise<UploadRecord> {
    if (request.lock !== undefined) requireObjectLock(request.bucket);
    const { bucket, key, headers, userMetadata, storageClass, tags } = request;
    const sealing = await this.#stores.encryption.begin(bucket, key, request.encryption);
    const upload: UploadRecord = {
      uploadId: this.#stores.randomness.bytes(UPLOAD_ID_BYTES).toString('base64url'),
      bucketId: bucket.bucketId,
      key,
      initiatedAtMs: this.#stores.clock.nowMs(),
      owner: request.ownership?.owner ?? bucket.owner,
      initiator: request.initiator,
      headers,
      userMetadata,
      storageClass,
      ...(tags ? { tags } : {}),
      ...(request.ownership?.acl ? { acl: request.ownership.acl } : {}),
      ...request.lock,
      ...checkUploadChecksum(request.checksumAlgorithm, request.checksumType),
      ...(sealing ? { encryption: sealing.encode([]) } : {}),
    };
    await this.#stores.metadataStore.commit({ type: 'CreateMultipartUpload', upload });
    return upload;
  }

  /**
   * Stores one part; a part of the same number is replaced.
   *
   * @throws S3Error NoSuchUpload | InvalidRequest (another checksum algorithm than the upload's, a lock without a digest) and those of PutObject's body
   */
  async uploadPart(request: UploadPartRequest): Promise<WrittenPart> {
    const upload = await this.getUpload(request);
    if (upload.retention !== undefined || upload.legalHold !== undefined) requireDigest(request.body);
    const given = request.body.expectations.find(({ kind }) => kind === 'checksum')?.algorithm;
    if (given && upload.checksumAlgorithm && given !== upload.checksumAlgorithm) {
      throw partMismatch(upload.checksumAlgorithm, given);
    }
    const sealing = await this.#openUpload(request, upload);
    const part = { ...request, sealing, lastModifiedMs: this.#stores.clock.nowMs() };
    return await this.#bodies.store({
      body: request.body,
      defaultChecksum: upload.checksumAlgorithm ?? this.#stores.defaultChecksum,
      sealing,
      storageClass: upload.storageClass,
      describe: (content) => this.#describePart(part, content),
      commit: (content, blob) => this.#commitPart(part, content, [{ newBlob: blob }]),
    });
  }

  /**
   * Makes a part of bytes that are stored already. Whole blobs are named again, other ranges are read and written.
   *
   * @throws S3Error NoSuchUpload | NoSuchKey | PreconditionFailed | InvalidArgument (range) | InvalidRequest (over 5 GiB)
   */
  async uploadPartCopy(request: CopyPartRequest): Promise<CopiedPart> {
    const upload = await this.getUpload(request);
    const sealing = await this.#openUpload(request, upload);
    const permit = { customerKey: request.sourceCustomerKey, authorizeKey: request.authorizeKey };
    for (let attempt = 1; ; attempt++) {
      const source = await unseal(this.#stores.encryption, await this.#objects.headSource(request.source), permit);
      const range = request.selectSource(source.object);
      const target = { ...request, sealing, lastModifiedMs: this.#stores.clock.nowMs() };
      try {
        const part = await this.#partCopier.copy({
          source,
          range,
          sealing,
          checksum: upload.checksumAlgorithm ?? this.#stores.defaultChecksum,
          storageClass: upload.storageClass,
          describe: (content) => this.#describePart(target, content),
          commit: (content, blobs) => this.#commitPart(target, content, blobs),
        });
        return { ...part, sourceVersionId: shownSourceVersionId(request.source.bucket, source.object) };
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
  async listParts(
    address: UploadAddress & ReadPermit,
    page: { afterPartNumber: number; limit: number },
  ): Promise<PartsPage> {
    const upload = await this.getUpload(address);
    const { afterPartNumber, limit } = page;
    if (limit === 0) return { upload, parts: [], isTruncated: false };
    const { uploadId } = address;
    const parts = await this.#stores.metadataStore.listParts({ uploadId, afterPartNumber, limit: limit + 1 });
    const isTruncated = parts.length > limit;
    const shown = isTruncated ? parts.slice(0, limit) : parts;
    return { upload, parts: await this.#revealParts(address, upload, shown), isTruncated };
  }

  /** With their checksums in the clear; those under a customer's key only for who brings it. */
  async #revealParts(
    request: UploadAddress & ReadPermit,
    upload: UploadRecord,
    parts: readonly PartRecord[],
  ): Promise<PartRecord[]> {
    if (encryptionFacts(upload.encryption)?.mode === 'SSE-C' && request.customerKey === undefined) {
      return parts.map(({ checksum: _sealed, ...part }) => part);
    }
    const sealing = await this.#openUpload(request, upload);
    return parts.map((part) => (sealing ? revealPartRecord(part, sealing) : part));
  }

  #openUpload({ bucket, customerKey, authorizeKey }: UploadAddress & ReadPermit, upload: UploadRecord) {
    return openUpload(this.#stores.encryption, { upload, bucket }, { customerKey, authorizeKey });
  }

  async listUploads(query: ListUploadsQuery): Promise<ListUploadsPage> {
    return await this.#stores.metadataStore.listUploads(query);
  }

  #describePart(request: PartToWrite, content: StoredContent): Buffer {
    const { sealing, lastModifiedMs } = request;
    return encodeBlobDescriptor({
      kind: 'part',
      bucketId: request.bucket.bucketId,
      bucketName: request.bucket.name,
      key: request.key,
      content: { ...storedContent(content, sealing), lastModifiedMs },
      uploadId: request.uploadId,
      partNumber: request.partNumber,
      encryption: sealing && (content.salt ?? NO_SALT),
    });
  }

  async #commitPart(request: PartToWrite, content: StoredContent, blobs: readonly BlobUse[]): Promise<WrittenPart> {
    const { sealing, lastModifiedMs } = request;
    const { etag, sizeBytes } = content;
    const { checksum } = storedContent(content, sealing);
    const part: Omit<PartRecord, 'blobs'> = {
      partNumber: request.partNumber,
      etag,
      sizeBytes,
      lastModifiedMs,
      ...(checksum ? { checksum: { algorithm: checksum.algorithm, value: checksum.value } } : {}),
      ...(sealing ? { encryption: content.salt ?? NO_SALT } : {}),
    };
    await this.#stores.metadataStore.commit({
      type: 'PutPart',
      bucketId: request.bucket.bucketId,
      key: request.key,
      uploadId: request.uploadId,
      part,
      blobs,
    });
    const { checksum: shown } = content;
    return {
      partNumber: request.partNumber,
      etag,
      sizeBytes,
      lastModifiedMs,
      ...(shown ? { checksum: { algorithm: shown.algorithm, value: shown.value } } : {}),
      ...(sealing ? { facts: sealing.facts } : {}),
    };
  }
}

/** As it is kept: of an encrypted upload with a sealed checksum. */
function storedContent(content: StoredContent, sealing: VersionSealing | undefined): StoredContent {
  if (sealing === undefined || content.checksum === undefined) return content;
  return { ...content, checksum: sealing.sealChecksum(content.checksum) };
}

function revealPartRecord(part: PartRecord, sealing: VersionSealing): PartRecord {
  return part.checksum ? { ...part, checksum: openChecksum(sealing, part.checksum) } : part;
}
