import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CHECKSUM_ALGORITHMS,
  checksumOfHeader,
  isBase64OfLength,
  parseChecksumAlgorithm,
} from '../../../src/checksums/checksum-algorithms.ts';
import { combineCrcs } from '../../../src/checksums/combine-crcs.ts';
import { digestOf, digestsOf } from '../../../src/checksums/digest-of.ts';
import { DigestPool } from '../../../src/checksums/digest-pool.ts';
import { createIncrementalDigest } from '../../../src/checksums/incremental-digest.ts';
import { prepareChecksums } from '../../../src/checksums/wasm-hashers.ts';
import type { ChecksumAlgorithm } from '../../../src/model/object-record.ts';

const ALL = [...CHECKSUM_ALGORITHMS.keys()];
const CRCS: ChecksumAlgorithm[] = ['CRC32', 'CRC32C', 'CRC64NVME'];

beforeAll(prepareChecksums);

describe('digestOf', () => {
  const vectors: [ChecksumAlgorithm, string, string][] = [
    ['CRC32', '123456789', 'cbf43926'],
    ['CRC32C', '123456789', 'e3069283'],
    ['CRC64NVME', '123456789', 'ae8b14860a799888'],
    ['CRC64NVME', '', '0000000000000000'],
    ['SHA1', 'abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    ['SHA256', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'SHA512',
      'abc',
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    ],
    ['MD5', 'abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['XXHASH64', '', 'ef46db3751d8e999'],
    ['XXHASH64', 'abc', '44bc2cf5ad770999'],
    ['XXHASH3', '', '2d06800538d394c2'],
    ['XXHASH3', 'abc', '78af5f94892f3950'],
    ['XXHASH128', '', '99aa06d3014798d86001c324468d497f'],
    ['XXHASH128', 'abc', '06b05ab6733a618578af5f94892f3950'],
  ];
  it.each(vectors)('%s of "%s" is %s', (algorithm, text, hex) => {
    expect(digestOf(algorithm, Buffer.from(text)).toString('hex')).toBe(hex);
  });

  it('has the length S3 documents for each algorithm', () => {
    for (const { algorithm, lengthBytes } of CHECKSUM_ALGORITHMS.values()) {
      expect(digestOf(algorithm, Buffer.from('x'))).toHaveLength(lengthBytes);
    }
  });

  it('hashes shared memory as it hashes any other', () => {
    const shared = Buffer.from(new SharedArrayBuffer(1000));
    shared.fill('s');
    const copy = Buffer.from(shared);
    for (const algorithm of ALL) expect(digestOf(algorithm, shared).equals(digestOf(algorithm, copy))).toBe(true);
  });
});

describe('incremental digests', () => {
  it('equal the one-shot digest however the bytes are cut, also when bodies take turns', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ALL),
        fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 6 }),
        fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 6 }),
        (algorithm, left, right) => {
          const first = createIncrementalDigest(algorithm);
          const second = createIncrementalDigest(algorithm);
          for (let index = 0; index < 6; index++) {
            if (left[index]) first.update(Buffer.from(left[index]!));
            if (right[index]) second.update(Buffer.from(right[index]!));
          }
          expect(first.digest().equals(digestOf(algorithm, Buffer.concat(left)))).toBe(true);
          expect(second.digest().equals(digestOf(algorithm, Buffer.concat(right)))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('DigestPool', () => {
  const pool = new DigestPool({ workerCount: 2 });
  afterAll(() => pool.stop());

  it.each([
    ['shared memory on worker threads', true],
    ['private memory on this thread', false],
  ])('hashes %s: all algorithms, several bodies at once, views that follow one another', async (_name, isShared) => {
    const bodies = Array.from({ length: 3 }, () => randomBytes(1_000_003));
    await Promise.all(
      bodies.map(async (body) => {
        const source = isShared ? Buffer.from(new SharedArrayBuffer(body.length)) : Buffer.alloc(body.length);
        body.copy(source);
        const digests = pool.open(ALL);
        const updates: unknown[] = [];
        for (let start = 0; start < source.length; start += 100_000) {
          updates.push(digests.update(source.subarray(start, start + 100_000)));
        }
        expect(updates.every((update) => (update === undefined) !== isShared)).toBe(true);
        await Promise.all(updates);
        const result = await digests.digests();
        expect([...result.keys()].sort()).toEqual([...ALL].sort());
        for (const [algorithm, digest] of digestsOf(ALL, body))
          expect(result.get(algorithm)!.equals(digest)).toBe(true);
        digests.close();
      }),
    );
  });

  it('lets a view be reused once its update has resolved', async () => {
    const view = Buffer.from(new SharedArrayBuffer(65_536));
    const whole = randomBytes(10 * 65_536);
    const digests = pool.open(['MD5', 'CRC64NVME']);
    for (let start = 0; start < whole.length; start += view.length) {
      whole.copy(view, 0, start, start + view.length);
      await digests.update(view);
      view.fill(0);
    }
    expect([...(await digests.digests())]).toEqual([...digestsOf(['MD5', 'CRC64NVME'], whole)]);
  });

  it('hashes an empty body and one given up', async () => {
    expect([...(await pool.open(['MD5']).digests())]).toEqual([...digestsOf(['MD5'], Buffer.alloc(0))]);
    const abandoned = pool.open(['SHA256']);
    void abandoned.update(Buffer.from(new SharedArrayBuffer(65_536)));
    abandoned.close();
    abandoned.close();
  });

  it('fails bodies in flight when it stops, and works again afterwards', async () => {
    const own = new DigestPool({ workerCount: 1 });
    const view = Buffer.from(new SharedArrayBuffer(65_536));
    const doomed = own.open(['MD5']);
    const update = doomed.update(view);
    await own.stop();
    await expect(update).rejects.toThrow('the hash worker has ended');
    const next = own.open(['MD5']);
    await next.update(view);
    expect([...(await next.digests())]).toEqual([...digestsOf(['MD5'], view)]);
    await own.stop();
  });
});

describe('combineCrcs', () => {
  it('equals the CRC of the whole for any cut into parts', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CRCS),
        fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 }),
        (algorithm, parts) => {
          const buffers = parts.map((part) => Buffer.from(part));
          const combined = combineCrcs(
            algorithm,
            buffers.map((part) => ({ digest: digestOf(algorithm, part), sizeBytes: part.length })),
          );
          expect(combined.toString('hex')).toBe(digestOf(algorithm, Buffer.concat(buffers)).toString('hex'));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is associative for parts of any size up to 5 GiB', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CRCS),
        fc.array(fc.tuple(fc.nat(2 ** 31 - 1), fc.integer({ min: 0, max: 5 * 2 ** 30 })), {
          minLength: 3,
          maxLength: 3,
        }),
        (algorithm, values) => {
          const lengthBytes = CHECKSUM_ALGORITHMS.get(algorithm)!.lengthBytes;
          const [a, b, c] = values.map(([seed, sizeBytes]) => {
            const digest = Buffer.alloc(lengthBytes);
            digest.writeUInt32BE(seed, lengthBytes - 4);
            return { digest, sizeBytes };
          }) as [Part, Part, Part];
          const left = combine(algorithm, combine(algorithm, a, b), c);
          const right = combine(algorithm, a, combine(algorithm, b, c));
          expect(left.digest.equals(right.digest)).toBe(true);
        },
      ),
    );
  });

  it('is possible for every algorithm that S3 allows over a full multipart object', () => {
    const fullObject = [...CHECKSUM_ALGORITHMS.values()].filter((facts) =>
      facts.multipartTypes.includes('FULL_OBJECT'),
    );
    expect(fullObject.map(({ algorithm }) => algorithm)).toEqual(CRCS);
    expect(() => combineCrcs('SHA256', [])).toThrow('SHA256 cannot be combined');
  });
});

interface Part {
  digest: Buffer;
  sizeBytes: number;
}

function combine(algorithm: ChecksumAlgorithm, left: Part, right: Part): Part {
  return { digest: combineCrcs(algorithm, [left, right]), sizeBytes: left.sizeBytes + right.sizeBytes };
}

describe('names', () => {
  it('of headers and algorithms are found both ways, and nothing else is', () => {
    for (const { algorithm, headerName } of CHECKSUM_ALGORITHMS.values()) {
      expect(checksumOfHeader(headerName)?.algorithm).toBe(algorithm);
      expect(parseChecksumAlgorithm(algorithm.toLowerCase())).toBe(algorithm);
    }
    for (const name of ['x-amz-checksum-mode', 'x-amz-checksum-type', 'x-amz-checksum-algorithm', '__proto__', '']) {
      expect(checksumOfHeader(name)).toBeUndefined();
      expect(parseChecksumAlgorithm(name)).toBeUndefined();
    }
  });

  it('isBase64OfLength takes exactly the padded base64 of that many bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 70 }),
        fc.integer({ min: 1, max: 70 }),
        (bytes, lengthBytes) => {
          const text = Buffer.from(bytes).toString('base64');
          expect(isBase64OfLength(text, lengthBytes)).toBe(bytes.length === lengthBytes);
          expect(isBase64OfLength(` ${text}`, bytes.length)).toBe(false);
        },
      ),
    );
  });
});
