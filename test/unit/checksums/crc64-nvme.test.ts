import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { createCRC64, type IHasher } from 'hash-wasm';
import { beforeAll, describe, expect, it } from 'vitest';
import { createIncrementalDigest } from '../../../src/checksums/incremental-digest.ts';
import { digestOf } from '../../../src/checksums/digest-of.ts';

/** Another implementation. */
let other: IHasher;
beforeAll(async () => {
  other = await createCRC64('9a6c9329ac4bc9b5');
});

function expected(...pieces: readonly Buffer[]): string {
  other.init();
  for (const piece of pieces) other.update(piece);
  return other.digest('hex');
}

describe('CRC64NVME', () => {
  it('agrees with another implementation for every length around the borders of words, runs and areas', () => {
    const borders = [4096, 8192, 65_536, 131_072].flatMap((border) =>
      [-9, -8, -1, 0, 1, 7, 8, 9].map((d) => border + d),
    );
    for (const length of [...Array(80).keys(), ...borders, 200_003]) {
      const bytes = randomBytes(length);
      expect([length, digestOf('CRC64NVME', bytes).toString('hex')]).toEqual([length, expected(bytes)]);
    }
  });

  it('agrees with another implementation in whatever pieces, several bodies in turns', () => {
    const piece = fc.integer({ min: 0, max: 100_000 }).map((length) => randomBytes(length));
    fc.assert(
      fc.property(fc.array(fc.record({ body: fc.nat(2), piece }), { maxLength: 8 }), (turns) => {
        const bodies = Array.from({ length: 3 }, () => ({
          digest: createIncrementalDigest('CRC64NVME'),
          seen: [] as Buffer[],
        }));
        for (const { body, piece: bytes } of turns) {
          bodies[body]!.digest.update(bytes);
          bodies[body]!.seen.push(bytes);
        }
        for (const { digest, seen } of bodies) expect(digest.digest().toString('hex')).toBe(expected(...seen));
      }),
      { numRuns: 30 },
    );
  });
});
