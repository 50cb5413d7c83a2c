import { crc32c } from '@node-rs/crc32';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { DamageKind, Pace } from '../data-store.ts';
import { reconstructShards } from '../erasure/erasure-codec.ts';
import { parseBlobEntry } from '../stripe/blob-entry.ts';
import { parseStripeHeader, reshapeStripeHeader, stripeHeaderLength } from '../stripe/stripe-header.ts';
import type { FileWindow } from './file-window.ts';
import { isExpectedShard } from './inspect-file.ts';
import type { LiveStripe } from './live-stripes.ts';
import type { ShardFileWriter } from './shard-file-writer.ts';

/** Bytes read and written between two looks at the pace. */
const STEP_BYTES = 512 * 1024;

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

class Rebuild {
  readonly #job: RebuildJob;
  readonly #targets: ReadonlyMap<number, RebuildTarget>;
  /** Reads of a source that gave no good shard: the best are asked first. */
  readonly #misses = new Map<number, number>();
  #scratch = Buffer.alloc(0);
  #workedBytes = 0;
  #pacedBytes = 0;

  constructor(job: RebuildJob) {
    this.#job = job;
    this.#targets = new Map(job.targets.map((target) => [target.slot, target]));
  }

  async run(): Promise<void> {
    for (const stripe of this.#job.stripes) {
      if (this.#job.targets.every(({ failure }) => failure !== undefined)) return;
      const wanted: number[] = [];
      for (const [index, { slot }] of stripe.location.places.entries()) if (this.#targets.has(slot)) wanted.push(index);
      if (wanted.length === 0) continue;
      await this.#restore(stripe, wanted);
      if (this.#workedBytes - this.#pacedBytes >= STEP_BYTES) await this.#keepPace();
    }
    await this.#keepPace();
  }

  async #keepPace(): Promise<void> {
    const bytes = this.#workedBytes - this.#pacedBytes;
    this.#pacedBytes = this.#workedBytes;
    await this.#job.pace(bytes);
  }

  async #restore(stripe: LiveStripe, wanted: readonly number[]): Promise<void> {
    const { k } = stripe.location;
    const shards = new Map<number, Buffer>();
    await Promise.all(wanted.map((index) => this.#load(stripe, index, shards)));
    const missing = wanted.filter((index) => !shards.has(index));
    if (missing.length > 0) await this.#gather(stripe, wanted, shards);
    for (const index of wanted) {
      const shard = shards.get(index);
      if (shard !== undefined) await this.#write(stripe, index, shard);
    }
    if (missing.length === 0) return;
    const rebuilt = shards.size >= k ? await this.#compute(stripe, shards, missing) : undefined;
    for (const index of missing) {
      const shard = rebuilt?.get(index);
      if (shard === undefined) await this.#giveUp(stripe, index);
      else if (await this.#write(stripe, index, shard)) this.#targetOf(stripe, index)!.rebuiltCount++;
    }
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
    this.#misses.set(place.slot, (this.#misses.get(place.slot) ?? 0) + 1);
    if (!this.#targets.has(place.slot)) {
      this.#job.onBadSource(place.slot, { shardIndex: index, offset: place.offset, kind });
    }
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

  /** Whole shards, header and payload. `undefined`: the good ones contradict one another. */
  async #compute(
    { location }: LiveStripe,
    shards: ReadonlyMap<number, Buffer>,
    missing: readonly number[],
  ): Promise<Map<number, Buffer> | undefined> {
    const { k, m, shardLengthBytes } = location;
    const headerLength = stripeHeaderLength(location);
    const payloadLength = shardLengthBytes - headerLength;
    const neededBytes = (k + m) * payloadLength;
    if (this.#scratch.length < neededBytes) this.#scratch = Buffer.allocUnsafeSlow(neededBytes);
    const payloadOf = (index: number): Buffer =>
      this.#scratch.subarray(index * payloadLength, (index + 1) * payloadLength);
    for (const [index, shard] of shards) shard.copy(payloadOf(index), 0, headerLength);
    await reconstructShards(
      { code: { k, m }, shardSizeBytes: payloadLength, shards: this.#scratch },
      { present: [...shards.keys()], missing },
    );
    const template = shards.values().next().value;
    const header = template === undefined ? undefined : parseStripeHeader(template);
    if (template === undefined || header === undefined) return undefined;
    const rebuilt = new Map<number, Buffer>();
    for (const index of missing) {
      const payload = payloadOf(index);
      if (crc32c(payload) !== header.payloadCrcs[index]) return undefined;
      const usedBytes = location.kind === 'large' ? header.usedBytes : index < k ? endOfEntries(payload) : 0;
      rebuilt.set(
        index,
        Buffer.concat([reshapeStripeHeader(template.subarray(0, headerLength), { index, usedBytes }), payload]),
      );
    }
    return rebuilt;
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
      await this.#write(stripe, index, Buffer.from(bytes));
    } catch (error) {
      if (!isStoreError(error)) throw error;
      // It may be readable again one day: the file in place stays.
      target.failure = new StoreError('TooFewShards', 'a shard can neither be read nor rebuilt', { cause: error });
    }
  }

  async #write(stripe: LiveStripe, index: number, bytes: Buffer): Promise<boolean> {
    const place = stripe.location.places[index];
    const target = this.#targetOf(stripe, index);
    if (place === undefined || target === undefined || target.failure !== undefined) return false;
    this.#workedBytes += bytes.length;
    try {
      await target.writer.write(place.offset, bytes);
      return true;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      target.failure = error;
      return false;
    }
  }
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
