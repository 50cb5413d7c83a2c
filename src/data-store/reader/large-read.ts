import { StoreError } from '../../errors/store-error.ts';
import type { Slot } from '../../memory/buffer-pool.ts';
import { type LargeBlobLayout, stripeOfRun, type StripeRun } from '../blob-layout.ts';
import type { ByteRange, DataPiece } from '../data-store.ts';
import type { StoreContext } from '../store-context.ts';
import { stripeCrcOf, stripeHeaderLength, type StripeLocation, stripePayloadLength } from '../stripe/stripe-header.ts';
import { releaseWhenSettled } from '../volume/buffer-return.ts';
import { within } from '../volume/disk-calls.ts';
import type { KnownVolume } from '../volume/volume-table.ts';
import { rebuildStripe, type RebuiltStripe } from './rebuild-stripe.ts';
import { READ_PREFERENCE, type ShardReader } from './shard-reader.ts';

/** One wanted part of one data shard's payload. */
interface Segment {
  readonly stripe: StripeRead;
  readonly shardIndex: number;
  readonly from: number;
  readonly to: number;
}

interface LoadedShard {
  readonly payload: Buffer;
  release(): void;
}

/** Bytes of shards that one reader may have loaded or be loading ahead of what was yielded. */
const READ_AHEAD_BYTES = 2 * 1024 * 1024;

/**
 * Reads a range of a large blob, data shards in order, a few ahead. A shard that is missing, slow or wrong makes its
 * stripe be rebuilt from the others; all wanted shards of the stripe then come from there.
 */
export async function* readLarge(
  context: StoreContext,
  reader: ShardReader,
  { layout, range, volumeOf }: { layout: LargeBlobLayout; range: ByteRange; volumeOf: (id: number) => KnownVolume },
): AsyncGenerator<DataPiece> {
  const segments = segmentsOf(context, reader, { layout, range, volumeOf });
  const window: { segment: Segment; loading: Promise<LoadedShard> }[] = [];
  let upcoming = segments.next();
  const startNext = (): void => {
    if (upcoming.done === true) return;
    const segment = upcoming.value;
    const loading = segment.stripe.load(segment.shardIndex);
    // Whoever waits for it sees the error; a load that nobody waits for any more must not be an unhandled one.
    loading.catch(() => undefined);
    window.push({ segment, loading });
    upcoming = segments.next();
  };
  try {
    for (;;) {
      const pool = context.readBuffers.statistics();
      const isScarce = pool.waitingCount > 0 || pool.lentCount > pool.slotLimit * 0.75;
      const ahead = isScarce ? 1 : Math.min(8, Math.ceil(READ_AHEAD_BYTES / context.readBuffers.slotSizeBytes));
      while (upcoming.done !== true && window.length < ahead) startNext();
      const first = window.shift();
      if (first === undefined) return;
      const { segment } = first;
      let loaded: LoadedShard;
      try {
        loaded = await first.loading;
      } catch (error) {
        segment.stripe.segmentDone();
        throw error;
      }
      yield pieceOf(segment, loaded);
    }
  } finally {
    for (const { segment, loading } of window) {
      loading.then(
        (loaded) => {
          loaded.release();
          segment.stripe.segmentDone();
        },
        () => segment.stripe.segmentDone(),
      );
    }
  }
}

function pieceOf({ stripe, from, to }: Segment, loaded: LoadedShard): DataPiece {
  let isReleased = false;
  return {
    bytes: loaded.payload.subarray(from, to),
    release: () => {
      if (isReleased) return;
      isReleased = true;
      loaded.release();
      stripe.segmentDone();
    },
  };
}

function* segmentsOf(
  context: StoreContext,
  reader: ShardReader,
  { layout, range, volumeOf }: { layout: LargeBlobLayout; range: ByteRange; volumeOf: (id: number) => KnownVolume },
): Generator<Segment, undefined> {
  const rangeEnd = range.start + range.length;
  let runStart = 0;
  for (const run of layout.runs) {
    const payloadBytes = stripePayloadLength({ ...run, kind: 'large' });
    const fullBytes = run.k * payloadBytes;
    const runEnd = runStart + (run.count - 1) * fullBytes + run.lastDataBytes;
    const firstStripe = range.start > runStart ? Math.floor((range.start - runStart) / fullBytes) : 0;
    const stripeCount = runStart < rangeEnd && range.start < runEnd ? run.count : 0;
    for (let index = firstStripe; index < stripeCount; index++) {
      const stripeStart = runStart + index * fullBytes;
      const stripeEnd = Math.min(stripeStart + fullBytes, runEnd);
      const from = Math.max(range.start, stripeStart) - stripeStart;
      const to = Math.min(rangeEnd, stripeEnd) - stripeStart;
      if (to <= from) break;
      const first = Math.floor(from / payloadBytes);
      const last = Math.floor((to - 1) / payloadBytes);
      const wanted = Array.from({ length: last - first + 1 }, (_, i) => first + i);
      const stripe = new StripeRead(context, reader, { run, index, wanted, volume: volumeOf(run.volumeId) });
      for (const shardIndex of wanted) {
        const shardStart = shardIndex * payloadBytes;
        yield {
          stripe,
          shardIndex,
          from: Math.max(from, shardStart) - shardStart,
          to: Math.min(to, shardStart + payloadBytes) - shardStart,
        };
      }
    }
    runStart = runEnd;
  }
  return undefined;
}

/** One stripe being read: shard by shard while all goes well, else rebuilt once for all wanted shards. */
class StripeRead {
  readonly #context: StoreContext;
  readonly #reader: ShardReader;
  readonly #volume: KnownVolume;
  readonly #location: StripeLocation;
  readonly #stripeCrc: number;
  readonly #wanted: readonly number[];
  readonly #headerLength: number;
  #openSegments: number;
  #rebuilding: Promise<RebuiltStripe> | undefined;
  #rebuildBuffer: { slot: Slot; calls: Promise<unknown>[] } | undefined;

  constructor(
    context: StoreContext,
    reader: ShardReader,
    { run, index, wanted, volume }: { run: StripeRun; index: number; wanted: readonly number[]; volume: KnownVolume },
  ) {
    this.#context = context;
    this.#reader = reader;
    this.#volume = volume;
    this.#location = stripeOfRun(run, index);
    this.#stripeCrc = run.stripeCrcs.readUInt32LE(4 * index);
    this.#wanted = wanted;
    this.#headerLength = stripeHeaderLength(this.#location);
    this.#openSegments = wanted.length;
  }

  /** The verified payload of a data shard. */
  async load(shardIndex: number): Promise<LoadedShard> {
    if (this.#rebuilding === undefined && this.#isPromising()) {
      const direct = await this.#loadDirect(shardIndex);
      if (direct !== undefined) return direct;
    }
    this.#rebuilding ??= this.#rebuild();
    const rebuilt = await this.#rebuilding;
    return { payload: rebuilt.payloadOf(shardIndex), release: () => {} };
  }

  /** Are all wanted shards on disks that are worth asking directly? */
  #isPromising(): boolean {
    return this.#wanted.every((index) => {
      const place = this.#location.places[index];
      return place !== undefined && this.#reader.preference(this.#volume, place.slot) === READ_PREFERENCE.good;
    });
  }

  /** `undefined`: missing, wrong or too slow. */
  async #loadDirect(shardIndex: number): Promise<LoadedShard | undefined> {
    const { readBuffers } = this.#context;
    const { shardLengthBytes } = this.#location;
    if (shardLengthBytes > readBuffers.slotSizeBytes) return undefined;
    const slot = readBuffers.tryAcquire() ?? (await this.#waitForSlot());
    const shard = slot.bytes.subarray(0, shardLengthBytes);
    const call = this.#reader.readShard(this.#volume, this.#location, shardIndex, shard);
    let isLate = false;
    const late = (): StoreError => {
      isLate = true;
      return new StoreError('DiskTimeout', 'a shard is slow');
    };
    try {
      const header = await this.#reader.deadlines.within(call, this.#reader.hedgeAfterMs, late);
      if (header !== undefined) {
        if (stripeCrcOf(header) === this.#stripeCrc) {
          return { payload: shard.subarray(this.#headerLength), release: () => readBuffers.release(slot) };
        }
        this.#reader.recordDamage(this.#volume, this.#location, shardIndex, 'corrupt');
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const place = this.#location.places[shardIndex];
      if (isLate && place !== undefined) this.#reader.noteSlow(this.#volume, place.slot);
    }
    releaseWhenSettled(readBuffers, slot, [call]);
    return undefined;
  }

  async #waitForSlot(): Promise<Slot> {
    const { readBuffers } = this.#context;
    return acquireWithin(this.#context, readBuffers);
  }

  async #rebuild(): Promise<RebuiltStripe> {
    const { decodeBuffers } = this.#context;
    const { k, m, shardLengthBytes } = this.#location;
    const neededBytes = (k + m) * shardLengthBytes;
    const calls: Promise<unknown>[] = [];
    let shards: Buffer;
    if (neededBytes > decodeBuffers.slotSizeBytes) {
      // A stripe of an earlier, wider code.
      shards = Buffer.allocUnsafeSlow(neededBytes);
    } else {
      const slot = await acquireWithin(this.#context, decodeBuffers);
      shards = slot.bytes.subarray(0, neededBytes);
      this.#rebuildBuffer = { slot, calls };
      if (this.#openSegments === 0) this.#releaseBuffer();
    }
    return rebuildStripe(this.#reader, {
      volume: this.#volume,
      location: this.#location,
      wanted: this.#wanted,
      shards,
      stripeCrc: this.#stripeCrc,
      calls,
    });
  }

  /** One wanted shard was consumed, or given up. */
  segmentDone(): void {
    if (--this.#openSegments === 0) this.#releaseBuffer();
  }

  #releaseBuffer(): void {
    const held = this.#rebuildBuffer;
    if (held === undefined) return;
    this.#rebuildBuffer = undefined;
    const rebuilding = this.#rebuilding?.catch(() => undefined);
    void Promise.resolve(rebuilding).then(() => {
      releaseWhenSettled(this.#context.decodeBuffers, held.slot, held.calls);
    });
  }
}

/** Waits for a slot for a bounded time. @throws StoreError Overloaded */
export async function acquireWithin(
  context: StoreContext,
  pool: { tryAcquire(): Slot | undefined; acquire(): Promise<Slot>; release(slot: Slot): void },
): Promise<Slot> {
  const free = pool.tryAcquire();
  if (free !== undefined) return free;
  const acquiring = pool.acquire();
  try {
    return await within(
      acquiring,
      context.clock,
      context.tunables.bufferDeadlineMs,
      () => new StoreError('Overloaded', 'no buffer became free in time'),
    );
  } catch (error) {
    void acquiring.then((slot) => pool.release(slot));
    throw error;
  }
}
