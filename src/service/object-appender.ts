import { createHash } from 'node:crypto';
import { CHECKSUM_ALGORITHMS } from '../checksums/checksum-algorithms.ts';
import { combineCrcs } from '../checksums/combine-crcs.ts';
import { digestOf } from '../checksums/digest-of.ts';
import { S3Error } from '../errors/s3-error.ts';
import { attributesOf, type ObjectChecksum, type ObjectPart, type ObjectRecord } from '../model/object-record.ts';
import { requireStoreFormat } from '../model/store-format.ts';
import { encodeBlobDescriptor } from './blob-descriptor.ts';
import type { BodyWriter, StoredContent } from './body-writer.ts';
import { decodeEncryption, encryptionFacts } from './encryption/encryption-record.ts';
import { unseal } from './encryption/read-sealed.ts';
import type { VersionSealing } from './encryption/version-sealing.ts';
import { PART_MINIMUM_BYTES } from './multipart-completer.ts';
import { PART_NUMBER_LIMIT } from './multipart-uploads.ts';
import type { PutObjectRequest, WrittenObject } from './objects.ts';
import type { ServiceStores } from './service-stores.ts';

type Append = NonNullable<PutObjectRequest['append']>;

/** What SDKs send for a body of which they know nothing, and what an object has that came without one. */
const ANY_CONTENT_TYPE: ReadonlySet<string> = new Set(['application/octet-stream', 'binary/octet-stream']);

/** No upload has such parts but an appended one. */
export function wasAppended({ parts = [] }: Pick<ObjectRecord, 'parts'>): boolean {
  return parts.some(({ sizeBytes }, index) => sizeBytes < PART_MINIMUM_BYTES && index < parts.length - 1);
}

/** The object as it goes on: everything but the new bytes in the clear. */
interface Continued {
  readonly object: ObjectRecord;
  /** Of the object, with its checksums in the clear; what was one body is one part. */
  readonly parts: readonly ObjectPart[];
  readonly checksum: ObjectChecksum | undefined;
  readonly sealing: VersionSealing | undefined;
}

/** What becomes of the object by the content that goes behind it. */
interface Outcome {
  readonly etag: string;
  readonly checksum: ObjectChecksum | undefined;
  /** The same two as they are stored. */
  readonly storedChecksum: ObjectChecksum | undefined;
  readonly encryption: Buffer | undefined;
  readonly addedParts: { sizeBytes: number; checksum?: string }[];
}

/**
 * Appends to objects: the new bytes are one more part and one more blob, and nothing of what is there is read or written
 * again. The ETag becomes one of parts, a checksum that can be combined stays one of the whole, any other becomes one of
 * parts, as in a multipart upload. The new bytes of an encrypted object are sealed under its data key.
 */
export class ObjectAppender {
  readonly #stores: ServiceStores;
  readonly #bodies: BodyWriter;
  readonly #put: (request: PutObjectRequest) => Promise<WrittenObject>;

  constructor(stores: ServiceStores, bodies: BodyWriter, put: (request: PutObjectRequest) => Promise<WrittenObject>) {
    this.#stores = stores;
    this.#bodies = bodies;
    this.#put = put;
  }

  /**
   * Where there is no object, an append at 0 makes one.
   *
   * @throws S3Error InvalidWriteOffset | TooManyParts | EncryptionTypeMismatch | InvalidRequest (it would change what is said
   *   of the object) | NotImplemented (versions, format 1) | ConditionalRequestConflict, and what PutObject throws
   */
  async append(request: PutObjectRequest, append: Append): Promise<WrittenObject> {
    const { bucket, key } = request;
    requireStoreFormat(this.#stores.metadataStore.formatVersion(), 2, 'Appending to an object');
    if (bucket.configuration.versioning !== undefined) {
      throw new S3Error('NotImplemented', {
        message: 'Appending is not implemented for buckets that have, or had, versioning enabled.',
      });
    }
    const object = await this.#stores.metadataStore.getObject({ bucketId: bucket.bucketId, key });
    if ((object?.sizeBytes ?? 0) !== append.offsetBytes) throw new S3Error('InvalidWriteOffset');
    if (object === undefined) return await this.#create(request);
    refuseChanges(object, request, append);
    return await this.#continue(request, await this.#open(object, request));
  }

  async #create({ append: _append, ...request }: PutObjectRequest): Promise<WrittenObject> {
    const { ifNoneMatch = [], ...preconditions } = request.preconditions ?? {};
    try {
      return await this.#put({ ...request, preconditions: { ...preconditions, ifNoneMatch: ['*'] } });
    } catch (error) {
      const isTaken = error instanceof S3Error && error.code === 'PreconditionFailed' && ifNoneMatch.length === 0;
      throw isTaken ? new S3Error('InvalidWriteOffset', { cause: error }) : error;
    }
  }

  async #open(object: ObjectRecord, { bucket, encryption: wish }: PutObjectRequest): Promise<Continued> {
    const { encryption: service } = this.#stores;
    const { requested, authorizeKey } = wish;
    const facts = encryptionFacts(object.encryption);
    const isSame =
      facts === undefined
        ? service.effective(bucket, wish) === undefined
        : requested === undefined ||
          (requested.mode === 'SSE-C' ? facts.mode === 'SSE-C' : service.canRewrap(object.encryption!, requested));
    if (!isSame) throw new S3Error('EncryptionTypeMismatch');
    if (facts?.mode === 'aws:kms') await authorizeKey('kms:GenerateDataKey', facts.keyArn);
    const customerKey = requested?.mode === 'SSE-C' ? requested.customerKey : undefined;
    const { object: revealed, sealing } = await unseal(service, object, { customerKey, authorizeKey });
    const { checksum, sizeBytes } = revealed;
    const whole: ObjectPart = { partNumber: 1, sizeBytes, ...(checksum ? { checksum: checksum.value } : {}) };
    const parts = revealed.parts ?? (sizeBytes === 0 ? [] : [whole]);
    if (Math.max(parts.length, parts.at(-1)?.partNumber ?? 0) >= PART_NUMBER_LIMIT) throw new S3Error('TooManyParts');
    return { object, parts, checksum, sealing };
  }

  async #continue(request: PutObjectRequest, continued: Continued): Promise<WrittenObject> {
    const { bucket, key, body, preconditions } = request;
    const { object, sealing, checksum: before } = continued;
    const { bucketId } = bucket;
    const lastModifiedMs = this.#stores.clock.nowMs();
    let outcome: Outcome | undefined;
    return await this.#bodies.store({
      body,
      defaultChecksum: object.sizeBytes === 0 ? this.#stores.defaultChecksum : undefined,
      keptChecksum: before?.algorithm,
      sealing,
      storageClass: object.storageClass,
      describe: (content) => {
        outcome = outcomeOf(continued, content);
        const { etag, storedChecksum } = outcome;
        const sizeBytes = object.sizeBytes + content.sizeBytes;
        return encodeBlobDescriptor({
          kind: 'object',
          bucketId,
          bucketName: bucket.name,
          key,
          content: { sizeBytes, etag, lastModifiedMs, ...(storedChecksum ? { checksum: storedChecksum } : {}) },
          attributes: { ...object, ownerAccountId: object.owner.accountId },
          encryption: sealing?.encode(content.salt === undefined ? [] : [content.salt]),
          previous: object.blobs.at(-1)?.blobId,
        });
      },
      commit: async (content, blob) => {
        const { etag, checksum, storedChecksum, encryption, addedParts } = outcome!;
        const sizeBytes = object.sizeBytes + content.sizeBytes;
        const written = await this.#stores.metadataStore.commit({
          type: 'AppendObject',
          bucketId,
          key,
          seen: { order: object.order, sizeBytes: object.sizeBytes, attributes: attributesOf(object) },
          etag,
          sizeBytes,
          lastModifiedMs,
          checksum: storedChecksum,
          encryption,
          parts: addedParts,
          blobs: [{ newBlob: blob }],
          ...(preconditions ? { preconditions } : {}),
        });
        const partsCount = continued.parts.length + 1;
        const { tags = [] } = object;
        const facts = sealing ? { encryption: sealing.facts } : {};
        return { ...written, sizeBytes, checksum, partsCount, tags, ...facts };
      },
    });
  }
}

/** @throws S3Error InvalidRequest */
function refuseChanges(object: ObjectRecord, request: PutObjectRequest, { namedStorageClass }: Append): void {
  const { headers, userMetadata, tags } = request;
  const changes = [
    ...Object.entries(headers).filter(
      ([name, value]) => object.headers[name] !== value && !(name === 'content-type' && ANY_CONTENT_TYPE.has(value)),
    ),
    ...Object.entries(userMetadata).filter(([name, value]) => object.userMetadata[name] !== value),
  ].map(([name]) => name);
  if (tags !== undefined && JSON.stringify(tags) !== JSON.stringify(object.tags ?? [])) changes.push('x-amz-tagging');
  if (namedStorageClass !== undefined && namedStorageClass !== object.storageClass) changes.push('x-amz-storage-class');
  if (changes.length === 0) return;
  throw new S3Error('InvalidRequest', {
    message: `An append changes nothing that is said of the object: ${changes.join(', ')}.`,
  });
}

function outcomeOf({ object, parts, checksum: before, sealing }: Continued, content: StoredContent): Outcome {
  const seal = (checksum: ObjectChecksum | undefined): ObjectChecksum | undefined =>
    checksum && sealing ? sealing.sealChecksum(checksum) : checksum;
  const own = content.checksum;
  const added = { sizeBytes: content.sizeBytes, ...(own ? { checksum: seal(own)!.value } : {}) };
  // What was one body becomes the first part; its checksum is sealed already.
  const first = object.parts === undefined ? parts.map(({ sizeBytes }) => wholeAsPart(object, sizeBytes)) : [];
  const checksum = parts.length === 0 ? own : wholeChecksum(object.sizeBytes, before, parts, own, content.sizeBytes);
  let encryption: Buffer | undefined;
  if (sealing !== undefined) {
    const { salts } = decodeEncryption(object.encryption!);
    encryption = sealing.encode(content.salt === undefined ? salts : [...salts, content.salt]);
  }
  return {
    etag: etagOf(object.etag, content.etag, parts.length + 1),
    checksum,
    storedChecksum: seal(checksum),
    encryption,
    addedParts: [...first, added],
  };
}

function wholeAsPart({ checksum }: ObjectRecord, sizeBytes: number): { sizeBytes: number; checksum?: string } {
  return { sizeBytes, ...(checksum ? { checksum: checksum.value } : {}) };
}

/** `undefined`: the object had none, or not all of its parts have one. */
function wholeChecksum(
  formerBytes: number,
  before: ObjectChecksum | undefined,
  parts: readonly ObjectPart[],
  own: ObjectChecksum | undefined,
  addedBytes: number,
): ObjectChecksum | undefined {
  if (before === undefined || own?.algorithm !== before.algorithm) return undefined;
  const { algorithm } = before;
  const digest = (value: string): Buffer => Buffer.from(value, 'base64');
  if (before.type === 'FULL_OBJECT' && CHECKSUM_ALGORITHMS.get(algorithm)!.multipartTypes.includes('FULL_OBJECT')) {
    const whole = combineCrcs(algorithm, [
      { digest: digest(before.value), sizeBytes: formerBytes },
      { digest: digest(own.value), sizeBytes: addedBytes },
    ]);
    return { algorithm, type: 'FULL_OBJECT', value: whole.toString('base64') };
  }
  const values = [...parts.map((part) => part.checksum), own.value];
  if (!values.every((value) => value !== undefined)) return undefined;
  return {
    algorithm,
    type: 'COMPOSITE',
    value: digestOf(algorithm, Buffer.concat(values.map(digest))).toString('base64'),
  };
}

/** Of parts, as its ending says: MD5 of the ETag before and of the new body's. */
function etagOf(former: string, added: string, partCount: number): string {
  const hash = createHash('md5').update(former.slice(0, 32), 'hex').update(added, 'hex');
  return `${hash.digest('hex')}-${partCount}`;
}
