import { crc32c } from '@node-rs/crc32';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { DamageKind, Pace } from '../data-store.ts';
import { reconstructShards } from '../erasure/erasure-codec.ts';
import { parseBlobEntry } from '../stripe/blob-entry.ts';
import { parseStripeHeader, payloadCrcIn, reshapeStripeHeader, stripeHeaderLength } from '../stripe/stripe-header.ts';
import type { FileWindow } from './file-window.ts';
import { isExpectedShard } from './inspect-file.ts';
import type { LiveStripe } from './live-stripes.ts';
import type { ShardFileWriter } from './shard-file-writer.ts';

/** Bytes read and written between two looks at the pace. */
const STEP_BYTES = 512 * 1024;
/** Stripes whose shards are being computed while the next are read: at most so many, and so many bytes of them. */
const AHEAD_COUNT = 8;
const AHEAD_BYTES = 8 * 1024 * 1024;

/** One new file being made. */
export interface RebuildTarget {
  readonly slot: number;
  readonly writer: ShardFileWriter;
  /** Offsets of shards that could not be made: fewer than k good ones are left. Their old bytes, if any, were copied. */
  readonly lostOffsets: number[];
  rebuiltCount: number;
  failure: StoreError | undefined;
}

export interface RebuildJob {
  readonly stripes: readonly LiveStripe[];
  /** Files that can be read, by slot: those to be replaced included, if they are there. */
  readonly sources: ReadonlyMap<number, FileWindow>;
  /** Slots whose file is known not to exist: only these may become holes. One that cannot be read now may come back whole. */
  readonly absent: ReadonlySet<number>;
  readonly targets: readonly RebuildTarget[];
  readonly pace: Pace;
  /** A source that is not to be replaced has a bad shard there. */
  readonly onBadSource: (slot: number, damage: { shardIndex: number; offset: number; kind: DamageKind }) => void;
}

/**
 * Goes through a volume once, from its beginning to its end, and writes the shards of all targets: a good one is copied
 * from the file in place, any other is computed, data and parity alike, from exactly k good shards of other files. The
 * same k files are read for as long as they are good, so that each is one sequential read.
 *
 * A target that fails keeps its error and the others go on. @throws what `pace` throws; our bugs
 */
export async function rebuildShards(job: RebuildJob): Promise<void> {
  await new Rebuild(job).run();
}

/** A shard to be written, whole or as header and payload. */
type Pieces = readonly Buffer[];

/** A stripe of which everything is read; what is missing may still be computed. */
interface Prepared {
  readonly stripe: LiveStripe;
  /** By shard index, in the order of `wanted`: copies of what is good in the file in place. */
  readonly good: ReadonlyMap<number, Pieces>;
  readonly missing: readonly number[];
  /** `undefined`: fewer than k good ones, or they contradict one another. */
  readonly rebuilt: Promise<ReadonlyMap<number, Pieces> | undefined>;
  readonly scratch: Buffer;
}

class Rebuild {
  readonly #job: RebuildJob;
  readonly #targets: ReadonlyMap<number, RebuildTarget>;
  /** Reads of a source that gave no good shard: the best are asked first. */
  readonly #misses = new Map<number, number>();
  readonly #free: Buffer[] = [];
  #workedBytes = 0;
  #pacedBytes = 0;

  constructor(job: RebuildJob) {
    this.#job = job;
    this.#targets = new Map(job.targets.map((target) => [target.slot, target]));
  }

  async run(): Promise<void> {
    const queue: Prepared[] = [];
    for (const stripe of this.#job.stripes) {
      if (this.#job.targets.every(({ failure }) => failure !== undefined)) break;
      const wanted: number[] = [];
      const { places } = stripe.location;
      for (let index = 0; index < places.length; index++)
        if (this.#targets.has(places[index]!.slot)) wanted.push(index);
      if (wanted.length === 0) continue;
      // What is being computed comes before it in the files.
      if (queue.length === 0 && this.#replicate(stripe, wanted)) {
        if (this.#workedBytes - this.#pacedBytes >= STEP_BYTES) await this.#keepPace();
        continue;
      }
      queue.push(await this.#prepare(stripe, wanted));
      // Copies are there at once: nothing is gained by keeping them, and what comes next can take the short way.
      const areCopies = queue.every((prepared) => prepared.stripe.location.k === 1);
      const most = areCopies ? 0 : Math.min(AHEAD_COUNT, Math.floor(AHEAD_BYTES / scratchBytesOf(stripe)));
      while (queue.length > most) {
        await this.#deliver(queue.shift()!);
      }
      if (this.#workedBytes - this.#pacedBytes >= STEP_BYTES) await this.#keepPace();
    }
    for (const prepared of queue) await this.#deliver(prepared);
    await this.#keepPace();
  }

  async #keepPace(): Promise<void> {
    const bytes = this.#workedBytes - this.#pacedBytes;
    this.#pacedBytes = this.#workedBytes;
    await this.#job.pace(bytes);
  }

  /**
   * A stripe with one data shard, as a lone small object makes it, has that shard in each of its files: it is copied at once if a
   * good one lies in what was read already. @returns false: nothing was done, it has to go the long way
   */
  #replicate(stripe: LiveStripe, wanted: readonly number[]): boolean {
    const { kind, k, places, shardLengthBytes } = stripe.location;
    if (k !== 1 || kind !== 'small') return false;
    for (const index of wanted) {
      const { slot, offset } = places[index]!;
      const { failure, writer } = this.#targets.get(slot)!;
      const isFree = failure === undefined && writer.hasRoomUpTo(offset + shardLengthBytes);
      if (!isFree || this.#job.sources.has(slot)) return false;
    }
    const copy = this.#heldCopy(stripe, wanted);
    if (copy === undefined) return false;
    const headerLength = stripeHeaderLength(stripe.location);
    const payload = copy.subarray(headerLength);
    for (const index of wanted) {
      const { slot, offset } = places[index]!;
      const target = this.#targets.get(slot)!;
      const usedBytes = index === 0 ? endOfEntries(payload) : 0;
      target.writer.writeNow(offset, reshapeStripeHeader(copy.subarray(0, headerLength), { index, usedBytes }));
      target.writer.writeNow(offset + headerLength, payload);
      target.rebuiltCount++;
    }
    this.#workedBytes += (1 + wanted.length) * shardLengthBytes;
    return true;
  }

  /** A good shard that was read already and says that all have the same payload. */
  #heldCopy(stripe: LiveStripe, wanted: readonly number[]): Buffer | undefined {
    const { places, shardLengthBytes } = stripe.location;
    for (let index = 0; index < places.length; index++) {
      const { slot, offset } = places[index]!;
      const bytes = this.#job.sources.get(slot)?.held(offset, shardLengthBytes);
      if (bytes === undefined) continue;
      if (!isExpectedShard(bytes, stripe, index)) {
        this.#noteBad(slot, { shardIndex: index, offset, kind: 'corrupt' });
        continue;
      }
      if (wanted.every((other) => payloadCrcIn(bytes, other) === payloadCrcIn(bytes, index))) return bytes;
    }
    return undefined;
  }

  async #prepare(stripe: LiveStripe, wanted: readonly number[]): Promise<Prepared> {
    const { k } = stripe.location;
    const shards = new Map<number, Buffer>();
    await Promise.all(wanted.map((index) => this.#load(stripe, index, shards)));
    // What is loaded lies in buffers that the next stripe uses again.
    const good = new Map([...shards].map(([index, shard]) => [index, [Buffer.from(shard)]]));
    const missing = wanted.filter((index) => !shards.has(index));
    if (missing.length > 0) await this.#gather(stripe, wanted, shards);
    const scratch = this.#takeScratch(missing.length === 0 ? 0 : scratchBytesOf(stripe));
    const isEnough = missing.length > 0 && shards.size >= k;
    const rebuilt = isEnough ? compute(stripe, shards, missing, scratch) : Promise.resolve(undefined);
    // Whoever waits for it next sees the error.
    rebuilt.catch(() => undefined);
    return { stripe, good, missing, rebuilt, scratch };
  }

  async #deliver({ stripe, good, missing, rebuilt, scratch }: Prepared): Promise<void> {
    for (const [index, pieces] of good) await this.#write(stripe, index, pieces);
    const computed = await rebuilt;
    for (const index of missing) {
      const pieces = computed?.get(index);
      if (pieces === undefined) await this.#giveUp(stripe, index);
      else if (await this.#write(stripe, index, pieces)) this.#targetOf(stripe, index)!.rebuiltCount++;
    }
    if (scratch.length > 0) this.#free.push(scratch);
  }

  #takeScratch(lengthBytes: number): Buffer {
    if (lengthBytes === 0) return Buffer.alloc(0);
    const free = this.#free.pop();
    return free !== undefined && free.length >= lengthBytes ? free : Buffer.allocUnsafeSlow(lengthBytes);
  }

  #targetOf({ location }: LiveStripe, index: number): RebuildTarget | undefined {
    return this.#targets.get(location.places[index]?.slot ?? -1);
  }

  /** Puts the shard into `shards` if it is there and good. */
  async #load(stripe: LiveStripe, index: number, shards: Map<number, Buffer>): Promise<void> {
    const { places, shardLengthBytes } = stripe.location;
    const place = places[index];
    const source = place === undefined ? undefined : this.#job.sources.get(place.slot);
    if (place === undefined || source === undefined) return;
    this.#workedBytes += shardLengthBytes;
    let kind: DamageKind = 'corrupt';
    try {
      const bytes = await source.view(place.offset, shardLengthBytes);
      if (isExpectedShard(bytes, stripe, index)) {
        shards.set(index, bytes);
        return;
      }
    } catch (error) {
      if (!isStoreError(error)) throw error;
      kind = 'unreadable';
    }
    this.#noteBad(place.slot, { shardIndex: index, offset: place.offset, kind });
  }

  #noteBad(slot: number, damage: Parameters<RebuildJob['onBadSource']>[1]): void {
    this.#misses.set(slot, (this.#misses.get(slot) ?? 0) + 1);
    if (!this.#targets.has(slot)) this.#job.onBadSource(slot, damage);
  }

  /** Loads others until there are k. */
  async #gather(stripe: LiveStripe, tried: readonly number[], shards: Map<number, Buffer>): Promise<void> {
    const { k, places } = stripe.location;
    const missesOf = (index: number): number => this.#misses.get(places[index]?.slot ?? -1) ?? 0;
    const others = [...places.keys()]
      .filter((index) => !tried.includes(index) && this.#job.sources.has(places[index]?.slot ?? -1))
      .sort((a, b) => missesOf(a) - missesOf(b) || (places[a]?.slot ?? 0) - (places[b]?.slot ?? 0));
    while (shards.size < k && others.length > 0) {
      await Promise.all(others.splice(0, k - shards.size).map((index) => this.#load(stripe, index, shards)));
    }
  }

  /** Too few good shards. What lies there now may still hold single blobs that can be read: it is kept as it is. */
  async #giveUp(stripe: LiveStripe, index: number): Promise<void> {
    const { places, shardLengthBytes } = stripe.location;
    const place = places[index];
    const target = this.#targetOf(stripe, index);
    if (place === undefined || target === undefined || target.failure !== undefined) return;
    target.lostOffsets.push(place.offset);
    const source = this.#job.sources.get(place.slot);
    if (source === undefined) {
      if (this.#job.absent.has(place.slot)) return;
      target.failure = new StoreError(
        'TooFewShards',
        'a shard cannot be rebuilt, and the file it lies in cannot be read now',
      );
      return;
    }
    try {
      const bytes = await source.view(place.offset, shardLengthBytes);
      await this.#write(stripe, index, [Buffer.from(bytes)]);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      // It may be readable again one day: the file in place stays.
      target.failure = new StoreError('TooFewShards', 'a shard can neither be read nor rebuilt', { cause: error });
    }
  }

  async #write(stripe: LiveStripe, index: number, pieces: Pieces): Promise<boolean> {
    const place = stripe.location.places[index];
    const target = this.#targetOf(stripe, index);
    if (place === undefined || target === undefined || target.failure !== undefined) return false;
    this.#workedBytes += stripe.location.shardLengthBytes;
    try {
      let offset = place.offset;
      for (const piece of pieces) {
        await target.writer.write(offset, piece);
        offset += piece.length;
      }
      return true;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      target.failure = error;
      return false;
    }
  }
}

function scratchBytesOf({ location }: LiveStripe): number {
  const { k, m, shardLengthBytes } = location;
  return (k + m) * (shardLengthBytes - stripeHeaderLength(location));
}

/** Header and payload of each missing shard; views of `scratch`. `undefined`: the good ones contradict one another. */
async function compute(
  { location }: LiveStripe,
  shards: ReadonlyMap<number, Buffer>,
  missing: readonly number[],
  scratch: Buffer,
): Promise<Map<number, Pieces> | undefined> {
  const { k, m, shardLengthBytes } = location;
  const headerLength = stripeHeaderLength(location);
  const payloadLength = shardLengthBytes - headerLength;
  const payloadOf = (index: number): Buffer => scratch.subarray(index * payloadLength, (index + 1) * payloadLength);
  // Before the first wait: the shards lie in buffers that the next stripe uses again.
  for (const [index, shard] of shards) shard.copy(payloadOf(index), 0, headerLength);
  const first = shards.values().next().value;
  const template = first === undefined ? undefined : Buffer.from(first.subarray(0, headerLength));
  const header = first === undefined ? undefined : parseStripeHeader(first);
  await reconstructShards(
    { code: { k, m }, shardSizeBytes: payloadLength, shards: scratch },
    { present: [...shards.keys()], missing },
  );
  if (template === undefined || header === undefined) return undefined;
  const rebuilt = new Map<number, Pieces>();
  for (const index of missing) {
    const payload = payloadOf(index);
    if (crc32c(payload) !== header.payloadCrcs[index]) return undefined;
    const usedBytes = location.kind === 'large' ? header.usedBytes : index < k ? endOfEntries(payload) : 0;
    rebuilt.set(index, [reshapeStripeHeader(template, { index, usedBytes }), payload]);
  }
  return rebuilt;
}

/** Used payload of a small data shard: where the row of its entries ends. */
function endOfEntries(payload: Buffer): number {
  let end = 0;
  for (;;) {
    const entry = parseBlobEntry(payload, end);
    if (entry === undefined || entry.kind !== 'small') return end;
    end = entry.bodyStart + entry.bodyLengthBytes;
  }
}
