import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { copyBytes } from '../../../src/memory/copy-bytes.ts';

describe('copyBytes', () => {
  const memories = {
    private: (length: number) => Buffer.alloc(length),
    shared: (length: number) => Buffer.from(new SharedArrayBuffer(length)),
  };

  it.each([
    ['private', 'shared'],
    ['shared', 'private'],
    ['shared', 'shared'],
    ['private', 'private'],
  ] as const)('copies exactly the bytes of the source, from %s to %s memory, at any place', (from, to) => {
    for (const length of [0, 1, 7, 8, 63, 1000, 70_001]) {
      for (const [start, at] of [
        [0, 0],
        [3, 5],
        [8, 1],
        [1, 4099],
      ] as const) {
        const bytes = randomBytes(length);
        const source = memories[from](start + length);
        bytes.copy(source, start);
        const target = memories[to](at + length + 9).fill(0xaa);
        copyBytes(source.subarray(start), { target, at });
        const expected = Buffer.alloc(at + length + 9, 0xaa);
        bytes.copy(expected, at);
        expect(target.equals(expected), `${length} bytes from ${start} to ${at}`).toBe(true);
      }
    }
  });

  it('throws when the target is too short, and leaves it as it was', () => {
    const target = Buffer.alloc(10);
    expect(() => copyBytes(Buffer.alloc(6, 1), { target, at: 5 })).toThrow(RangeError);
    expect(target.equals(Buffer.alloc(10))).toBe(true);
  });
});
