/** A Reed-Solomon code: k data and m parity shards, 1 ≤ k ≤ 24, 0 ≤ m ≤ 6 (limits of the codec). */
export interface ErasureCode {
  readonly k: number;
  readonly m: number;
}
