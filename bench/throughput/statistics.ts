/** Samples of one or several threads over one measured window, times in milliseconds since its start. */
export interface Samples {
  starts: Float64Array;
  ends: Float64Array;
  bytes: Float64Array;
}

export interface Latency {
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
}

export interface Summary extends Latency {
  operationsPerSecond: number;
  mebibytesPerSecond: number;
  /** Operations that ended, the last ones after the window included. */
  operationCount: number;
  /** The slowest of the window's whole seconds. */
  worstSecond: { operationsPerSecond: number; mebibytesPerSecond: number; p99Ms: number };
  perSecond: SecondSummary[];
}

export interface SecondSummary {
  operationsPerSecond: number;
  mebibytesPerSecond: number;
  /** Of the operations that ended in it; without any, of how long those under way had taken by its end. */
  p99Ms: number;
}

const MEBIBYTE = 1024 * 1024;

/** The smallest value with at least `fraction` of all values at or below it; NaN of nothing. `sorted` is ascending. */
export function percentile(sorted: Float64Array, fraction: number): number {
  if (sorted.length === 0) return NaN;
  const rank = Math.ceil(fraction * sorted.length);
  return sorted[Math.min(sorted.length - 1, Math.max(0, rank - 1))] ?? NaN;
}

export function latencyOf(durationsMs: Float64Array): Latency {
  const sorted = durationsMs.slice().sort();
  return {
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95),
    p99Ms: percentile(sorted, 0.99),
    maxMs: sorted.at(-1) ?? NaN,
  };
}

/**
 * Rates and latencies of a window of `seconds`. An operation counts with the share of its duration that lies in the
 * window, so that the rate is right for a few long operations too; latencies are those of all operations, also of the
 * ones that outlast the window.
 */
export function summarize(samples: Samples, seconds: number): Summary {
  const count = samples.starts.length;
  const durations = new Float64Array(count);
  const wholeSeconds = Math.max(1, Math.floor(seconds));
  const operationsIn = new Float64Array(wholeSeconds);
  const bytesIn = new Float64Array(wholeSeconds);
  let operations = 0;
  let bytes = 0;
  for (let index = 0; index < count; index += 1) {
    const [start, end] = [samples.starts[index] ?? 0, samples.ends[index] ?? 0];
    const size = samples.bytes[index] ?? 0;
    const duration = end - start;
    durations[index] = duration;
    const share = shareWithin(start, end, 0, seconds * 1000);
    operations += share;
    bytes += share * size;
    const last = Math.min(wholeSeconds - 1, Math.floor(end / 1000));
    for (let second = Math.floor(start / 1000); second <= last; second += 1) {
      const inSecond = shareWithin(start, end, second * 1000, (second + 1) * 1000);
      operationsIn[second] = (operationsIn[second] ?? 0) + inSecond;
      bytesIn[second] = (bytesIn[second] ?? 0) + inSecond * size;
    }
  }
  const p99s = p99BySecond(samples, wholeSeconds);
  const perSecond = Array.from(operationsIn, (inSecond, second) => ({
    operationsPerSecond: inSecond,
    mebibytesPerSecond: (bytesIn[second] ?? 0) / MEBIBYTE,
    p99Ms: p99s[second] ?? NaN,
  }));
  return {
    ...latencyOf(durations),
    operationsPerSecond: operations / seconds,
    mebibytesPerSecond: bytes / MEBIBYTE / seconds,
    operationCount: count,
    worstSecond: {
      operationsPerSecond: Math.min(...perSecond.map((second) => second.operationsPerSecond)),
      mebibytesPerSecond: Math.min(...perSecond.map((second) => second.mebibytesPerSecond)),
      p99Ms: Math.max(...perSecond.map((second) => second.p99Ms).filter((value) => !Number.isNaN(value)), 0),
    },
    perSecond,
  };
}

function shareWithin(start: number, end: number, from: number, to: number): number {
  if (end <= start) return start >= from && start < to ? 1 : 0;
  return Math.max(0, Math.min(end, to) - Math.max(start, from)) / (end - start);
}

function p99BySecond({ starts, ends }: Samples, wholeSeconds: number): number[] {
  const ended: number[][] = Array.from({ length: wholeSeconds }, () => []);
  for (let index = 0; index < ends.length; index += 1) {
    ended[Math.floor((ends[index] ?? 0) / 1000)]?.push((ends[index] ?? 0) - (starts[index] ?? 0));
  }
  return ended.map((durations, second) => {
    if (durations.length > 0) return percentile(Float64Array.from(durations).sort(), 0.99);
    const endOfSecond = (second + 1) * 1000;
    const underWay = Array.from(starts, (start, index) =>
      start < endOfSecond && (ends[index] ?? 0) >= endOfSecond ? endOfSecond - start : 0,
    );
    return underWay.reduce((longest, age) => Math.max(longest, age), 0);
  });
}

export function joinSamples(parts: readonly Samples[]): Samples {
  const join = (arrays: readonly Float64Array[]): Float64Array => {
    const joined = new Float64Array(arrays.reduce((sum, array) => sum + array.length, 0));
    let at = 0;
    for (const array of arrays) {
      joined.set(array, at);
      at += array.length;
    }
    return joined;
  };
  return {
    starts: join(parts.map((part) => part.starts)),
    ends: join(parts.map((part) => part.ends)),
    bytes: join(parts.map((part) => part.bytes)),
  };
}
