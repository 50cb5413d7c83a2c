import { crc32c } from '@node-rs/crc32';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { reconstructShards } from '../erasure/erasure-codec.ts';
import { type StripeHeader, type StripeLocation, stripeCrcOf, stripeHeaderLength } from '../stripe/stripe-header.ts';
import type { KnownVolume } from '../volume/volume-table.ts';
import { READ_PREFERENCE, type ShardReader } from './shard-reader.ts';

export interface RebuildRequest {
  readonly volume: KnownVolume;
  readonly location: StripeLocation;
  /** Data shards to deliver. */
  readonly wanted: readonly number[];
  /** `(k + m) × shardLengthBytes` */
  readonly shards: Buffer;
  /** From the layout of a large blob: which checksums the shards must have. */
  readonly stripeCrc: number | undefined;
  /** Receives every call that uses `shards`: the buffer is not reused before all have settled. */
  readonly calls: Promise<unknown>[];
}

export interface RebuiltStripe {
  /** The verified payload of a wanted shard: a view, usually of the buffer of the request. */
  payloadOf(shardIndex: number): Buffer;
}

interface Gathered {
  readonly headers: ReadonlyMap<number, StripeHeader>;
  /** A read has not returned and may still write into its place. */
  readonly hasStragglers: boolean;
}

/**
 * Delivers data shards of a stripe from any k good shards: those on good disks first, others when they fail or take
 * longer than `hedgeAfterMs`. Positive verification only: each source by its header and payload CRC, each rebuilt shard
 * by the CRC in the headers, and for large blobs that list of CRCs by the layout.
 * @throws StoreError TooFewShards | ShardCorrupt
 */
export async function rebuildStripe(reader: ShardReader, request: RebuildRequest): Promise<RebuiltStripe> {
  const { location, wanted } = request;
  const { k, m, shardLengthBytes } = location;
  const { headers, hasStragglers } = await gatherShards(reader, request);
  const header = headers.values().next().value;
  if (header === undefined) throw tooFewError(request, 0);
  const missing = wanted.filter((index) => !headers.has(index));
  const headerLength = stripeHeaderLength(location);
  const payloadLength = shardLengthBytes - headerLength;
  const viewOf = (bytes: Buffer, start: number): Buffer => bytes.subarray(start, start + payloadLength);
  if (missing.length === 0) {
    return { payloadOf: (index) => viewOf(request.shards, index * shardLengthBytes + headerLength) };
  }
  // The codec wants payload behind payload. They move to the front of the buffer, or into another one when a straggler
  // may still write into this one.
  const payloads = hasStragglers ? Buffer.allocUnsafeSlow((k + m) * payloadLength) : request.shards;
  for (let index = 0; index < k + m; index++) {
    const start = index * shardLengthBytes + headerLength;
    if (headers.has(index)) request.shards.copy(payloads, index * payloadLength, start, start + payloadLength);
  }
  await reconstructShards(
    { code: { k, m }, shardSizeBytes: payloadLength, shards: payloads },
    { present: [...headers.keys()], missing },
  );
  for (const index of missing) {
    if (crc32c(viewOf(payloads, index * payloadLength)) !== header.payloadCrcs[index]) {
      throw new StoreError('ShardCorrupt', `a rebuilt shard of volume ${location.volumeId} fails its checksum`);
    }
  }
  return { payloadOf: (index) => viewOf(payloads, index * payloadLength) };
}

/** Collects k verified shards into their places in `shards`. */
function gatherShards(reader: ShardReader, request: RebuildRequest): Promise<Gathered> {
  const { volume, location, wanted, shards, stripeCrc, calls } = request;
  const { k, m, shardLengthBytes } = location;
  const candidates = candidateOrder(reader, volume, location, wanted);
  const headers = new Map<number, StripeHeader>();
  const pending = new Set<number>();
  let next = 0;
  let hasStragglers = false;
  return new Promise((resolve, reject) => {
    let cancelHedge = (): void => {};
    const finish = (): void => {
      cancelHedge();
      if (headers.size < k) return reject(tooFewError(request, headers.size));
      resolve({ headers: new Map(headers), hasStragglers: hasStragglers || pending.size > 0 });
    };
    const start = (): void => {
      const index = candidates[next++];
      if (index === undefined) return;
      pending.add(index);
      const call = reader.readShard(
        volume,
        location,
        index,
        shards.subarray(index * shardLengthBytes, (index + 1) * shardLengthBytes),
      );
      calls.push(call);
      call.then(
        (header) => settled(index, header),
        (error: unknown) => {
          if (!isStoreError(error)) {
            cancelHedge();
            return reject(error);
          }
          hasStragglers = true;
          settled(index, undefined);
        },
      );
    };
    const settled = (index: number, header: StripeHeader | undefined): void => {
      if (!pending.delete(index) || headers.size >= k) return;
      if (header !== undefined && (stripeCrc === undefined || stripeCrcOf(header) === stripeCrc)) {
        headers.set(index, header);
      } else {
        if (header !== undefined) reader.recordDamage(volume, location, index, 'corrupt');
        start();
      }
      if (headers.size >= k || pending.size === 0) finish();
    };
    const hedge = (): void => {
      for (const index of pending) {
        const slot = location.places[index]?.slot;
        if (slot !== undefined) reader.noteSlow(volume, slot);
      }
      for (let extra = pending.size; extra > 0; extra--) start();
      hedgeLater();
    };
    const hedgeLater = (): void => {
      const deadline = reader.deadlines.set(reader.hedgeAfterMs, hedge);
      cancelHedge = () => reader.deadlines.cancel(deadline);
    };
    for (let i = 0; i < Math.min(k, k + m); i++) start();
    if (pending.size === 0) return finish();
    hedgeLater();
  });
}

/** Better disks first; among equals the wanted shards, then the other data shards: they need no decoding. */
function candidateOrder(
  reader: ShardReader,
  volume: KnownVolume,
  location: StripeLocation,
  wanted: readonly number[],
): number[] {
  const ranked: { index: number; rank: number }[] = [];
  for (const [index, { slot }] of location.places.entries()) {
    const preference = reader.preference(volume, slot);
    if (preference === READ_PREFERENCE.absent) continue;
    ranked.push({ index, rank: preference * 2 + (wanted.includes(index) ? 0 : 1) });
  }
  return ranked.sort((a, b) => a.rank - b.rank || a.index - b.index).map(({ index }) => index);
}

function tooFewError({ location }: RebuildRequest, found: number): StoreError {
  return new StoreError(
    'TooFewShards',
    `${found} of the ${location.k} shards needed from volume ${location.volumeId} are readable`,
    { hint: 'bring back the missing disks' },
  );
}
