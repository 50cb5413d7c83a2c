import { digestsOf } from '../checksums/digest-of.ts';
import type { BlobWriter } from '../data-store/data-store.ts';
import { S3Error } from '../errors/s3-error.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { BlobRecord } from '../model/blob.ts';
import type { ChecksumAlgorithm, ObjectChecksum } from '../model/object-record.ts';
import { joined, readPieces } from '../streams/read-all.ts';
import type { RequestBody } from '../streams/request-body.ts';
import { verifyDigests } from '../streams/verify-digests.ts';
import { SINGLE_BODY_LIMIT_BYTES } from './object-rules.ts';
import type { ServiceStores } from './service-stores.ts';

/** What is known of a body once its last byte was seen. */
export interface StoredContent {
  sizeBytes: number;
  /** MD5 of the bytes, hex. */
  etag: string;
  checksum?: ObjectChecksum;
}

export interface StoreBodyRequest<R> {
  body: RequestBody;
  /** Kept with the content when the client sent no checksum; `undefined`: none. */
  defaultChecksum: ChecksumAlgorithm | undefined;
  /** The descriptor that goes into the stripe (blob-descriptor.ts). */
  describe: (content: StoredContent) => Buffer;
  /** Names the blob. Nothing is visible before. May be called again with another blob of the same content. */
  commit: (content: StoredContent, blob: BlobRecord) => Promise<R>;
}

type Digests = ReadonlyMap<ChecksumAlgorithm, Buffer>;

/** How often a small body is written anew because its volume was lost before the commit. */
const WRITE_LIMIT = 3;
/** Small bodies from this size on are hashed by the worker threads, together with others: else they hold up every request. */
const WORKER_THRESHOLD_BYTES = 32 * 1024;

/**
 * Takes a body into the data store and has it named. The order never changes: bytes, digests compared with what the
 * client claims, synced, commit. Whatever fails before the commit leaves bytes that nothing names.
 */
export class BodyWriter {
  readonly #stores: ServiceStores;

  constructor(stores: ServiceStores) {
    this.#stores = stores;
  }

  /**
   * @throws S3Error MissingContentLength | EntityTooLarge | IncompleteBody | BadDigest | XAmzContentSHA256Mismatch,
   *   what the body's iteration throws and what `commit` throws
   * @throws StoreError of the data store; BlobGone when a streamed body's volume was lost before the commit
   */
  async store<R>(request: StoreBodyRequest<R>): Promise<R> {
    const lengthBytes = request.body.lengthBytes;
    if (lengthBytes === undefined) throw new S3Error('MissingContentLength');
    if (lengthBytes > SINGLE_BODY_LIMIT_BYTES) {
      throw new S3Error('EntityTooLarge', {
        details: { ProposedSize: lengthBytes, MaxSizeAllowed: SINGLE_BODY_LIMIT_BYTES },
      });
    }
    return lengthBytes <= this.#stores.dataStore.smallBlobLimitBytes
      ? await this.#storeSmall(request, lengthBytes)
      : await this.#storeStream(request, lengthBytes);
  }

  /** Collected into one buffer, hashed in one go, packed with other small bodies into one stripe. */
  async #storeSmall<R>(request: StoreBodyRequest<R>, lengthBytes: number): Promise<R> {
    const pieces = await readPieces(request.body, lengthBytes);
    if (pieces.reduce((sum, { length }) => sum + length, 0) !== lengthBytes) throw new S3Error('IncompleteBody');
    const { bodyBuffers } = this.#stores;
    // Only now: a slow client must not hold a buffer. None free: the body is hashed here and now.
    const isLong = lengthBytes >= WORKER_THRESHOLD_BYTES && lengthBytes <= bodyBuffers.slotSizeBytes;
    const slot = isLong ? bodyBuffers.tryAcquire() : undefined;
    if (slot === undefined) return await this.#writeSmall(request, joined(pieces));
    try {
      let filled = 0;
      for (const piece of pieces) filled += piece.copy(slot.bytes, filled);
      return await this.#writeSmall(request, slot.bytes.subarray(0, lengthBytes));
    } finally {
      bodyBuffers.release(slot);
    }
  }

  async #writeSmall<R>(request: StoreBodyRequest<R>, bytes: Buffer): Promise<R> {
    const kept = keptAlgorithm(request);
    const digests = await this.#digestsOf(algorithmsOf(request.body, kept), bytes);
    const content = verify(request.body, digests, bytes.length, kept);
    const descriptor = request.describe(content);
    for (let attempt = 1; ; attempt++) {
      const pinned = await this.#stores.dataStore.writeSmall(bytes, descriptor);
      try {
        return await request.commit(content, pinned.blob);
      } catch (error) {
        if (!isStoreError(error, 'BlobGone') || attempt === WRITE_LIMIT) throw error;
      } finally {
        pinned.unpin();
      }
    }
  }

  /** Shared memory is hashed on the worker threads. */
  #digestsOf(algorithms: readonly ChecksumAlgorithm[], bytes: Buffer): Digests | Promise<Digests> {
    if (!(bytes.buffer instanceof SharedArrayBuffer)) return digestsOf(algorithms, bytes);
    const digests = this.#stores.digests.open(algorithms);
    // Digests come after the updates, and fail when one fails.
    digests.update(bytes)?.catch(() => undefined);
    return digests.digests();
  }

  /** Streams through stripes while workers hash what lies in their buffers. */
  async #storeStream<R>(request: StoreBodyRequest<R>, lengthBytes: number): Promise<R> {
    const kept = keptAlgorithm(request);
    const digests = this.#stores.digests.open(algorithmsOf(request.body, kept));
    let writer: BlobWriter | undefined;
    try {
      writer = await this.#stores.dataStore.openWriter({
        sizeBytes: lengthBytes,
        observe: (view) => digests.update(view),
      });
      await pump(request.body, writer, lengthBytes);
      await writer.settle();
      const content = verify(request.body, await digests.digests(), lengthBytes, kept);
      const pinned = await writer.finish(request.describe(content));
      try {
        return await request.commit(content, pinned.blob);
      } finally {
        pinned.unpin();
      }
    } catch (error) {
      await writer?.abort();
      throw error;
    } finally {
      digests.close();
    }
  }
}

async function pump(body: RequestBody, writer: BlobWriter, lengthBytes: number): Promise<void> {
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (received > lengthBytes) break;
    await writer.write(chunk);
  }
  if (received !== lengthBytes) throw new S3Error('IncompleteBody');
}

/** The algorithm whose value is kept: the one the client sent, else the default. */
function keptAlgorithm({ body, defaultChecksum }: StoreBodyRequest<unknown>): ChecksumAlgorithm | undefined {
  return body.expectations.find(({ kind }) => kind === 'checksum')?.algorithm ?? defaultChecksum;
}

/** Each once. MD5 is always among them: it is the ETag. */
function algorithmsOf(body: RequestBody, kept: ChecksumAlgorithm | undefined): ChecksumAlgorithm[] {
  const algorithms: ChecksumAlgorithm[] = ['MD5'];
  if (kept && kept !== 'MD5') algorithms.push(kept);
  for (const { algorithm } of body.expectations) if (!algorithms.includes(algorithm)) algorithms.push(algorithm);
  return algorithms;
}

/** @throws S3Error BadDigest | XAmzContentSHA256Mismatch | MalformedTrailerError */
function verify(
  body: RequestBody,
  digests: Digests,
  sizeBytes: number,
  kept: ChecksumAlgorithm | undefined,
): StoredContent {
  verifyDigests(body.expectations, digests);
  const etag = digests.get('MD5')!.toString('hex');
  if (!kept) return { sizeBytes, etag };
  const value = digests.get(kept)!.toString('base64');
  return { sizeBytes, etag, checksum: { algorithm: kept, type: 'FULL_OBJECT', value } };
}
