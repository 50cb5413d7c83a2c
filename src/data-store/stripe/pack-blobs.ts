import { assert } from '../../errors/assert.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';
import { SHARD_ALIGNMENT_BYTES, stripeHeaderLength } from './stripe-header.ts';

export interface Packing {
  /** Data shards used. */
  readonly k: number;
  readonly shardLengthBytes: number;
  /** By blob: which shard, and where in its payload its entry begins. Shorter than `sizes` when not all fit. */
  readonly positions: readonly { shardIndex: number; offset: number }[];
  /** Used payload of each data shard. */
  readonly usedBytes: readonly number[];
}

/** Longer payloads are multiples of 512: see stripeHeaderLength for what the codec likes. */
const COARSE_ABOVE_BYTES = 16_384;
const COARSE_UNIT_BYTES = 512;

/** Batches larger than this many blobs for each shard are packed at full width without trying narrower ones. */
const TRY_NARROWER_BELOW = 5;

/**
 * Packs blobs, none of which is split, into the data shards of one stripe, so that the stripe takes the least space:
 * three blobs of one size make a stripe of three data shards, five one of three in two layers. Takes as many from the
 * front as fit under `shardLimitBytes` at full width.
 * @param sizes bytes of each blob with its entry; each fits a shard alone.
 */
export function packBlobs(sizes: readonly number[], code: ErasureCode, shardLimitBytes: number): Packing {
  assert(sizes.length > 0, 'nothing to pack');
  const widest = distribute(sizes, code.k, code.m, shardLimitBytes);
  assert(widest.positions.length > 0, `a blob of ${sizes[0]} bytes fits no shard of ${shardLimitBytes}`);
  if (widest.positions.length < sizes.length || sizes.length >= TRY_NARROWER_BELOW * code.k) return widest;
  let best = widest;
  for (let k = Math.min(code.k - 1, sizes.length); k >= 1; k--) {
    const packing = distribute(sizes, k, code.m, shardLimitBytes);
    if (packing.positions.length < sizes.length) break;
    if (storedBytes(packing, code.m) < storedBytes(best, code.m)) best = packing;
  }
  return best;
}

function storedBytes(packing: Packing, m: number): number {
  return (packing.k + m) * packing.shardLengthBytes;
}

/** Each blob into the shard that is emptiest so far. */
function distribute(sizes: readonly number[], k: number, m: number, shardLimitBytes: number): Packing {
  const width = Math.min(k, sizes.length);
  const headerLength = stripeHeaderLength({ kind: 'small', k: width, m });
  const ends = Array.from({ length: width }, () => 0);
  const payloadLimitBytes = shardLimitBytes - headerLength - COARSE_UNIT_BYTES;
  const positions: { shardIndex: number; offset: number }[] = [];
  for (const size of sizes) {
    let shardIndex = 0;
    for (let i = 1; i < width; i++) if ((ends[i] ?? 0) < (ends[shardIndex] ?? 0)) shardIndex = i;
    const offset = ends[shardIndex] ?? 0;
    if (offset + size > payloadLimitBytes) break;
    positions.push({ shardIndex, offset });
    ends[shardIndex] = offset + size;
  }
  const payload = Math.max(...ends);
  const unit = payload > COARSE_ABOVE_BYTES ? COARSE_UNIT_BYTES : SHARD_ALIGNMENT_BYTES;
  return {
    k: width,
    shardLengthBytes: headerLength + Math.max(1, Math.ceil(payload / unit)) * unit,
    positions,
    usedBytes: ends,
  };
}
