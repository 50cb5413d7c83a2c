import { digestsOf } from '../checksums/digest-of.ts';
import type { BlobWriter } from '../data-store/data-store.ts';
import { sealedSizeBytes, sealPackages } from '../encryption/package-format.ts';
import { StreamSealer } from '../encryption/stream-sealer.ts';
import { S3Error } from '../errors/s3-error.ts';
import { isStoreError } from '../errors/store-error.ts';
import { copyBytes } from '../memory/copy-bytes.ts';
import type { BlobRecord } from '../model/blob.ts';
import type { ChecksumAlgorithm, ObjectChecksum } from '../model/object-record.ts';
import { STANDARD } from '../model/storage-class.ts';
import { joined, readPieces } from '../streams/read-all.ts';
import { peekBody } from '../streams/peek-body.ts';
import type { RequestBody } from '../streams/request-body.ts';
import { verifyDigests } from '../streams/verify-digests.ts';
import type { VersionSealing } from './encryption/version-sealing.ts';
import { SINGLE_BODY_LIMIT_BYTES } from './object-rules.ts';
import type { ServiceStores } from './service-stores.ts';

/** What is known of a body once its last byte was seen. */
export interface StoredContent {
  sizeBytes: number;
  /** MD5 of the bytes, hex; of a body that is sealed for SSE-C or SSE-KMS 32 random hex digits. */
  etag: string;
  checksum?: ObjectChecksum;
  /** Of the stream into which it was sealed; an empty body has none. */
  salt?: Buffer;
}

export interface StoreBodyRequest<R> {
  body: RequestBody;
  /** Kept with the content when the client sent no checksum; `undefined`: none. */
  defaultChecksum: ChecksumAlgorithm | undefined;
  /** Kept with the content whatever the client sent, which is compared all the same. */
  keptChecksum?: ChecksumAlgorithm | undefined;
  /** Seals what is stored; `undefined`: it is stored as it is. Sizes, ETag and checksum of the content are those of the plain bytes. */
  sealing?: VersionSealing | undefined;
  /** In whose volumes the bytes come to lie. */
  storageClass: string;
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
    if (lengthBytes === undefined) return await this.#storeOfUnknownLength(request);
    if (lengthBytes > SINGLE_BODY_LIMIT_BYTES) {
      throw new S3Error('EntityTooLarge', {
        details: { ProposedSize: lengthBytes, MaxSizeAllowed: SINGLE_BODY_LIMIT_BYTES },
      });
    }
    const storedBytes = request.sealing === undefined ? lengthBytes : sealedSizeBytes(lengthBytes);
    if (storedBytes <= this.#stores.dataStore.smallBlobLimitBytes) return await this.#storeSmall(request, lengthBytes);
    return request.sealing === undefined
      ? await this.#storeStream(request, lengthBytes)
      : await this.#storeSealedStream(request, request.sealing, lengthBytes);
  }

  /** What ends within the limit of small bodies has a length after all. */
  async #storeOfUnknownLength<R>(request: StoreBodyRequest<R>): Promise<R> {
    if (request.body.tellsItsEnd !== true) throw new S3Error('MissingContentLength');
    const body = await peekBody(request.body, this.#stores.dataStore.smallBlobLimitBytes);
    const peeked: StoreBodyRequest<R> = { ...request, body };
    if (body.lengthBytes !== undefined) return await this.store(peeked);
    const { sealing } = request;
    return sealing === undefined
      ? await this.#storeStream(peeked, undefined)
      : await this.#storeSealedStream(peeked, sealing, undefined);
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
      for (const piece of pieces) {
        copyBytes(piece, { target: slot.bytes, at: filled });
        filled += piece.length;
      }
      return await this.#writeSmall(request, slot.bytes.subarray(0, lengthBytes));
    } finally {
      bodyBuffers.release(slot);
    }
  }

  async #writeSmall<R>(request: StoreBodyRequest<R>, bytes: Buffer): Promise<R> {
    const kept = keptAlgorithm(request);
    const { sealing } = request;
    const digests = await this.#digestsOf(algorithmsOf(request, kept), bytes);
    const content = verify(request, digests, bytes.length, kept);
    const stored = sealing === undefined || bytes.length === 0 ? bytes : sealSmall(bytes, sealing, content);
    const descriptor = request.describe(content);
    const { storageClass } = request;
    const { dataStore } = this.#stores;
    for (let attempt = 1; ; attempt++) {
      const pinned = await (storageClass === STANDARD
        ? dataStore.writeSmall(stored, descriptor)
        : dataStore.writeSmall(stored, descriptor, { storageClass }));
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
  async #storeStream<R>(request: StoreBodyRequest<R>, lengthBytes: number | undefined): Promise<R> {
    const kept = keptAlgorithm(request);
    const digests = this.#stores.digests.open(algorithmsOf(request, kept));
    let writer: BlobWriter | undefined;
    try {
      writer = await this.#stores.dataStore.openWriter({
        ...(lengthBytes === undefined ? {} : { sizeBytes: lengthBytes }),
        storageClass: request.storageClass,
        observe: (view) => digests.update(view),
      });
      const target = writer;
      const sizeBytes = await pump(request.body, (chunk) => target.write(chunk), lengthBytes);
      // Asked for with the last bytes: those of a body that may go on wait for others to be hashed with.
      const settled = writer.settle();
      const [found] = await Promise.all([digests.digests(), settled]);
      const content = verify(request, found, sizeBytes, kept);
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

  /** The same with packages sealed on the way; what is hashed are the plain bytes. */
  async #storeSealedStream<R>(
    request: StoreBodyRequest<R>,
    sealing: VersionSealing,
    lengthBytes: number | undefined,
  ): Promise<R> {
    const kept = keptAlgorithm(request);
    const digests = this.#stores.digests.open(algorithmsOf(request, kept));
    const salt = sealing.makeSalt();
    let writer: BlobWriter | undefined;
    let sealer: StreamSealer | undefined;
    try {
      const target = await this.#stores.dataStore.openWriter({
        ...(lengthBytes === undefined ? {} : { sizeBytes: sealedSizeBytes(lengthBytes) }),
        storageClass: request.storageClass,
      });
      writer = target;
      const source = (sealer = new StreamSealer({
        tools: sealing.tools,
        streamKey: sealing.streamKey(salt),
        observe: (plain) => digests.update(plain),
        write: (sealed) => target.write(sealed),
      }));
      const sizeBytes = await pump(request.body, (chunk) => source.push(chunk), lengthBytes);
      await source.end();
      await writer.settle();
      const content = { ...verify(request, await digests.digests(), sizeBytes, kept), salt };
      const pinned = await writer.finish(request.describe(content));
      try {
        return await request.commit(content, pinned.blob);
      } finally {
        pinned.unpin();
      }
    } catch (error) {
      await sealer?.close();
      await writer?.abort();
      throw error;
    } finally {
      digests.close();
    }
  }
}

/** The salt of a new stream becomes part of the content. */
function sealSmall(bytes: Buffer, sealing: VersionSealing, content: StoredContent): Buffer {
  content.salt = sealing.makeSalt();
  const sealed = Buffer.allocUnsafe(sealedSizeBytes(bytes.length));
  sealPackages(sealing.streamKey(content.salt), { firstIndex: 0, isEnd: true }, bytes, sealed);
  return sealed;
}

/** Resolves with the size. @throws S3Error IncompleteBody | EntityTooLarge (of a body that did not say its length) */
async function pump(
  body: RequestBody,
  write: (chunk: Buffer) => Promise<void>,
  lengthBytes: number | undefined,
): Promise<number> {
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (lengthBytes === undefined && received > SINGLE_BODY_LIMIT_BYTES) {
      throw new S3Error('EntityTooLarge', {
        details: { ProposedSize: received, MaxSizeAllowed: SINGLE_BODY_LIMIT_BYTES },
      });
    }
    if (lengthBytes !== undefined && received > lengthBytes) break;
    await write(chunk);
  }
  if (lengthBytes !== undefined && received !== lengthBytes) throw new S3Error('IncompleteBody');
  return received;
}

/** The algorithm whose value is kept: the one that must be, else the one the client sent, else the default. */
function keptAlgorithm(request: StoreBodyRequest<unknown>): ChecksumAlgorithm | undefined {
  const { body, defaultChecksum, keptChecksum } = request;
  if (keptChecksum !== undefined) return keptChecksum;
  return body.expectations.find(({ kind }) => kind === 'checksum')?.algorithm ?? defaultChecksum;
}

/** Each once. MD5 is among them when it is the ETag. */
function algorithmsOf(
  { body, sealing }: StoreBodyRequest<unknown>,
  kept: ChecksumAlgorithm | undefined,
): ChecksumAlgorithm[] {
  const algorithms: ChecksumAlgorithm[] = sealing?.hasOpaqueEtag === true ? [] : ['MD5'];
  if (kept && !algorithms.includes(kept)) algorithms.push(kept);
  for (const { algorithm } of body.expectations) if (!algorithms.includes(algorithm)) algorithms.push(algorithm);
  return algorithms;
}

/** @throws S3Error BadDigest | XAmzContentSHA256Mismatch | MalformedTrailerError */
function verify(
  { body, sealing }: StoreBodyRequest<unknown>,
  digests: Digests,
  sizeBytes: number,
  kept: ChecksumAlgorithm | undefined,
): StoredContent {
  verifyDigests(body.expectations, digests);
  const etag = sealing?.hasOpaqueEtag === true ? sealing.makeOpaqueEtag() : digests.get('MD5')!.toString('hex');
  if (!kept) return { sizeBytes, etag };
  const value = digests.get(kept)!.toString('base64');
  return { sizeBytes, etag, checksum: { algorithm: kept, type: 'FULL_OBJECT', value } };
}
