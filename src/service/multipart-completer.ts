import { createHash } from 'node:crypto';
import { S3Error } from '../errors/s3-error.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { WritePreconditions } from '../metadata-store/metadata-store.ts';
import { lockOf } from '../model/object-lock.ts';
import type {
  ChecksumAlgorithm,
  ObjectAttributes,
  ObjectChecksum,
  PartRecord,
  UploadRecord,
} from '../model/object-record.ts';
import { decodeEncryption, encodeEncryption, encryptionFacts } from './encryption/encryption-record.ts';
import { customerKeysBlocked } from './encryption/encryption-service.ts';
import { openUpload } from './encryption/open-upload.ts';
import { openChecksum, type ReadPermit } from './encryption/read-sealed.ts';
import type { VersionSealing } from './encryption/version-sealing.ts';
import { checkClaimedChecksum, completedChecksum, type ClaimedChecksum } from './multipart-checksums.ts';
import type { UploadAddress } from './multipart-uploads.ts';
import { noSuchUpload } from './object-rules.ts';
import type { WrittenObject } from './objects.ts';
import type { ServiceStores } from './service-stores.ts';
import { writeManifests } from './write-manifests.ts';

/** Every part but the last. */
export const PART_MINIMUM_BYTES = 5 * 1024 * 1024;
/** Parts are read in pages, so that an upload of 10,000 does not hold up everyone else. */
const PARTS_PAGE = 1000;
/** How often the parts are read again because one was sent again meanwhile, or a volume was lost. */
const READ_LIMIT = 4;

/** A part as the client lists it. */
export interface ListedPart {
  partNumber: number;
  /** Without quotes. */
  etag: string;
  /** `ChecksumCRC32` and the like, as far as the client gave them. AWS insists on them for composite ones; the ETag names a part as well. */
  checksums: readonly { algorithm: ChecksumAlgorithm; value: string }[];
}

export interface CompleteRequest extends UploadAddress, ReadPermit {
  parts: readonly ListedPart[];
  claimed: ClaimedChecksum;
  /** `x-amz-mp-object-size`. */
  claimedSizeBytes: number | undefined;
  preconditions: WritePreconditions | undefined;
}

/**
 * Makes an object of uploaded parts: one commit that names their blobs in order, and a small manifest in the data store
 * for a recovery from shards alone. No bytes move; parts that the client does not list are dropped with the upload.
 */
export class MultipartCompleter {
  readonly #stores: ServiceStores;

  constructor(stores: ServiceStores) {
    this.#stores = stores;
  }

  /**
   * A retry of a completion that succeeded is answered as the first was.
   *
   * @throws S3Error NoSuchUpload | InvalidPartOrder | InvalidPart | EntityTooSmall | BadDigest |
   *   InvalidRequest (size, checksum) | PreconditionFailed | NoSuchKey (If-Match on a missing key)
   */
  async complete(request: CompleteRequest): Promise<WrittenObject> {
    checkOrder(request.parts);
    const { bucket, key, uploadId } = request;
    const upload = await this.#stores.metadataStore.getUpload({ bucketId: bucket.bucketId, key, uploadId });
    if (!upload) return await this.#answerRetry(request);
    const sealing = await this.#openUpload(request, upload);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#completeAsListed(request, upload, sealing);
      } catch (error) {
        if (isStoreError(error, 'BlobGone') && attempt < READ_LIMIT) continue;
        // Its parts may be gone because the same completion, sent twice, has ended meanwhile.
        if (!isLate(error) || (await this.#isThere(request))) throw error;
        return await this.#answerRetry(request);
      }
    }
  }

  async #isThere({ bucket, key, uploadId }: CompleteRequest): Promise<boolean> {
    const { bucketId } = bucket;
    return (await this.#stores.metadataStore.getUpload({ bucketId, key, uploadId })) !== undefined;
  }

  async #completeAsListed(
    request: CompleteRequest,
    upload: UploadRecord,
    sealing: VersionSealing | undefined,
  ): Promise<WrittenObject> {
    const parts = await this.#readListedParts(request, upload, sealing);
    checkSizes(parts, request.claimedSizeBytes);
    const checksum = completedChecksum(upload, parts);
    checkClaimedChecksum(request.claimed, checksum, parts.length);
    return await this.#commit(request, upload, parts, { checksum, sealing });
  }

  /**
   * A customer's key is needed for the checksums alone, so without it there is only a completion without one.
   * @throws S3Error InvalidArgument (a checksum was promised)
   */
  async #openUpload(
    { bucket, customerKey, authorizeKey }: CompleteRequest,
    upload: UploadRecord,
  ): Promise<VersionSealing | undefined> {
    const isCustomers = encryptionFacts(upload.encryption)?.mode === 'SSE-C';
    if (isCustomers && customerKey === undefined) {
      if (bucket.configuration.encryption?.blocksCustomerKeys === true) throw customerKeysBlocked(bucket.name);
      if (upload.checksumAlgorithm === undefined) return undefined;
      throw new S3Error('InvalidArgument', {
        message:
          'Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.',
        details: { ArgumentName: 'x-amz-server-side-encryption', ArgumentValue: 'null' },
      });
    }
    return await openUpload(this.#stores.encryption, { upload, bucket }, { customerKey, authorizeKey });
  }

  /** The stored parts that the client lists, each the one it means. */
  async #readListedParts(
    request: CompleteRequest,
    upload: UploadRecord,
    sealing: VersionSealing | undefined,
  ): Promise<PartRecord[]> {
    const { uploadId } = request;
    const stored = new Map<number, PartRecord>();
    const lastListed = request.parts.at(-1)?.partNumber ?? 0;
    for (let afterPartNumber = 0; afterPartNumber < lastListed;) {
      const page = await this.#stores.metadataStore.listParts({ uploadId, afterPartNumber, limit: PARTS_PAGE });
      for (const part of page) stored.set(part.partNumber, part);
      if (page.length < PARTS_PAGE) break;
      afterPartNumber = page.at(-1)!.partNumber;
    }
    return request.parts.map((listed) => {
      const found = stored.get(listed.partNumber);
      const part = found && readable(found, upload, sealing);
      const isMeant =
        part?.etag === listed.etag &&
        listed.checksums.every(
          ({ algorithm, value }) => part.checksum?.algorithm === algorithm && part.checksum.value === value,
        );
      if (!part || !isMeant) throw invalidPart(uploadId, listed);
      return part;
    });
  }

  async #commit(
    request: CompleteRequest,
    upload: UploadRecord,
    parts: readonly PartRecord[],
    { checksum, sealing }: { checksum: ObjectChecksum | undefined; sealing: VersionSealing | undefined },
  ): Promise<WrittenObject> {
    const { bucket, key, uploadId, preconditions } = request;
    const lastModifiedMs = this.#stores.clock.nowMs();
    const { encryption, seed } = completedEncryption(upload, parts);
    const attributes: ObjectAttributes = {
      etag: multipartEtag(parts.map(({ etag }) => etag)),
      sizeBytes: parts.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
      headers: upload.headers,
      userMetadata: upload.userMetadata,
      storageClass: upload.storageClass,
      ...(checksum ? { checksum: sealing ? sealing.sealChecksum(checksum) : checksum } : {}),
      ...(encryption ? { encryption } : {}),
      ...(upload.tags ? { tags: upload.tags } : {}),
      ...(upload.acl ? { acl: upload.acl } : {}),
      ...lockOf(upload),
      parts: parts.map(({ partNumber, sizeBytes, checksum: own }) => ({
        partNumber,
        sizeBytes,
        ...(checksum && own ? { checksum: sealing ? sealing.sealChecksum(own).value : own.value } : {}),
      })),
    };
    const { dataStore, metadataStore } = this.#stores;
    const manifests = await writeManifests(
      { dataStore, formatVersion: () => metadataStore.formatVersion() },
      {
        kind: 'manifest',
        bucketId: bucket.bucketId,
        bucketName: bucket.name,
        key,
        content: { ...attributes, lastModifiedMs },
        attributes: { ...attributes, ownerAccountId: upload.owner.accountId },
        uploadId,
        blobs: parts.flatMap(({ blobs }) => blobs),
        parts: attributes.parts ?? [],
        encryption,
      },
      { storageClass: upload.storageClass },
    );
    try {
      const written = await this.#stores.metadataStore.commit({
        type: 'CompleteMultipartUpload',
        bucketId: bucket.bucketId,
        key,
        uploadId,
        parts: parts.map(({ partNumber, etag, encryption: salt }) => ({ partNumber, etag, encryption: salt })),
        attributes,
        manifests: manifests.map(({ blob }) => blob),
        lastModifiedMs,
        ...(seed ? { versionSeed: seed } : {}),
        ...(preconditions ? { preconditions } : {}),
      });
      // Somebody else's completion came first, with other parts.
      if (written.etag !== attributes.etag) throw noSuchUpload(uploadId);
      const facts = encryptionFacts(encryption);
      const { sizeBytes, tags = [] } = attributes;
      return {
        ...written,
        sizeBytes,
        checksum,
        partsCount: parts.length,
        tags,
        ...(facts ? { encryption: facts } : {}),
      };
    } finally {
      for (const manifest of manifests) manifest.unpin();
    }
  }

  /** The upload is gone: completed before, when the store remembers it, or never there. */
  async #answerRetry(request: CompleteRequest): Promise<WrittenObject> {
    const { bucket, key, uploadId } = request;
    const { bucketId } = bucket;
    const etag = multipartEtag(request.parts.map((part) => part.etag));
    const written = await this.#stores.metadataStore.commit({
      type: 'CompleteMultipartUpload',
      bucketId,
      key,
      uploadId,
      parts: request.parts.map((part) => ({ partNumber: part.partNumber, etag: part.etag })),
      attributes: { etag, sizeBytes: 0, headers: {}, userMetadata: {}, storageClass: 'STANDARD' },
      lastModifiedMs: this.#stores.clock.nowMs(),
    });
    if (written.etag !== etag) throw noSuchUpload(uploadId);
    const object = await this.#stores.metadataStore.getObject({ bucketId, key, versionId: written.versionId });
    const isCurrent = object?.order === written.order;
    return {
      ...written,
      sizeBytes: isCurrent ? object.sizeBytes : 0,
      // Of an encrypted object it is sealed, and this answer was given once already.
      checksum: isCurrent && !object.encryption ? object.checksum : undefined,
      partsCount: request.parts.length,
      ...(isCurrent ? { tags: object.tags ?? [] } : {}),
    };
  }
}

/** What a completion is told of an upload that ends while it looks. */
function isLate(error: unknown): boolean {
  return error instanceof S3Error && (error.code === 'InvalidPart' || error.code === 'NoSuchUpload');
}

/** With its checksum in the clear; without one when that is sealed and no key is at hand. */
function readable(part: PartRecord, upload: UploadRecord, sealing: VersionSealing | undefined): PartRecord {
  if (upload.encryption === undefined || part.checksum === undefined) return part;
  if (sealing !== undefined) return { ...part, checksum: openChecksum(sealing, part.checksum) };
  const { checksum: _sealed, ...rest } = part;
  return rest;
}

/** The upload's encryption with the streams of its parts, and the seed of the version's id. */
function completedEncryption(
  { encryption }: UploadRecord,
  parts: readonly PartRecord[],
): { encryption?: Buffer; seed?: Buffer } {
  if (encryption === undefined) return {};
  const record = decodeEncryption(encryption);
  const salts = parts.flatMap((part) => (part.sizeBytes > 0 ? [part.encryption!] : []));
  return { encryption: encodeEncryption({ ...record, salts }), seed: record.seed };
}

/** MD5 of the parts' MD5s, and how many there are. */
function multipartEtag(partEtags: readonly string[]): string {
  const hash = createHash('md5');
  for (const etag of partEtags) hash.update(etag, 'hex');
  return `${hash.digest('hex')}-${partEtags.length}`;
}

function checkOrder(parts: readonly ListedPart[]): void {
  let before = 0;
  for (const { partNumber } of parts) {
    if (partNumber <= before) throw new S3Error('InvalidPartOrder');
    before = partNumber;
  }
}

function checkSizes(parts: readonly PartRecord[], claimedSizeBytes: number | undefined): void {
  let sizeBytes = 0;
  for (const [index, part] of parts.entries()) {
    sizeBytes += part.sizeBytes;
    if (part.sizeBytes < PART_MINIMUM_BYTES && index < parts.length - 1) {
      throw new S3Error('EntityTooSmall', {
        details: {
          ProposedSize: part.sizeBytes,
          MinSizeAllowed: PART_MINIMUM_BYTES,
          PartNumber: part.partNumber,
          ETag: part.etag,
        },
      });
    }
  }
  if (claimedSizeBytes !== undefined && claimedSizeBytes !== sizeBytes) {
    throw new S3Error('InvalidRequest', {
      message: `The provided 'x-amz-mp-object-size' header value ${claimedSizeBytes} does not match what was computed: ${sizeBytes}`,
    });
  }
}

function invalidPart(uploadId: string, { partNumber, etag }: ListedPart): S3Error {
  return new S3Error('InvalidPart', { details: { UploadId: uploadId, PartNumber: partNumber, ETag: etag } });
}
