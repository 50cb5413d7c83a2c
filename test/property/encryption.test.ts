import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { CIPHER_SLOT_BYTES, type CipherTools } from '../../src/encryption/cipher-buffers.ts';
import { CipherPool } from '../../src/encryption/cipher-pool.ts';
import {
  deriveStreamKey,
  makeDataKey,
  versionBinding,
  openDataKey,
  openText,
  sealDataKey,
  sealText,
  WrongWrappingKeyError,
} from '../../src/encryption/data-key.ts';
import {
  openPackages,
  PACKAGE_BYTES,
  packagesOf,
  plainSizeBytes,
  SEALED_PACKAGE_BYTES,
  sealedSizeBytes,
  sealPackages,
} from '../../src/encryption/package-format.ts';
import { openWhole, type Piece, StreamOpener } from '../../src/encryption/stream-opener.ts';
import { StreamSealer } from '../../src/encryption/stream-sealer.ts';
import { BufferPool } from '../../src/memory/buffer-pool.ts';

const RANDOMNESS = { bytes: (length: number) => randomBytes(length), fraction: () => 0.5 };
const LARGEST = 5 * PACKAGE_BYTES + 3;
const BODY = randomBytes(LARGEST);
const KEY = randomBytes(32);

/** Around the borders of packages most of all. */
const sizes = fc.oneof(
  fc.nat(LARGEST),
  fc.tuple(fc.nat(5), fc.integer({ min: -2, max: 2 })).map(([count, off]) => {
    return Math.max(0, Math.min(LARGEST, count * PACKAGE_BYTES + off));
  }),
);
const filledSizes = sizes.filter((size) => size > 0);

function seal(plain: Buffer, key = KEY): Buffer {
  const sealed = Buffer.alloc(sealedSizeBytes(plain.length));
  expect(sealPackages(key, { firstIndex: 0, isEnd: true }, plain, sealed)).toBe(sealed.length);
  return sealed;
}

function open(sealed: Buffer, key = KEY): Buffer {
  const plain = Buffer.alloc(sealed.length);
  return plain.subarray(0, openPackages(key, { firstIndex: 0, isEnd: true }, sealed, plain));
}

async function* piecesOf(bytes: Buffer, pieceBytes: number): AsyncGenerator<Piece> {
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    yield { bytes: bytes.subarray(start, start + pieceBytes), release: () => {} };
  }
}

describe('sealed packages', () => {
  it('hold any body, in the size that is foretold', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const sealed = seal(BODY.subarray(0, size));
        expect(plainSizeBytes(sealed.length)).toBe(size);
        expect(open(sealed).equals(BODY.subarray(0, size))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('give any range of any body from its own packages alone', () => {
    fc.assert(
      fc.property(filledSizes, fc.nat(), fc.nat(), (size, a, b) => {
        const start = a % size;
        const length = 1 + (b % (size - start));
        const sealed = seal(BODY.subarray(0, size));
        const span = packagesOf({ start, length }, size);
        const own = sealed.subarray(span.sealedStart, span.sealedStart + span.sealedLength);
        const run = { streamKey: KEY, ...span };
        const plain = openWhole({ runs: [run], skipBytes: span.skipBytes, lengthBytes: length }, own);
        expect(plain.equals(BODY.subarray(start, start + length))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('sec_packages_changed: refuse any changed bit', () => {
    fc.assert(
      fc.property(filledSizes, fc.nat(), fc.nat(7), (size, at, bit) => {
        const sealed = seal(BODY.subarray(0, size));
        sealed[at % sealed.length]! ^= 1 << bit;
        expect(() => open(sealed)).toThrow(/is not what was sealed there/);
      }),
      { numRuns: 60 },
    );
  });

  it('sec_packages_cut_off: refuse every truncation, at the borders of packages too', () => {
    const sealed = seal(BODY);
    for (let kept = SEALED_PACKAGE_BYTES; kept < sealed.length; kept += SEALED_PACKAGE_BYTES) {
      expect(() => open(sealed.subarray(0, kept))).toThrow(/is not what was sealed there/);
      expect(() => open(sealed.subarray(0, kept - 1))).toThrow(/is not what was sealed there/);
    }
    expect(() => open(sealed.subarray(0, 16))).toThrow(/is not what was sealed there/);
  });

  it('sec_packages_reordered: refuse packages that are swapped, doubled, left out or of another stream', () => {
    const sealed = seal(BODY.subarray(0, 3 * PACKAGE_BYTES));
    const [a, b, c] = [0, 1, 2].map((index) =>
      sealed.subarray(index * SEALED_PACKAGE_BYTES, (index + 1) * SEALED_PACKAGE_BYTES),
    ) as [Buffer, Buffer, Buffer];
    const foreign = seal(BODY.subarray(0, 3 * PACKAGE_BYTES), randomBytes(32)).subarray(0, SEALED_PACKAGE_BYTES);
    for (const order of [
      [b, a, c],
      [a, a, c],
      [a, c],
      [a, b, b, c],
      [a, b, c, c],
      [c, b, a],
      [foreign, b, c],
      [b, c],
    ]) {
      expect(() => open(Buffer.concat(order))).toThrow(/is not what was sealed there/);
    }
    expect(() => open(sealed, randomBytes(32))).toThrow(/is not what was sealed there/);
  });

  it('sec_plain_bytes_before_their_tag: show nothing of a package whose tag fails', () => {
    const sealed = seal(BODY.subarray(0, 2 * PACKAGE_BYTES));
    sealed[SEALED_PACKAGE_BYTES + 5]! ^= 1;
    const target = Buffer.alloc(sealed.length);
    expect(() => openPackages(KEY, { firstIndex: 0, isEnd: true }, sealed, target)).toThrow();
    expect(target.subarray(PACKAGE_BYTES).every((byte) => byte === 0)).toBe(true);
  });

  it('never name a size that no body has', () => {
    for (const impossible of [1, 15, 16, SEALED_PACKAGE_BYTES + 1, SEALED_PACKAGE_BYTES + 16]) {
      expect(() => plainSizeBytes(impossible)).toThrow(/cannot be/);
    }
  });
});

describe('bodies that are sealed and opened as they stream', () => {
  const threads = new CipherPool({ workerCount: 1 });
  afterAll(() => threads.stop());
  const pooled: CipherTools = {
    threads,
    buffers: new BufferPool({ slotSizeBytes: CIPHER_SLOT_BYTES, budgetBytes: 8 * CIPHER_SLOT_BYTES, growthSlots: 1 }),
  };
  const lonely: CipherTools = { threads, buffers: { tryAcquire: () => undefined, release: () => {} } };

  async function sealStream(tools: CipherTools, plain: Buffer, chunkBytes: number): Promise<[Buffer, Buffer]> {
    const written: Buffer[] = [];
    const seen: Buffer[] = [];
    const sealer = new StreamSealer({
      tools,
      streamKey: KEY,
      observe: (view) => void seen.push(Buffer.from(view)),
      write: async (sealed) => void written.push(Buffer.from(sealed)),
    });
    for (let start = 0; start < plain.length; start += chunkBytes) {
      await sealer.push(plain.subarray(start, start + chunkBytes));
    }
    await sealer.end();
    await sealer.close();
    return [Buffer.concat(written), Buffer.concat(seen)];
  }

  for (const [name, tools] of [
    ['on threads', pooled],
    ['when no memory is free', lonely],
  ] as const) {
    it(`are the same bytes as those sealed at once, ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(filledSizes, fc.integer({ min: 1000, max: 200_000 }), async (size, chunkBytes) => {
          const plain = BODY.subarray(0, size);
          const [sealed, seen] = await sealStream(tools, plain, chunkBytes);
          expect(sealed.equals(seal(plain))).toBe(true);
          expect(seen.equals(plain)).toBe(true);
        }),
        { numRuns: 15 },
      );
    });

    it(`give any range over several streams, ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(filledSizes, filledSizes, fc.nat(), fc.nat(), async (first, second, a, b) => {
          const keys = [randomBytes(32), randomBytes(32)] as const;
          const parts = [BODY.subarray(0, first), BODY.subarray(BODY.length - second)] as const;
          const whole = Buffer.concat(parts);
          const start = a % whole.length;
          const length = 1 + (b % (whole.length - start));
          const stored: Buffer[] = [];
          const runs = [];
          let skipBytes = 0;
          let offset = 0;
          for (const [index, part] of parts.entries()) {
            const from = Math.max(start, offset) - offset;
            const to = Math.min(start + length, offset + part.length) - offset;
            offset += part.length;
            if (to <= from) continue;
            const span = packagesOf({ start: from, length: to - from }, part.length);
            if (runs.length === 0) skipBytes = span.skipBytes;
            runs.push({ streamKey: keys[index]!, ...span });
            const sealed = seal(part, keys[index]);
            stored.push(sealed.subarray(span.sealedStart, span.sealedStart + span.sealedLength));
          }
          const source = piecesOf(Buffer.concat(stored), 50_000);
          const opener = new StreamOpener({ source, range: { runs, skipBytes, lengthBytes: length }, tools });
          const opened: Buffer[] = [];
          for await (const piece of opener) {
            opened.push(Buffer.from(piece.bytes));
            piece.release();
          }
          expect(Buffer.concat(opened).equals(whole.subarray(start, start + length))).toBe(true);
        }),
        { numRuns: 25 },
      );
    });
  }

  it('fail where a package was changed, after what came before it, and give all memory back', async () => {
    const buffers = new BufferPool({ slotSizeBytes: CIPHER_SLOT_BYTES, budgetBytes: 4 * CIPHER_SLOT_BYTES });
    const sealed = seal(BODY);
    sealed[sealed.length - 1]! ^= 1;
    const runs = [{ streamKey: KEY, firstIndex: 0, isEnd: true, sealedLength: sealed.length }];
    const range = { runs, skipBytes: 0, lengthBytes: BODY.length };
    const opener = new StreamOpener({ source: piecesOf(sealed, 100_000), range, tools: { threads, buffers } });
    const first = await opener.next();
    expect(first.value!.bytes.equals(BODY.subarray(0, 4 * PACKAGE_BYTES))).toBe(true);
    first.value!.release();
    await expect(opener.next()).rejects.toMatchObject({ code: 'ShardCorrupt' });
    expect(buffers.statistics().lentCount).toBe(0);
  });

  it('give all memory back when the client is gone in the middle', async () => {
    const buffers = new BufferPool({ slotSizeBytes: CIPHER_SLOT_BYTES, budgetBytes: 4 * CIPHER_SLOT_BYTES });
    const runs = [{ streamKey: KEY, firstIndex: 0, isEnd: true, sealedLength: sealedSizeBytes(BODY.length) }];
    const range = { runs, skipBytes: 0, lengthBytes: BODY.length };
    const opener = new StreamOpener({ source: piecesOf(seal(BODY), 70_000), range, tools: { threads, buffers } });
    await opener.prefetch();
    await opener.return();
    expect(buffers.statistics().lentCount).toBe(0);
  });

  it('fail when a write fails, and give all memory back', async () => {
    const buffers = new BufferPool({ slotSizeBytes: CIPHER_SLOT_BYTES, budgetBytes: 4 * CIPHER_SLOT_BYTES });
    const sealer = new StreamSealer({
      tools: { threads, buffers },
      streamKey: KEY,
      observe: () => undefined,
      write: () => Promise.reject(new Error('the disk is gone')),
    });
    await sealer.push(BODY);
    await expect(sealer.end()).rejects.toThrow('the disk is gone');
    await sealer.close();
    expect(buffers.statistics().lentCount).toBe(0);
  });
});

describe('a data key', () => {
  const name = { bucketId: 2 ** 40 + 7, key: 'a/b', seed: Buffer.from('v1') };
  const binding = versionBinding(name);

  it('opens under its wrapping key and name, and under no other', () => {
    const [dataKey, wrappingKey] = [makeDataKey(RANDOMNESS), randomBytes(32)];
    const sealed = sealDataKey(dataKey, wrappingKey, binding, RANDOMNESS);
    expect(openDataKey(sealed, wrappingKey, binding).equals(dataKey)).toBe(true);
    for (const other of [
      { ...name, bucketId: 8 },
      { ...name, seed: Buffer.from('v2') },
      { ...name, key: 'a/c' },
      { ...name, key: '' },
    ]) {
      expect(() => openDataKey(sealed, wrappingKey, versionBinding(other))).toThrow(WrongWrappingKeyError);
    }
    expect(() => openDataKey(sealed, randomBytes(32), binding)).toThrow(WrongWrappingKeyError);
  });

  it('does not open when any byte of its sealed form was changed', () => {
    const wrappingKey = randomBytes(32);
    const sealed = sealDataKey(makeDataKey(RANDOMNESS), wrappingKey, binding, RANDOMNESS);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 0x10;
      expect(() => openDataKey(changed, wrappingKey, binding)).toThrow(WrongWrappingKeyError);
    }
    expect(() => openDataKey(sealed.subarray(1), wrappingKey, binding)).toThrow(WrongWrappingKeyError);
  });

  it('is sealed differently each time', () => {
    const [dataKey, wrappingKey] = [makeDataKey(RANDOMNESS), randomBytes(32)];
    const [a, b] = [1, 2].map(() => sealDataKey(dataKey, wrappingKey, binding, RANDOMNESS)) as [Buffer, Buffer];
    for (let start = 0; start < a.length; start += 16) {
      expect(a.subarray(start, start + 16).equals(b.subarray(start, start + 16))).toBe(false);
    }
  });

  it('sec_short_tag: does not open when its tag, or that of a text, is cut to any shorter length', () => {
    const [dataKey, wrappingKey] = [makeDataKey(RANDOMNESS), randomBytes(32)];
    const sealed = sealDataKey(dataKey, wrappingKey, binding, RANDOMNESS);
    const text = Buffer.from(sealText('qIrZrA==', dataKey, RANDOMNESS), 'base64');
    for (let cut = 1; cut <= 16; cut += 1) {
      expect(() => openDataKey(sealed.subarray(0, -cut), wrappingKey, binding)).toThrow(WrongWrappingKeyError);
      const cutText = text.subarray(0, -cut).toString('base64');
      expect(() => openText(cutText, dataKey)).toThrow(WrongWrappingKeyError);
    }
  });

  it('makes another key for each stream', () => {
    const dataKey = randomBytes(32);
    const keys = Array.from({ length: 50 }, () => deriveStreamKey(dataKey, randomBytes(16)).toString('hex'));
    expect(new Set(keys).size).toBe(50);
  });

  it('seals texts that only it opens', () => {
    const dataKey = randomBytes(32);
    const sealed = sealText('qIrZrA==', dataKey, RANDOMNESS);
    expect(openText(sealed, dataKey)).toBe('qIrZrA==');
    expect(() => openText(sealed, randomBytes(32))).toThrow(WrongWrappingKeyError);
    expect(() =>
      openText(
        sealed.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')),
        dataKey,
      ),
    ).toThrow(WrongWrappingKeyError);
    expect(() => openText('', dataKey)).toThrow(WrongWrappingKeyError);
  });
});
