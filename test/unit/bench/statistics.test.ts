import { describe, expect, test } from 'vitest';
import { latencyOf, percentile, summarize } from '../../../bench/throughput/statistics.ts';

const samples = (operations: readonly (readonly [start: number, end: number, bytes?: number])[]) => ({
  starts: Float64Array.from(operations, ([start]) => start),
  ends: Float64Array.from(operations, ([, end]) => end),
  bytes: Float64Array.from(operations, ([, , bytes]) => bytes ?? 0),
});

describe('percentile', () => {
  const hundred = Float64Array.from({ length: 100 }, (_, index) => index + 1);

  test.each([
    [0.5, 50],
    [0.95, 95],
    [0.99, 99],
    [1, 100],
    [0, 1],
  ])('of 1 to 100 at %f is %i', (fraction, expected) => {
    expect(percentile(hundred, fraction)).toBe(expected);
  });

  test('of one value is that value, of none NaN', () => {
    expect(percentile(Float64Array.of(7), 0.99)).toBe(7);
    expect(percentile(new Float64Array(0), 0.5)).toBeNaN();
  });
});

test('latencies do not depend on the order of the operations', () => {
  expect(latencyOf(Float64Array.of(9, 1, 5))).toEqual({ p50Ms: 5, p95Ms: 9, p99Ms: 9, maxMs: 9 });
});

describe('summarize', () => {
  test('counts an operation with the share of it that lies in the window', () => {
    const { operationsPerSecond, mebibytesPerSecond, operationCount } = summarize(
      samples([
        [0, 1000, 2 ** 20],
        [1500, 2500, 2 ** 20],
      ]),
      2,
    );
    expect(operationsPerSecond).toBeCloseTo(0.75);
    expect(mebibytesPerSecond).toBeCloseTo(0.75);
    expect(operationCount).toBe(2);
  });

  test('keeps the latency of what outlasts the window', () => {
    expect(summarize(samples([[900, 5000]]), 1).maxMs).toBe(4100);
  });

  test('finds the worst second: its rate and its p99', () => {
    const steady = Array.from({ length: 30 }, (_, index) => [index * 100, index * 100 + 100] as const);
    const stalled = steady.filter(([start]) => start < 1000 || start >= 1900).concat([[1000, 1900]]);
    const { worstSecond, perSecond } = summarize(samples(stalled), 3);
    expect(worstSecond.operationsPerSecond).toBeCloseTo(2);
    expect(worstSecond.p99Ms).toBe(900);
    expect(perSecond.map(({ operationsPerSecond }) => Math.round(operationsPerSecond))).toEqual([10, 2, 10]);
  });

  test('a second in which nothing ended shows how long those under way had waited', () => {
    expect(summarize(samples([[0, 2500]]), 3).perSecond.map(({ p99Ms }) => p99Ms)).toEqual([1000, 2000, 2500]);
  });

  test('of nothing is zero, not an error', () => {
    expect(summarize(samples([]), 2)).toMatchObject({ operationsPerSecond: 0, operationCount: 0, p99Ms: NaN });
  });
});
