import type { ByteRange } from '../data-store/data-store.ts';
import { S3Error } from '../errors/s3-error.ts';
import type { BlobUse } from '../metadata-store/metadata-store.ts';
import type { BlobRecord } from '../model/blob.ts';
import type { ChecksumAlgorithm, ObjectRecord } from '../model/object-record.ts';
import { BodyWriter, type StoredContent } from './body-writer.ts';
import { digestObject } from './digest-object.ts';
import { rangeAsBody, type Unsealed } from './encryption/read-sealed.ts';
import type { VersionSealing } from './encryption/version-sealing.ts';
import type { ObjectReader } from './object-reader.ts';
import { SINGLE_BODY_LIMIT_BYTES } from './object-rules.ts';
import type { ServiceStores } from './service-stores.ts';

export interface PartCopy<R> {
  source: Unsealed;
  range: ByteRange;
  /** Of the upload; `undefined`: it is not encrypted. */
  sealing: VersionSealing | undefined;
  /** The part's checksum; `undefined`: none is kept. */
  checksum: ChecksumAlgorithm | undefined;
  /** Of the upload: bytes of another class are not named again, but written. */
  storageClass: string;
  describe: (content: StoredContent) => Buffer;
  commit: (content: StoredContent, blobs: readonly BlobUse[]) => Promise<R>;
}

const PLAIN_MD5 = /^[0-9a-f]{32}$/;

/**
 * Makes a part of a range of an object. A range of whole blobs is named again; another one, and whatever is encrypted on
 * either side, is read and written like an upload. Either way the part needs an ETag of its own: it is known only when the range is a whole object that was
 * written by one PutObject, otherwise the bytes are read and hashed.
 */
export class PartCopier {
  readonly #bodies: BodyWriter;
  readonly #tools: { reader: ObjectReader; digests: ServiceStores['digests'] };

  constructor(stores: ServiceStores, reader: ObjectReader) {
    this.#bodies = new BodyWriter(stores);
    this.#tools = { reader, digests: stores.digests };
  }

  /**
   * @throws S3Error InvalidRequest (over 5 GiB) and what `commit` throws
   * @throws StoreError BlobGone: the source was replaced or deleted meanwhile, look it up again
   */
  async copy<R>({ source, range, sealing, checksum, storageClass, describe, commit }: PartCopy<R>): Promise<R> {
    if (range.length > SINGLE_BODY_LIMIT_BYTES) {
      throw new S3Error('InvalidRequest', {
        message: `The specified copy source is larger than the maximum allowable size for a copy source: ${SINGLE_BODY_LIMIT_BYTES}`,
      });
    }
    const isPlain = source.sealing === undefined && sealing === undefined;
    const isPlaced = source.object.storageClass === storageClass;
    const blobs = isPlain && isPlaced ? wholeBlobs(source.object.blobs, range) : undefined;
    if (blobs) {
      const content =
        knownContent(source.object, range, checksum) ?? (await digestObject(this.#tools, source, range, checksum));
      return await commit(
        content,
        blobs.map(({ blobId }) => ({ existingBlobId: blobId })),
      );
    }
    return await this.#bodies.store({
      body: {
        lengthBytes: range.length,
        expectations: [],
        [Symbol.asyncIterator]: () => rangeAsBody(this.#tools.reader, source, range),
      },
      defaultChecksum: checksum,
      sealing,
      storageClass,
      describe,
      commit: (content, blob) => commit(content, [{ newBlob: blob }]),
    });
  }
}

/** The blobs that hold exactly the range; `undefined` when it is empty or begins or ends inside one. */
function wholeBlobs(blobs: readonly BlobRecord[], range: ByteRange): BlobRecord[] | undefined {
  const end = range.start + range.length;
  const chosen: BlobRecord[] = [];
  let offset = 0;
  for (const blob of blobs) {
    const blobEnd = offset + blob.sizeBytes;
    if (blob.sizeBytes > 0 && blobEnd > range.start && offset < end) {
      if (offset < range.start || blobEnd > end) return undefined;
      chosen.push(blob);
    }
    offset = blobEnd;
  }
  return chosen.length > 0 ? chosen : undefined;
}

function knownContent(
  source: ObjectRecord,
  range: ByteRange,
  wanted: ChecksumAlgorithm | undefined,
): StoredContent | undefined {
  const { etag, sizeBytes, checksum } = source;
  if (range.length !== sizeBytes || !PLAIN_MD5.test(etag)) return undefined;
  if (!wanted) return { etag, sizeBytes };
  if (checksum?.algorithm !== wanted || checksum.type !== 'FULL_OBJECT') return undefined;
  return { etag, sizeBytes, checksum };
}
