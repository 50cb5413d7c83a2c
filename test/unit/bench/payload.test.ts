import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PayloadChecker, PayloadPool } from '../../../bench/throughput/payload.ts';

const pool = new PayloadPool(42);
const bodyOf = (operationId: number, sizeBytes: number): Buffer => Buffer.concat(pool.pieces(operationId, sizeBytes));

function check(body: Buffer, operationId: number, sizeBytes: number, pieceBytes = 1000): string | undefined {
  const checker = new PayloadChecker(pool);
  checker.begin(operationId, sizeBytes);
  for (let at = 0; at < body.length; at += pieceBytes) {
    checker.write(body, at, Math.min(body.length, at + pieceBytes));
  }
  return checker.finish();
}

test.each([0, 1, 31, 32, 33, 4096, 131_072, 131_073, 500_000])(
  'a body of %i bytes has that size and is right',
  (size) => {
    const body = bodyOf(3, size);
    expect(body.length).toBe(size);
    expect(check(body, 3, size, 7777)).toBeUndefined();
    expect(pool.sha256(3, size)).toBe(createHash('sha256').update(body).digest('hex'));
  },
);

test('parts of a body are slices of the whole', () => {
  const whole = bodyOf(9, 300_000);
  const part = Buffer.concat(pool.pieces(9, 300_000, 20, 140_000));
  expect(part.equals(whole.subarray(20, 140_000))).toBe(true);
});

test('two operations, two blocks of one and two seeds differ', () => {
  const body = bodyOf(1, 262_144);
  expect(body.subarray(32, 1000).equals(bodyOf(2, 262_144).subarray(32, 1000))).toBe(false);
  expect(body.subarray(32, 1000).equals(body.subarray(131_072 + 32, 131_072 + 1000))).toBe(false);
  expect(Buffer.concat(new PayloadPool(43).pieces(1, 262_144)).equals(body)).toBe(false);
});

describe('is found', () => {
  test.each([0, 8, 31, 32, 4000, 131_071, 131_072, 199_999])('a changed byte at %i', (position) => {
    const body = bodyOf(5, 200_000);
    body[position] = (body[position] ?? 0) ^ 0x80;
    expect(check(body, 5, 200_000)).toContain('wrong bytes');
  });

  test('a body that is too short or too long', () => {
    expect(check(bodyOf(5, 4095), 5, 4096)).toContain('4095 bytes instead of 4096');
    expect(check(Buffer.concat([bodyOf(5, 4096), Buffer.from('x')]), 5, 4096)).toContain('4097 bytes');
  });

  test('the body of another operation, which is named', () => {
    expect(check(bodyOf(6, 4096), 5, 4096)).toContain('the start of operation 6 of seed 42, 4096 bytes');
  });

  test('blocks in another order', () => {
    const body = bodyOf(5, 393_216);
    const swapped = Buffer.concat([body.subarray(0, 131_072), body.subarray(262_144), body.subarray(131_072, 262_144)]);
    expect(check(swapped, 5, 393_216)).toContain('wrong bytes from 13');
  });
});
