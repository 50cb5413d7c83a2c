import { decodeBlobLayout, stripeOfRun } from './blob-layout.ts';
import type { StripeLocation } from './stripe/stripe-header.ts';

/** A run of a blob's bytes in one volume, for a person: what reading it needs. */
export interface LayoutExtent {
  readonly volumeId: number;
  readonly kind: 'small' | 'large';
  /** Shards that are enough for each of its stripes, and those beyond. */
  readonly k: number;
  readonly m: number;
  readonly stripeCount: number;
  /** The part of each shard file, by slot of the volume, that the stripes take. */
  readonly shards: readonly { slot: number; offset: number; lengthBytes: number }[];
  /** The slots of each stripe, every distinct set once: data and parity rotate over the files. */
  readonly placements: readonly (readonly number[])[];
}

/** Where a blob lies, from its layout. Pure. @throws StoreError ShardCorrupt when the layout is none */
export function describeLayout(layout: Buffer): LayoutExtent[] {
  const decoded = decodeBlobLayout(layout);
  if (decoded.kind === 'small') return [extentOf([decoded.stripe], 1)];
  return decoded.runs.map((run) => {
    const distinct = Array.from({ length: Math.min(run.count, run.width) }, (_, index) => stripeOfRun(run, index));
    return extentOf(distinct, run.count);
  });
}

function extentOf(stripes: readonly StripeLocation[], stripeCount: number): LayoutExtent {
  const [first] = stripes;
  if (first === undefined) throw new RangeError('a run without stripes');
  const { volumeId, kind, k, m, shardLengthBytes } = first;
  const shards = new Map<number, { slot: number; offset: number; lengthBytes: number }>();
  for (const { places } of stripes) {
    for (const { slot, offset } of places) {
      if (!shards.has(slot)) shards.set(slot, { slot, offset, lengthBytes: shardLengthBytes * stripeCount });
    }
  }
  const start = first.places[0]?.offset ?? 0;
  const sorted = [...shards.values()].sort((a, b) => a.slot - b.slot);
  return {
    volumeId,
    kind,
    k,
    m,
    stripeCount,
    shards: kind === 'small' ? sorted : sorted.map((shard) => ({ ...shard, offset: start })),
    placements: stripes.map(({ places }) => places.map(({ slot }) => slot).sort((a, b) => a - b)),
  };
}
