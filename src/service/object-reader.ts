import type { ByteRange, DataPiece, DataStore } from '../data-store/data-store.ts';
import { INLINE_LIMIT_BYTES, openWhole, StreamOpener } from '../encryption/stream-opener.ts';
import { assert } from '../errors/assert.ts';
import { StoreError, isStoreError } from '../errors/store-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { BlobRecord } from '../model/blob.ts';
import type { ObjectRecord } from '../model/object-record.ts';
import { locateSealed } from './encryption/locate-sealed.ts';
import type { VersionSealing } from './encryption/version-sealing.ts';

/** A blob's next piece is asked for while this much of the one before is still to come, so that no border is a pause. */
const READ_AHEAD_BYTES = 2 * 1024 * 1024;
/** How often one read looks a moved blob up again before it gives up. */
const RELOCATION_LIMIT = 3;

/**
 * Reads the bytes of an object across its blobs. The first piece has been read and verified when `open` resolves, so
 * that what is known to be lost is still an error with a status and not a broken connection.
 */
export class ObjectReader {
  readonly #dataStore: DataStore;
  readonly #metadataStore: MetadataStore;

  constructor(stores: { dataStore: DataStore; metadataStore: MetadataStore }) {
    this.#dataStore = stores.dataStore;
    this.#metadataStore = stores.metadataStore;
  }

  /**
   * The bytes of `range`, which must lie within the object. The caller iterates the result or calls its `return`.
   *
   * @throws StoreError TooFewShards | BlobGone: this version is no longer there, look the key up again
   */
  async open(object: ObjectRecord, range: ByteRange): Promise<Buffer | AsyncIterableIterator<DataPiece>> {
    assert(range.start >= 0 && range.start + range.length <= object.sizeBytes, 'range outside the object');
    if (range.length === 0) return Buffer.alloc(0);
    const small = await this.#readSmall(object, range);
    if (small !== undefined) return small;
    const body = new ObjectBody(this.#dataStore, object, range, () => this.#relocate(object));
    await body.prefetch();
    return body;
  }

  /**
   * The plain bytes of `range` of an encrypted object, as `open` gives those of another one.
   *
   * @throws StoreError as `open`; ShardCorrupt when the stored bytes are not what was sealed
   */
  async openSealed(
    object: ObjectRecord,
    range: ByteRange,
    sealing: VersionSealing,
  ): Promise<Buffer | AsyncIterableIterator<DataPiece>> {
    if (range.length === 0) return Buffer.alloc(0);
    const { stored, storedRange, sealedRange } = locateSealed(object, range, sealing);
    const body = await this.open(stored, storedRange);
    if (Buffer.isBuffer(body)) return openWhole(sealedRange, body);
    if (storedRange.length <= INLINE_LIMIT_BYTES) return openWhole(sealedRange, await collect(body));
    const opener = new StreamOpener({ source: body, range: sealedRange, tools: sealing.tools });
    await opener.prefetch();
    return opener;
  }

  /** The usual small object: one blob, one buffer. `undefined`: the long way, also when its blob has moved. */
  async #readSmall({ blobs }: ObjectRecord, range: ByteRange): Promise<Buffer | undefined> {
    const [blob] = blobs;
    if (blob === undefined || blobs.length > 1) return undefined;
    try {
      return await this.#dataStore.readSmall(blob, range);
    } catch (error) {
      if (!isStoreError(error, 'BlobGone')) throw error;
      return undefined;
    }
  }

  /** The blobs of the same version where they lie now. */
  async #relocate(object: ObjectRecord): Promise<readonly BlobRecord[]> {
    const { bucketId, key, versionId } = object;
    const found = await this.#metadataStore.getObject({ bucketId, key, versionId });
    // What was appended to meanwhile begins with the same blobs.
    const isSame =
      found?.order === object.order || object.blobs.every(({ blobId }, at) => found?.blobs[at]?.blobId === blobId);
    if (found !== undefined && isSame) return found.blobs;
    throw new StoreError('BlobGone', `object ${bucketId}/${key} was replaced or deleted while it was read`);
  }
}

async function collect(body: AsyncIterable<DataPiece>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of body) {
    pieces.push(Buffer.from(piece.bytes));
    piece.release();
  }
  return Buffer.concat(pieces);
}

interface OpenBlob {
  iterator: AsyncIterator<DataPiece>;
  /** Asked for when it was opened. */
  first: Promise<IteratorResult<DataPiece, unknown>> | undefined;
}

/** One pass over the bytes. Position: blob `#index`, `#offset` bytes into it, `#remaining` bytes still to deliver. */
class ObjectBody implements AsyncIterableIterator<DataPiece> {
  readonly #dataStore: DataStore;
  readonly #relocate: () => Promise<readonly BlobRecord[]>;
  #blobs: readonly BlobRecord[];
  #index = 0;
  #offset: number;
  #remaining: number;
  #current: OpenBlob | undefined;
  #upcoming: OpenBlob | undefined;
  #prefetched: IteratorResult<DataPiece, undefined> | undefined;
  #relocations = 0;
  /** Lets go of the volumes that `#pinBlobs` holds. */
  #unpin: (() => void) | undefined;

  constructor(
    dataStore: DataStore,
    object: ObjectRecord,
    range: ByteRange,
    relocate: () => Promise<readonly BlobRecord[]>,
  ) {
    this.#dataStore = dataStore;
    this.#relocate = relocate;
    this.#blobs = object.blobs;
    this.#offset = range.start;
    this.#remaining = range.length;
    this.#skipFinishedBlobs();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Reads the first piece; the first `next` delivers it. */
  async prefetch(): Promise<void> {
    this.#prefetched = await this.next();
  }

  async next(): Promise<IteratorResult<DataPiece, undefined>> {
    const prefetched = this.#prefetched;
    if (prefetched) {
      this.#prefetched = undefined;
      return prefetched;
    }
    if (this.#remaining === 0) {
      await this.#close();
      return { done: true, value: undefined };
    }
    for (;;) {
      try {
        if (!this.#unpin) await this.#pinBlobs();
        return { done: false, value: await this.#nextPiece() };
      } catch (error) {
        await this.#close();
        if (!isStoreError(error, 'BlobGone') || ++this.#relocations > RELOCATION_LIMIT) throw error;
        this.#blobs = await this.#relocate();
      }
    }
  }

  async return(): Promise<IteratorResult<DataPiece, undefined>> {
    const prefetched = this.#prefetched;
    this.#prefetched = undefined;
    if (prefetched && !prefetched.done) prefetched.value.release();
    this.#remaining = 0;
    await this.#close();
    return { done: true, value: undefined };
  }

  /**
   * Holds the volumes of all blobs still to come, so that an object deleted in mid-read is read to its end. One blob
   * needs no pin but that of its own read.
   */
  async #pinBlobs(): Promise<void> {
    const blobs: BlobRecord[] = [];
    let end = this.#offset + this.#remaining;
    for (let index = this.#index; end > 0; index++) {
      const blob = this.#blobs[index]!;
      if (blob.sizeBytes > 0) blobs.push(blob);
      end -= blob.sizeBytes;
    }
    this.#unpin = blobs.length > 1 ? await this.#dataStore.pin(blobs) : () => {};
  }

  async #nextPiece(): Promise<DataPiece> {
    const current = (this.#current ??=
      this.#takeUpcoming() ?? this.#openBlob(this.#index, this.#offset, this.#remaining));
    const result = await (current.first ?? current.iterator.next());
    current.first = undefined;
    if (result.done) {
      throw new StoreError('TooFewShards', `blob ${this.#blobs[this.#index]?.blobId} ended before its size`);
    }
    const piece = result.value;
    const lengthBytes = piece.bytes.length;
    assert(lengthBytes <= this.#remaining, 'the data store delivered more than was asked for');
    this.#offset += lengthBytes;
    this.#remaining -= lengthBytes;
    this.#relocations = 0;
    await this.#advance();
    return piece;
  }

  /** Closes a blob that has been read to its end, and opens the next one early. */
  async #advance(): Promise<void> {
    const left = this.#blobs[this.#index]!.sizeBytes - this.#offset;
    if (this.#remaining === 0 || left === 0) {
      await closeBlob(this.#current);
      this.#current = undefined;
      this.#skipFinishedBlobs();
    } else if (left < READ_AHEAD_BYTES && left < this.#remaining && !this.#upcoming) {
      let next = this.#index + 1;
      while (this.#blobs[next]!.sizeBytes === 0) next++;
      const upcoming = this.#openBlob(next, 0, this.#remaining - left);
      upcoming.first = upcoming.iterator.next();
      // Whoever awaits it later sees the error; until then nobody does.
      upcoming.first.catch(() => {});
      this.#upcoming = upcoming;
    }
  }

  /** Moves the position to the blob that holds the next byte. Empty blobs are manifests: nothing to read. */
  #skipFinishedBlobs(): void {
    if (this.#remaining === 0) return;
    let blob = this.#blobs[this.#index];
    while (blob && this.#offset >= blob.sizeBytes) {
      this.#offset -= blob.sizeBytes;
      blob = this.#blobs[++this.#index];
    }
    assert(blob, 'the blobs are shorter than the object');
  }

  #openBlob(index: number, start: number, wanted: number): OpenBlob {
    const blob = this.#blobs[index]!;
    const range = { start, length: Math.min(wanted, blob.sizeBytes - start) };
    return { iterator: this.#dataStore.read(blob, range)[Symbol.asyncIterator](), first: undefined };
  }

  #takeUpcoming(): OpenBlob | undefined {
    const upcoming = this.#upcoming;
    this.#upcoming = undefined;
    return upcoming;
  }

  async #close(): Promise<void> {
    const open = [this.#current, this.#upcoming];
    this.#current = undefined;
    this.#upcoming = undefined;
    for (const blob of open) await closeBlob(blob);
    this.#unpin?.();
    this.#unpin = undefined;
  }
}

/** Ends a read: a piece that was asked for and not delivered goes back to its pool, the volumes are unpinned. */
async function closeBlob(blob: OpenBlob | undefined): Promise<void> {
  if (!blob) return;
  const first = await blob.first?.catch(() => undefined);
  if (first && !first.done) first.value.release();
  await blob.iterator.return?.();
}
