import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { blocksOf } from './format-page.ts';

interface Codec {
  create(k: number, m: number): Buffer;
  encode(context: Buffer, sources: number, targets: number, ...rest: unknown[]): void;
}

function countOnes(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number.toString(2).replaceAll('0', '').length, 0);
}

describe('parity', () => {
  const codec = createRequire(import.meta.url)('@ronomon/reed-solomon') as Codec;
  const blocks = blocksOf('10. Parity');
  const parameters = new Map(
    [...blocks[0]!.matchAll(/^ *(\d+) \|(.*)$/gm)].flatMap(([, k, cells]) =>
      cells!.split('|').map((cell, index) => [`${k}+${index + 1}`, cell.trim().split(/ +/).map(Number)] as const),
    ),
  );

  /** By the words of section 10 only. */
  function bitMatrix(k: number, m: number): { w: number; bits: number[][] } {
    const [w, p, x, y] = parameters.get(`${k}+${m}`) as [number, number, number, number];
    const twice = (element: number): number => {
      const shifted = element << 1;
      return (shifted >> w ? shifted ^ p : shifted) & ((1 << w) - 1);
    };
    const powers = [1];
    while (powers.length < (1 << w) - 1) powers.push(twice(powers.at(-1)!));
    const logarithms = new Map(powers.map((element, exponent) => [element, exponent]));
    const divide = (a: number, b: number): number =>
      powers[(logarithms.get(a)! - logarithms.get(b)! + powers.length) % powers.length]!;
    const block = (element: number): number[] => {
      const columns = [element];
      while (columns.length < w) columns.push(twice(columns.at(-1)!));
      return columns;
    };
    const counts = new Map(powers.map((element) => [element, countOnes(block(element))]));
    const ones = (element: number): number => counts.get(element)!;
    const weight = (row: readonly number[]): number => row.reduce((sum, element) => sum + ones(element), 0);
    const matrix: number[][] = [Array.from({ length: k }, () => 1)];
    if (m === 2) matrix.push(powers.toSorted((a, b) => ones(a) - ones(b) || a - b).slice(0, k));
    for (let r = matrix.length; r < m; r++) {
      const row = Array.from({ length: k }, (_, c) => divide(divide(1, (y + r) ^ (x + c)), divide(1, y ^ (x + c))));
      const choices = [row, ...row.map((element) => row.map((other) => divide(other, element)))];
      matrix.push(choices.reduce((best, choice) => (weight(choice) < weight(best) ? choice : best)));
    }
    const bits = matrix.flatMap((row) =>
      Array.from({ length: w }, (_, b) => row.flatMap((element) => block(element).map((column) => (column >> b) & 1))),
    );
    return { w, bits };
  }

  function encode(k: number, m: number, lengthBytes: number): { shards: Buffer; bySection: Buffer } {
    const { w, bits } = bitMatrix(k, m);
    const data = Array.from({ length: k * lengthBytes }, (_, index) => (7 * index + 3) % 256);
    const shards = Buffer.from(data);
    const bySection = Buffer.alloc(m * lengthBytes);
    let z = lengthBytes / w;
    while (z > 64 && z % 2 === 0 && (1 + k * w) * z > 1_048_576) z /= 2;
    for (let group = 0; group < lengthBytes; group += w * z) {
      for (const [row, columns] of bits.entries()) {
        const target = Math.floor(row / w) * lengthBytes + group + (row % w) * z;
        for (const [column, bit] of columns.entries()) {
          const source = Math.floor(column / w) * lengthBytes + group + (column % w) * z;
          if (bit === 0) continue;
          for (let i = 0; i < z; i++) bySection[target + i]! ^= shards[source + i]!;
        }
      }
    }
    return { shards, bySection };
  }

  function encodeNatively(k: number, m: number, data: Buffer): Promise<Buffer> {
    const lengthBytes = data.length / k;
    const all = Buffer.concat([data, Buffer.alloc(m * lengthBytes)]);
    const sources = 2 ** k - 1;
    const targets = 2 ** (k + m) - 1 - sources;
    return new Promise((resolve, reject) => {
      const done = (error?: Error): void => (error ? reject(error) : resolve(all.subarray(data.length)));
      const sizes = [all, 0, data.length, all, data.length, m * lengthBytes];
      codec.encode(codec.create(k, m), sources, targets, ...sizes, done);
    });
  }

  test('the bit matrix of section 10 is the codec’s for every k and m', () => {
    expect(parameters.size).toBe(24 * 6);
    for (let k = 1; k <= 24; k++) {
      for (let m = 1; m <= 6; m++) {
        const { w, bits } = bitMatrix(k, m);
        expect(Buffer.from([w, k, m, ...bits.flat()]).equals(codec.create(k, m)), `${k}+${m}`).toBe(true);
      }
    }
  });

  test.each([
    { k: 4, m: 2, lengthBytes: 16, isHashed: false },
    { k: 3, m: 3, lengthBytes: 32, isHashed: false },
    { k: 4, m: 2, lengthBytes: 265_728, isHashed: true },
  ])('the example for $k+$m, L = $lengthBytes is what codec and section give', async (example) => {
    const { k, m, lengthBytes } = example;
    const { shards, bySection } = encode(k, m, lengthBytes);
    expect(bySection.equals(await encodeNatively(k, m, shards))).toBe(true);
    const printed = blocks.find((block) => block.includes('code 4+2'))!.split('\n\n');
    const text = printed.find((part) => part.startsWith(`code ${k}+${m}, L = ${lengthBytes} `))!;
    for (let i = 0; i < m; i++) {
      const parity = bySection.subarray(i * lengthBytes, (i + 1) * lengthBytes);
      const value = example.isHashed ? createHash('sha256').update(parity).digest('hex') : parity.toString('hex');
      expect(text).toContain(`parity ${i}  ${value}`);
    }
  });

  test('the rows of B for 4+2 are as printed', () => {
    const rows = bitMatrix(4, 2).bits.map((row) => row.join(''));
    expect(blocks.at(-1)!.trim().split('\n')).toEqual(rows);
  });

  test('strips of other lengths and codes come out as the codec’s', async () => {
    for (const [k, m, lengthBytes] of [
      [24, 6, 64],
      [15, 3, 4608],
      [8, 4, 131_072],
    ] as const) {
      const { shards, bySection } = encode(k, m, lengthBytes);
      expect(bySection.equals(await encodeNatively(k, m, shards)), `${k}+${m}`).toBe(true);
    }
  });
});
