import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BlobLayout, decodeBlobLayout, encodeBlobLayout } from '../../../src/data-store/blob-layout.ts';
import { parseBlobEntry, writeBlobEntry } from '../../../src/data-store/stripe/blob-entry.ts';
import { packBlobs } from '../../../src/data-store/stripe/pack-blobs.ts';
import {
  makeStripeHeaders,
  parseStripeHeader,
  stripeHeaderLength,
  stripePayloadLength,
  verifyShard,
} from '../../../src/data-store/stripe/stripe-header.ts';
import {
  encodeVolumeHeader,
  parseVolumeHeader,
  VOLUME_HEADER_BYTES,
  volumeFileName,
  volumeIdOfFileName,
} from '../../../src/data-store/volume/volume-file.ts';

const identifier = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const code = fc.record({ k: fc.integer({ min: 1, max: 24 }), m: fc.integer({ min: 0, max: 6 }) });

const smallLayout: fc.Arbitrary<BlobLayout> = code.chain(({ k, m }) =>
  fc.record({
    kind: fc.constant('small' as const),
    stripe: fc.record({
      kind: fc.constant('small' as const),
      volumeId: identifier,
      k: fc.constant(k),
      m: fc.constant(m),
      shardLengthBytes: fc.integer({ min: 2, max: 10_000 }).map((n) => n * 64),
      places: fc.array(
        fc.record({
          slot: fc.integer({ min: 0, max: 29 }),
          offset: fc.integer({ min: 64, max: 2 ** 31 }).map((n) => n * 64),
        }),
        { minLength: k + m, maxLength: k + m },
      ),
    }),
    shardIndex: fc.integer({ min: 0, max: k - 1 }),
    bodyOffset: fc.nat(300_000),
    bodyLengthBytes: fc.nat(300_000),
    descriptorLengthBytes: fc.nat(32_768),
    bodyCrc: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  }),
);

const largeLayout: fc.Arbitrary<BlobLayout> = fc.record({
  kind: fc.constant('large' as const),
  descriptorLengthBytes: fc.nat(32_768),
  runs: fc.array(
    fc.integer({ min: 1, max: 20 }).chain((count) =>
      fc.record({
        volumeId: identifier,
        k: fc.integer({ min: 1, max: 24 }),
        m: fc.integer({ min: 0, max: 6 }),
        width: fc.integer({ min: 1, max: 30 }),
        firstStripeNumber: fc.nat(2 ** 31 - 1),
        shardLengthBytes: fc.integer({ min: 1, max: 100 }).map((n) => n * 4096),
        offset: fc.integer({ min: 1, max: 2 ** 30 }).map((n) => n * 4096),
        count: fc.constant(count),
        lastDataBytes: fc.nat(10_000_000),
        stripeCrcs: fc.uint8Array({ minLength: 4 * count, maxLength: 4 * count }).map((bytes) => Buffer.from(bytes)),
      }),
    ),
    { minLength: 1, maxLength: 6 },
  ),
});

describe('blob layouts', () => {
  test('decode to what was encoded', () => {
    fc.assert(
      fc.property(fc.oneof(smallLayout, largeLayout), (layout) => {
        expect(decodeBlobLayout(encodeBlobLayout(layout))).toEqual(layout);
      }),
    );
  });

  test('that are cut short are ShardCorrupt, not garbage', () => {
    fc.assert(
      fc.property(fc.oneof(smallLayout, largeLayout), fc.nat(), (layout, cut) => {
        const bytes = encodeBlobLayout(layout);
        const part = bytes.subarray(0, cut % bytes.length);
        expect(() => decodeBlobLayout(part)).toThrow(expect.objectContaining({ code: 'ShardCorrupt' }));
      }),
    );
  });
});

describe('shards', () => {
  const facts = {
    kind: 'small' as const,
    volumeId: 2 ** 40 + 7,
    k: 2,
    m: 1,
    shardLengthBytes: 1024,
    places: [
      { slot: 2, offset: 4096 },
      { slot: 0, offset: 8192 },
      { slot: 1, offset: 4160 },
    ],
    stripeNumber: 5,
    blobId: 0,
    blobOffset: 0,
    dataBytes: 0,
  };
  const payloads = Buffer.alloc(3 * stripePayloadLength(facts), 7);
  const { headers } = makeStripeHeaders(payloads, facts, [10, 20, 0]);
  const length = stripeHeaderLength(facts);
  const shards = [0, 1, 2].map((i) =>
    Buffer.concat([
      headers.subarray(i * length, (i + 1) * length),
      payloads.subarray(i * stripePayloadLength(facts), (i + 1) * stripePayloadLength(facts)),
    ]),
  );

  test('verify at their own place and index', () => {
    for (const [index, shard] of shards.entries()) {
      expect(verifyShard(shard, facts, index)).toMatchObject({ shardIndex: index, stripeNumber: 5 });
    }
    expect(parseStripeHeader(shards[1]!)).toMatchObject({ usedBytes: 20, places: facts.places });
  });

  test('are rejected for any flipped bit', () => {
    for (let at = 0; at < 1024; at++) {
      const damaged = Buffer.from(shards[1]!);
      damaged[at] = damaged[at]! ^ (1 << (at % 8));
      expect(verifyShard(damaged, facts, 1), `byte ${at}`).toBeUndefined();
    }
  });

  test('are rejected for another index, offset, slot, length, code or volume', () => {
    const shard = shards[0]!;
    const moved = (slot: number, offset: number) => [{ slot, offset }, ...facts.places.slice(1)];
    expect(verifyShard(shard, facts, 1)).toBeUndefined();
    expect(verifyShard(shard, { ...facts, places: moved(2, 4160) }, 0)).toBeUndefined();
    expect(verifyShard(shard, { ...facts, places: moved(1, 4096) }, 0)).toBeUndefined();
    expect(verifyShard(shard, { ...facts, volumeId: facts.volumeId + 1 }, 0)).toBeUndefined();
    expect(verifyShard(shard, { ...facts, shardLengthBytes: 960 }, 0)).toBeUndefined();
    expect(verifyShard(shard.subarray(0, 960), facts, 0)).toBeUndefined();
    expect(verifyShard(shard, { ...facts, kind: 'large' }, 0)).toBeUndefined();
  });
});

test('an entry reads back, and not when a byte of it differs', () => {
  const target = Buffer.alloc(200);
  const entry = {
    blobId: 2 ** 45 + 3,
    kind: 'small' as const,
    bodyLengthBytes: 50,
    descriptor: Buffer.from('bucket/key'),
  };
  expect(writeBlobEntry(target, 16, entry)).toBe(16 + 20 + 10);
  expect(parseBlobEntry(target, 16)).toEqual({ ...entry, bodyStart: 16 + 20 + 10 });
  for (let at = 16; at < 46; at++) {
    target[at] = target[at]! ^ 1;
    expect(parseBlobEntry(target, 16), `byte ${at}`).toBeUndefined();
    target[at] = target[at]! ^ 1;
  }
});

test('a volume header reads back, and file names name volumes', () => {
  const shape = {
    volumeId: 2 ** 52 + 11,
    k: 2,
    m: 1,
    diskIds: ['a', 'b', 'c'].map((digit) => `${digit.repeat(8)}-0000-4000-8000-${digit.repeat(12)}`),
    purpose: 'large' as const,
    shardSizeBytes: 266_240,
  };
  const block = Buffer.alloc(VOLUME_HEADER_BYTES);
  encodeVolumeHeader(block, shape, 2);
  expect(parseVolumeHeader(block)).toEqual({ ...shape, slot: 2 });
  block[100] = 1;
  expect(parseVolumeHeader(block)).toBeUndefined();
  expect(volumeIdOfFileName(volumeFileName(shape.volumeId))).toBe(shape.volumeId);
  for (const name of ['x.shard', '1.shard', `${volumeFileName(5)}.tmp`, 'ffffffffffffff.shard']) {
    expect(volumeIdOfFileName(name)).toBeUndefined();
  }
});

describe('packBlobs', () => {
  test('never overlaps, splits or exceeds, and takes a prefix of what waits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 60 }),
        fc.record({ k: fc.integer({ min: 1, max: 8 }), m: fc.integer({ min: 0, max: 3 }) }),
        (sizes, packedCode) => {
          const packing = packBlobs(sizes, packedCode, 65_536);
          const payload =
            packing.shardLengthBytes - stripeHeaderLength({ kind: 'small', k: packing.k, m: packedCode.m });
          expect(packing.shardLengthBytes).toBeLessThanOrEqual(65_536);
          expect(packing.shardLengthBytes % 64).toBe(0);
          expect(packing.k).toBeLessThanOrEqual(packedCode.k);
          expect(packing.positions.length).toBeGreaterThan(0);
          const used = Array.from({ length: packing.k }, () => [] as { from: number; to: number }[]);
          for (const [index, { shardIndex, offset }] of packing.positions.entries()) {
            used[shardIndex]!.push({ from: offset, to: offset + sizes[index]! });
          }
          for (const [shardIndex, parts] of used.entries()) {
            let end = 0;
            for (const { from, to } of parts.sort((a, b) => a.from - b.from)) {
              expect(from).toBe(end);
              end = to;
            }
            expect(end).toBe(packing.usedBytes[shardIndex]);
            expect(end).toBeLessThanOrEqual(payload);
          }
        },
      ),
    );
  });

  test('stores at most twice the bytes for any number of equal blobs in 4+2, and three times for one', () => {
    for (let count = 1; count <= 40; count++) {
      const sizes = Array.from({ length: count }, () => 4300);
      const packing = packBlobs(sizes, { k: 4, m: 2 }, 266_240);
      const stored = (packing.k + 2) * packing.shardLengthBytes;
      expect(stored / (4300 * count), `${count} blobs`).toBeLessThan(count === 1 ? 3.15 : 2.1);
    }
  });
});
