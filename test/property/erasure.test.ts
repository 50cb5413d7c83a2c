import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodeParity, reconstructShards } from '../../src/data-store/erasure/erasure-codec.ts';

const CODES = [
  { k: 2, m: 1 },
  { k: 4, m: 2 },
  { k: 8, m: 4 },
  { k: 1, m: 1 },
  { k: 1, m: 2 },
  { k: 3, m: 2 },
  { k: 5, m: 3 },
];

function subsets(n: number, maximum: number): number[][] {
  const all: number[][] = [];
  for (let bits = 0; bits < 2 ** n; bits++) {
    const members: number[] = [];
    for (let i = 0; i < n; i++) if (bits & (1 << i)) members.push(i);
    if (members.length <= maximum) all.push(members);
  }
  return all;
}

for (const code of CODES) {
  test(`every subset of up to ${code.m} losses decodes with ${code.k}+${code.m}`, async () => {
    const n = code.k + code.m;
    for (const shardSizeBytes of [8, 64, 4096 + 64]) {
      const shards = Buffer.alloc(n * shardSizeBytes);
      randomBytes(code.k * shardSizeBytes).copy(shards);
      await encodeParity({ code, shardSizeBytes, shards });
      for (const missing of subsets(n, code.m)) {
        const damaged = Buffer.from(shards);
        for (const index of missing) damaged.fill(0xee, index * shardSizeBytes, (index + 1) * shardSizeBytes);
        const present = Array.from({ length: n }, (_, i) => i).filter((i) => !missing.includes(i));
        await reconstructShards({ code, shardSizeBytes, shards: damaged }, { present, missing });
        expect(damaged.equals(shards), `missing ${missing.join()}`).toBe(true);
      }
    }
  });
}

test('exactly k shards are enough: no other shard is read', async () => {
  const code = { k: 4, m: 2 };
  const shardSizeBytes = 512;
  const shards = Buffer.alloc(6 * shardSizeBytes);
  randomBytes(4 * shardSizeBytes).copy(shards);
  await encodeParity({ code, shardSizeBytes, shards });
  const damaged = Buffer.from(shards);
  damaged.fill(0xee, 0, shardSizeBytes);
  damaged.fill(0xee, 5 * shardSizeBytes);
  await reconstructShards({ code, shardSizeBytes, shards: damaged }, { present: [1, 2, 3, 4], missing: [0] });
  expect(damaged.subarray(0, 4 * shardSizeBytes).equals(shards.subarray(0, 4 * shardSizeBytes))).toBe(true);
});

test('m = 0 encodes to nothing and refuses to rebuild', async () => {
  const set = { code: { k: 3, m: 0 }, shardSizeBytes: 64, shards: Buffer.alloc(192) };
  await encodeParity(set);
  await expect(reconstructShards(set, { present: [0, 1], missing: [2] })).rejects.toThrow(/needs 3/);
});
