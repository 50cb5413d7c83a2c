import { StoreError } from '../../errors/store-error.ts';
import type { BlobRecord } from '../../model/blob.ts';
import { decodeBlobLayout, decodeSmallStripe, isSmallLayout, stripeOfRun } from '../blob-layout.ts';
import { SHARD_ALIGNMENT_BYTES, type StripeLocation } from '../stripe/stripe-header.ts';

/** A stripe of a volume that at least one live blob names. */
export interface LiveStripe {
  readonly location: StripeLocation;
  /** Large stripes: which checksums the shards must have. */
  readonly stripeCrc: number | undefined;
}

/** What must be there in one volume, by the layouts of its live blobs: the only word on it. */
export interface LiveStripes {
  /** In the order in which they were written: ascending in every file at once. */
  readonly stripes: readonly LiveStripe[];
  readonly blobCount: number;
}

/** Slots of a volume are fewer than this, so that (offset, slot) fits one number. */
const SLOT_LIMIT = 64;

/** Each stripe once, however many blobs share it. Memory grows with the stripes of one volume. */
export async function collectLiveStripes(
  volumeId: number,
  blobs: AsyncIterable<readonly BlobRecord[]>,
): Promise<LiveStripes> {
  const stripes = new Map<number, LiveStripe>();
  let blobCount = 0;
  const add = (location: StripeLocation, stripeCrc: number | undefined): void => {
    const first = location.places[0];
    if (first === undefined) throw new StoreError('ShardCorrupt', `a layout in volume ${volumeId} has no shards`);
    const key = (first.offset / SHARD_ALIGNMENT_BYTES) * SLOT_LIMIT + first.slot;
    if (!stripes.has(key)) stripes.set(key, { location, stripeCrc });
  };
  let lastStripe: Buffer | undefined;
  for await (const page of blobs) {
    blobCount += page.length;
    for (const { layout: bytes } of page) {
      if (isSmallLayout(bytes)) {
        // Blobs of one stripe were written together and follow one another.
        const isSame = lastStripe?.compare(bytes, 0, Math.min(lastStripe.length, bytes.length)) === 0;
        if (isSame) continue;
        const { stripe, stripeBytes } = decodeSmallStripe(bytes);
        lastStripe = stripeBytes;
        add(stripe, undefined);
        continue;
      }
      const layout = decodeBlobLayout(bytes);
      if (layout.kind === 'large') {
        for (const run of layout.runs) {
          if (run.volumeId !== volumeId) continue;
          for (let i = 0; i < run.count; i++) add(stripeOfRun(run, i), run.stripeCrcs.readUInt32LE(4 * i));
        }
      }
    }
  }
  return { stripes: inWritingOrder([...stripes.values()], volumeId), blobCount };
}

/**
 * Stripes of a small volume lie in some of its files, at different offsets: one comes next when no other lies before it
 * in any of its files.
 */
function inWritingOrder(stripes: LiveStripe[], volumeId: number): LiveStripe[] {
  // Blob ids ascend with time, so mostly they are.
  if (isAscending(stripes)) return stripes;
  const files: { stripe: number; offset: number }[][] = [];
  for (const [stripe, { location }] of stripes.entries()) {
    for (const { slot, offset } of location.places) (files[slot] ??= []).push({ stripe, offset });
  }
  for (const file of files) file?.sort((a, b) => a.offset - b.offset);
  const heads = files.map(() => 0);
  /** In how many of its files a stripe is the next one. */
  const firstIn = new Uint8Array(stripes.length);
  const ready: number[] = [];
  const reach = (slot: number): void => {
    const head = files[slot]?.[heads[slot] ?? 0];
    if (head === undefined) return;
    firstIn[head.stripe] = (firstIn[head.stripe] ?? 0) + 1;
    if (firstIn[head.stripe] === stripes[head.stripe]?.location.places.length) ready.push(head.stripe);
  };
  for (const slot of files.keys()) reach(slot);
  const ordered: LiveStripe[] = [];
  for (let next = 0; next < ready.length; next++) {
    const stripe = stripes[ready[next] ?? 0];
    if (stripe === undefined) continue;
    ordered.push(stripe);
    for (const { slot } of stripe.location.places) {
      heads[slot] = (heads[slot] ?? 0) + 1;
      reach(slot);
    }
  }
  if (ordered.length < stripes.length) {
    throw new StoreError('ShardCorrupt', `layouts of blobs in volume ${volumeId} contradict one another`);
  }
  return ordered;
}

/** Does each come after those before it, in all of its files? */
function isAscending(stripes: readonly LiveStripe[]): boolean {
  const ends: number[] = Array.from({ length: SLOT_LIMIT }, () => -1);
  for (const { location } of stripes) {
    for (const { slot, offset } of location.places) {
      if (offset <= ends[slot]!) return false;
      ends[slot] = offset;
    }
  }
  return true;
}

/** A shard that one file must hold. */
export interface ExpectedShard {
  /** Index in `LiveStripes.stripes`. */
  readonly stripe: number;
  readonly shardIndex: number;
  readonly offset: number;
}

/** Of the file in this slot, in ascending order of offsets. */
export function expectedShards({ stripes }: LiveStripes, ofSlot: number): ExpectedShard[] {
  const expected: ExpectedShard[] = [];
  for (let stripe = 0; stripe < stripes.length; stripe++) {
    const { places } = stripes[stripe]!.location;
    for (let shardIndex = 0; shardIndex < places.length; shardIndex++) {
      const { slot, offset } = places[shardIndex]!;
      if (slot === ofSlot) expected.push({ stripe, shardIndex, offset });
    }
  }
  return expected;
}
