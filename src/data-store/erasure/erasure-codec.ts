import { createRequire } from 'node:module';
import { assert } from '../../errors/assert.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';

/** The native codec; CommonJS without types. */
interface NativeReedSolomon {
  readonly MAX_K: number;
  readonly MAX_M: number;
  create(k: number, m: number): Buffer;
  encode(
    context: Buffer,
    sources: number,
    targets: number,
    data: Buffer,
    dataOffset: number,
    dataSize: number,
    parity: Buffer,
    parityOffset: number,
    paritySize: number,
    done: (error?: Error) => void,
  ): void;
}

const native = createRequire(import.meta.url)('@ronomon/reed-solomon') as NativeReedSolomon;

export const MAXIMUM_DATA_SHARDS = native.MAX_K;
export const MAXIMUM_PARITY_SHARDS = native.MAX_M;
/** Shards are multiples of this: the codec works on words of w bits (w ≤ 8) of 64-bit lanes. */
export const SHARD_UNIT_BYTES = 8;

/** Contexts are small, immutable and may be used by any number of calls at once. */
const contexts = new Map<number, Buffer>();

function contextOf({ k, m }: ErasureCode): Buffer {
  const key = k * 32 + m;
  let context = contexts.get(key);
  if (context === undefined) {
    context = native.create(k, m);
    contexts.set(key, context);
  }
  return context;
}

/** Is (k, m) within the codec's limits? m = 0 (no parity) is allowed. */
export function isSupportedCode({ k, m }: ErasureCode): boolean {
  return (
    Number.isInteger(k) &&
    Number.isInteger(m) &&
    k >= 1 &&
    k <= MAXIMUM_DATA_SHARDS &&
    m >= 0 &&
    m <= MAXIMUM_PARITY_SHARDS
  );
}

/**
 * Shards lie one behind the other in one buffer: shard i at `i × shardSizeBytes`, data first, then parity.
 *
 * A stripe that fills only k′ < k data shards is encoded with the code k′+m of its own: the k − k′ others need neither
 * space nor a notion of zeros, and k′ = 1 is plain replication, which costs a copy instead of the 28 µs of the smallest
 * native call.
 *
 * The codec is a bit-matrix code: parity depends on the whole shard and on its length, so a part of a shard cannot be
 * rebuilt from the same parts of others. Fast only when shards begin at the same address modulo 8 (others go byte by
 * byte); SHARD_UNIT_BYTES and buffers from `BufferPool` see to that.
 */
export interface ShardSet {
  code: ErasureCode;
  shardSizeBytes: number;
  /** `(k + m) × shardSizeBytes` bytes; must not change until the call returns. */
  shards: Buffer;
}

function checkShape({ code, shardSizeBytes, shards }: ShardSet): void {
  assert(isSupportedCode(code), `unsupported code ${code.k}+${code.m}`);
  assert(shardSizeBytes > 0 && shardSizeBytes % SHARD_UNIT_BYTES === 0, `bad shard size ${shardSizeBytes}`);
  assert(shards.length >= (code.k + code.m) * shardSizeBytes, 'shard buffer too short');
}

/** Computes the m parity shards from the k data shards, in place, on the thread pool. */
export async function encodeParity(set: ShardSet): Promise<void> {
  checkShape(set);
  const { code, shardSizeBytes, shards } = set;
  if (code.m === 0) return;
  if (code.k === 1) {
    for (let i = 1; i <= code.m; i++) shards.copy(shards, i * shardSizeBytes, 0, shardSizeBytes);
    return;
  }
  const sources = 2 ** code.k - 1;
  const targets = 2 ** (code.k + code.m) - 1 - sources;
  await callNative(set, sources, targets);
}

/**
 * Rebuilds the shards `missing` (data or parity) from exactly the ones `present`, in place. `present` holds at least k
 * shard indexes with right content; shards in neither list may be overwritten.
 */
export async function reconstructShards(
  set: ShardSet,
  { present, missing }: { present: readonly number[]; missing: readonly number[] },
): Promise<void> {
  checkShape(set);
  const { code, shardSizeBytes, shards } = set;
  if (missing.length === 0) return;
  assert(present.length >= code.k, `needs ${code.k} shards, has ${present.length}`);
  assert(missing.length <= code.m, `cannot rebuild ${missing.length} shards with m = ${code.m}`);
  if (code.k === 1) {
    const from = (present[0] ?? 0) * shardSizeBytes;
    for (const index of missing) shards.copy(shards, index * shardSizeBytes, from, from + shardSizeBytes);
    return;
  }
  await callNative(set, flagsOf(present, code), flagsOf(missing, code));
}

function flagsOf(indexes: readonly number[], { k, m }: ErasureCode): number {
  let flags = 0;
  for (const index of indexes) {
    assert(index >= 0 && index < k + m, `shard index ${index} out of range`);
    assert((flags & (1 << index)) === 0, `shard index ${index} twice`);
    flags |= 1 << index;
  }
  return flags;
}

function callNative({ code, shardSizeBytes, shards }: ShardSet, sources: number, targets: number): Promise<void> {
  const { k, m } = code;
  return new Promise((resolve, reject) => {
    native.encode(
      contextOf(code),
      sources,
      targets,
      shards,
      0,
      k * shardSizeBytes,
      shards,
      k * shardSizeBytes,
      m * shardSizeBytes,
      (error) => {
        if (error) reject(error);
        else resolve();
      },
    );
  });
}
