import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { encodeAtOnce } from '../../src/data-store/erasure/encode-at-once.ts';
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

interface Codec {
  create(k: number, m: number): Buffer;
  encode(context: Buffer, sources: number, targets: number, ...rest: unknown[]): void;
}
const codec = createRequire(import.meta.url)('@ronomon/reed-solomon') as Codec;

function encodeNatively(context: Buffer, lengthBytes: number, shards: Buffer): Promise<void> {
  const [, k = 0, m = 0] = context;
  const sizes = [shards, 0, k * lengthBytes, shards, k * lengthBytes, m * lengthBytes];
  return new Promise((resolve, reject) => {
    codec.encode(context, 2 ** k - 1, 2 ** (k + m) - 2 ** k, ...sizes, (error?: Error) =>
      error ? reject(error) : resolve(),
    );
  });
}

const LENGTHS = [8, 16, 24, 56, 64, 120, 128, 136, 192, 320, 1000, 1024, 4096 - 64, 4096 + 64, 8192];
const random = randomBytes(512 * 1024);

for (let m = 1; m <= 6; m++) {
  test(`parity of small stripes is the codec’s for every k with m = ${m}`, async () => {
    for (let k = 2; k <= 24; k++) {
      const context = codec.create(k, m);
      const longest = Math.floor((256 * 1024) / k / 64) * 64;
      let encodedCount = 0;
      for (const lengthBytes of [...LENGTHS, longest - 64, longest]) {
        const expected = Buffer.alloc((k + m) * lengthBytes);
        random.copy(expected, 0, lengthBytes % 1000, (lengthBytes % 1000) + k * lengthBytes);
        // What lies around the stripe and where parity goes must not matter, nor be touched.
        const around = Buffer.alloc(expected.length + 256, 0xee);
        const shards = around.subarray(128, 128 + expected.length);
        expected.copy(shards, 0, 0, k * lengthBytes);
        await encodeNatively(context, lengthBytes, expected);
        if (!encodeAtOnce(context, lengthBytes, shards)) continue;
        encodedCount++;
        expect(shards.equals(expected), `${k}+${m} of ${lengthBytes} bytes`).toBe(true);
        const outside = Buffer.concat([around.subarray(0, 128), around.subarray(128 + expected.length)]);
        expect(outside.equals(Buffer.alloc(256, 0xee)), 'written outside').toBe(true);
      }
      expect(encodedCount).toBeGreaterThanOrEqual(LENGTHS.length - 3);
    }
  });
}

test('a stripe that would hold up its caller is left to the codec', () => {
  const shards = Buffer.alloc(6 * 70_000);
  expect(encodeAtOnce(codec.create(4, 2), 69_632, shards)).toBe(false);
  const wide = Buffer.alloc(30 * 9984);
  expect(encodeAtOnce(codec.create(24, 6), 9984, wide)).toBe(false);
  expect(wide.equals(Buffer.alloc(wide.length))).toBe(true);
});
