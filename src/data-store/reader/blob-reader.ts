import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { Slot } from '../../memory/buffer-pool.ts';
import type { BlobRecord } from '../../model/blob.ts';
import { bodyCrcOf, decodeBlobLayout, isSmallLayout, type SmallBlobLayout, volumesOfLayout } from '../blob-layout.ts';
import type { ByteRange, DataPiece } from '../data-store.ts';
import type { StoreContext } from '../store-context.ts';
import { ENTRY_HEADER_BYTES, parseBlobEntry } from '../stripe/blob-entry.ts';
import { type StripeLocation, stripeHeaderLength } from '../stripe/stripe-header.ts';
import { releaseWhenSettled } from '../volume/buffer-return.ts';
import type { KnownVolume } from '../volume/volume-table.ts';
import { acquireWithin, readLarge } from './large-read.ts';
import { rebuildStripe, type RebuiltStripe } from './rebuild-stripe.ts';
import { READ_PREFERENCE, type ShardReader } from './shard-reader.ts';

/** Slices from this on are read into buffers that are used again: fresh ones cost page faults and collections of garbage. */
const POOLED_SLICE_BYTES = 32 * 1024;

/** Reads blobs by their layouts, and stripes as a whole for what has to be moved. */
export class BlobReader {
  readonly #context: StoreContext;
  readonly #reader: ShardReader;

  constructor(context: StoreContext, reader: ShardReader) {
    this.#context = context;
    this.#reader = reader;
  }

  /** See `DataStore.readSmall`: what `read` would give, without the machinery of a stream. */
  async readSmallRange(blob: Pick<BlobRecord, 'sizeBytes' | 'layout'>, range: ByteRange): Promise<Buffer | undefined> {
    if (!isSmallLayout(blob.layout) || blob.sizeBytes >= POOLED_SLICE_BYTES) return undefined;
    assertRange(blob, range);
    const layout = decodeBlobLayout(blob.layout);
    assert(layout.kind === 'small', 'a small layout');
    assertWhole(blob, layout);
    const { table } = this.#context;
    const { volumeId } = layout.stripe;
    table.pin(volumeId);
    try {
      const known = table.get(volumeId);
      const volume = known === undefined || known.state === 'dropped' ? await this.#volume(volumeId) : known;
      const { bytes: body } = await this.#readSmall(layout, volume);
      return range.length === body.length ? body : body.subarray(range.start, range.start + range.length);
    } finally {
      table.unpin(volumeId);
    }
  }

  /** See `DataStore.read`. */
  async *read(blob: Pick<BlobRecord, 'blobId' | 'sizeBytes' | 'layout'>, range: ByteRange): AsyncGenerator<DataPiece> {
    assertRange(blob, range);
    if (range.length === 0) return;
    const layout = decodeBlobLayout(blob.layout);
    if (layout.kind === 'small') assertWhole(blob, layout);
    const volumeIds = volumesOfLayout(layout);
    const unpin = this.#pinAll(volumeIds);
    try {
      const volumes = new Map<number, KnownVolume>();
      for (const volumeId of volumeIds) volumes.set(volumeId, await this.#volume(volumeId));
      if (layout.kind === 'small') {
        const body = await this.#readSmall(layout, volumes.get(layout.stripe.volumeId)!);
        const bytes = body.bytes.subarray(range.start, range.start + range.length);
        yield { bytes, release: () => body.release() };
      } else {
        yield* readLarge(this.#context, this.#reader, { layout, range, volumeOf: (id) => volumes.get(id)! });
      }
    } finally {
      unpin();
    }
  }

  /** See `DataStore.pin`. */
  async pin(volumeIds: Iterable<number>): Promise<() => void> {
    const unpin = this.#pinAll(volumeIds);
    try {
      for (const volumeId of volumeIds) await this.#volume(volumeId);
    } catch (error) {
      unpin();
      throw error;
    }
    return unpin;
  }

  #pinAll(volumeIds: Iterable<number>): () => void {
    const { table } = this.#context;
    for (const volumeId of volumeIds) table.pin(volumeId);
    return () => {
      for (const volumeId of volumeIds) table.unpin(volumeId);
    };
  }

  async #volume(volumeId: number): Promise<KnownVolume> {
    const { table } = this.#context;
    if (table.get(volumeId) === undefined) await table.refresh();
    const volume = table.get(volumeId);
    if (volume === undefined || volume.state === 'dropped') {
      throw new StoreError('BlobGone', `volume ${volumeId} was dropped`);
    }
    return volume;
  }

  /** The whole body of a small blob: one read of its slice on one disk when all is well. */
  async #readSmall(layout: SmallBlobLayout, volume: KnownVolume): Promise<DataPiece> {
    const { stripe, shardIndex, bodyOffset, bodyLengthBytes } = layout;
    const place = stripe.places[shardIndex];
    if (place === undefined) throw new StoreError('ShardCorrupt', 'a blob layout names no shard of its stripe');
    if (this.#reader.preference(volume, place.slot) === READ_PREFERENCE.good) {
      const body = await this.#readSliceInTime(layout, volume);
      if (body !== undefined) return body;
    }
    const bytes = await this.#withStripe(
      volume,
      { location: stripe, wanted: [shardIndex], stripeCrc: undefined },
      (rebuilt) => {
        const start = bodyOffset - stripeHeaderLength(stripe);
        const body = Buffer.from(rebuilt.payloadOf(shardIndex).subarray(start, start + bodyLengthBytes));
        if (bodyCrcOf(body, layout) !== layout.bodyCrc) {
          throw new StoreError('ShardCorrupt', `a rebuilt blob in volume ${stripe.volumeId} fails its checksum`);
        }
        return body;
      },
    );
    return { bytes, release: () => {} };
  }

  /** A buffer to read a slice into, if there is one that fits. */
  #sliceSlot(lengthBytes: number): Slot | undefined {
    const { sliceBuffers } = this.#context;
    if (lengthBytes < POOLED_SLICE_BYTES || lengthBytes > sliceBuffers.slotSizeBytes) return undefined;
    return sliceBuffers.tryAcquire();
  }

  /** `undefined` when the slice is missing, wrong or slow. */
  #readSliceInTime(layout: SmallBlobLayout, volume: KnownVolume): Promise<DataPiece | undefined> {
    const { sliceBuffers } = this.#context;
    const { bodyLengthBytes } = layout;
    const slot = this.#sliceSlot(bodyLengthBytes);
    const bytes = slot?.bytes.subarray(0, bodyLengthBytes) ?? Buffer.allocUnsafe(bodyLengthBytes);
    const call = this.#readSlice(layout, volume, bytes);
    return new Promise((resolve, reject) => {
      let isWaiting = true;
      const goOn = (isGood: boolean): void => {
        if (!isWaiting) return;
        isWaiting = false;
        if (isGood) return resolve({ bytes, release: () => slot !== undefined && sliceBuffers.release(slot) });
        if (slot !== undefined) releaseWhenSettled(sliceBuffers, slot, [call]);
        resolve(undefined);
      };
      const deadline = this.#reader.deadlines.set(this.#reader.hedgeAfterMs, () => {
        const place = layout.stripe.places[layout.shardIndex];
        if (place !== undefined) this.#reader.noteSlow(volume, place.slot);
        goOn(false);
      });
      call.then(
        (isGood) => {
          this.#reader.deadlines.cancel(deadline);
          goOn(isGood);
        },
        (error: unknown) => {
          this.#reader.deadlines.cancel(deadline);
          if (!(error instanceof StoreError)) reject(error);
          goOn(false);
        },
      );
    });
  }

  /** Fills `body`; false when the slice is missing or wrong. */
  async #readSlice(layout: SmallBlobLayout, volume: KnownVolume, body: Buffer): Promise<boolean> {
    const { stripe, shardIndex, bodyOffset, bodyCrc } = layout;
    const place = stripe.places[shardIndex];
    if (place === undefined) return false;
    for (let attempt = 0; ; attempt++) {
      const kind = await this.#reader.readSlice(volume, { slot: place.slot, offset: place.offset + bodyOffset }, body);
      if (kind === undefined && bodyCrcOf(body, layout) === bodyCrc) return true;
      if (kind === undefined && attempt === 0) {
        // See ShardReader.readShard: once more through a fresh handle before it counts as damage.
        this.#reader.discardHandle(volume, place.slot);
        continue;
      }
      this.#reader.recordDamage(volume, stripe, shardIndex, kind ?? 'corrupt');
      return false;
    }
  }

  /**
   * What a move needs of a small blob: the verified body and its descriptor.
   * @throws StoreError BlobGone | TooFewShards | ShardCorrupt
   */
  async readSmallWithDescriptor(layout: SmallBlobLayout): Promise<{ body: Buffer; descriptor: Buffer }> {
    const { stripe, shardIndex, bodyOffset, bodyLengthBytes, descriptorLengthBytes } = layout;
    const volume = await this.#volume(stripe.volumeId);
    const place = stripe.places[shardIndex];
    if (place === undefined) throw new StoreError('ShardCorrupt', 'a blob layout names no shard of its stripe');
    const entryStart = bodyOffset - ENTRY_HEADER_BYTES - descriptorLengthBytes;
    const parse = (bytes: Buffer): { body: Buffer; descriptor: Buffer } | undefined => {
      const entry = parseBlobEntry(bytes, 0);
      const body = bytes.subarray(bodyOffset - entryStart);
      return entry === undefined || bodyCrcOf(body, layout) !== layout.bodyCrc
        ? undefined
        : { body, descriptor: entry.descriptor };
    };
    const length = bodyOffset - entryStart + bodyLengthBytes;
    if (this.#reader.preference(volume, place.slot) === READ_PREFERENCE.good) {
      const bytes = Buffer.allocUnsafe(length);
      try {
        const at = { slot: place.slot, offset: place.offset + entryStart };
        if ((await this.#reader.readSlice(volume, at, bytes)) === undefined) {
          const parsed = parse(bytes);
          if (parsed !== undefined) return parsed;
        }
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
      }
    }
    return this.#withStripe(volume, { location: stripe, wanted: [shardIndex], stripeCrc: undefined }, (rebuilt) => {
      const start = entryStart - stripeHeaderLength(stripe);
      const parsed = parse(Buffer.from(rebuilt.payloadOf(shardIndex).subarray(start, start + length)));
      if (parsed !== undefined) return parsed;
      throw new StoreError('ShardCorrupt', `a rebuilt blob in volume ${stripe.volumeId} fails its checksum`);
    });
  }

  /** The first `lengthBytes` of a large stripe's stream: body bytes, then the entry if it has one. A copy. */
  async readStream(location: StripeLocation, stripeCrc: number, lengthBytes: number): Promise<Buffer> {
    const volume = await this.#volume(location.volumeId);
    const wanted = Array.from({ length: location.k }, (_, i) => i);
    return this.#withStripe(volume, { location, wanted, stripeCrc }, (rebuilt) =>
      Buffer.concat(
        wanted.map((index) => rebuilt.payloadOf(index)),
        lengthBytes,
      ),
    );
  }

  /** Rebuilds into a pooled buffer; what `use` returns must be a copy. */
  async #withStripe<T>(
    volume: KnownVolume,
    {
      location,
      wanted,
      stripeCrc,
    }: { location: StripeLocation; wanted: readonly number[]; stripeCrc: number | undefined },
    use: (rebuilt: RebuiltStripe) => T,
  ): Promise<T> {
    const { scratchBuffers } = this.#context;
    const neededBytes = (location.k + location.m) * location.shardLengthBytes;
    const calls: Promise<unknown>[] = [];
    const slot =
      neededBytes > scratchBuffers.slotSizeBytes ? undefined : await acquireWithin(this.#context, scratchBuffers);
    const buffer = slot?.bytes.subarray(0, neededBytes) ?? Buffer.allocUnsafeSlow(neededBytes);
    try {
      const request = { volume, location, wanted, shards: buffer, stripeCrc, calls };
      return use(await rebuildStripe(this.#reader, request));
    } finally {
      if (slot !== undefined) releaseWhenSettled(scratchBuffers, slot, calls);
    }
  }
}

function assertRange({ sizeBytes }: Pick<BlobRecord, 'sizeBytes'>, { start, length }: ByteRange): void {
  const isWithin = start >= 0 && length >= 0 && start + length <= sizeBytes;
  assert(isWithin, `range ${start}+${length} of a blob of ${sizeBytes} bytes`);
}

/** A record whose size and layout disagree may not shorten an answer. */
function assertWhole({ sizeBytes }: Pick<BlobRecord, 'sizeBytes'>, { bodyLengthBytes }: SmallBlobLayout): void {
  assert(bodyLengthBytes === sizeBytes, `a blob of ${sizeBytes} bytes has a body of ${bodyLengthBytes}`);
}
