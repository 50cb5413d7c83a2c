import type { ChaosOptions } from './options.ts';
import { percentile, type Recorder } from './recorder.ts';

const AVAILABILITY_TARGET = 0.9999;
const ERROR_RATE_TARGET = 0.001;
const P99_TARGET_MS = 100;

export interface ChaosSummary {
  options: ChaosOptions;
  seconds: number;
  operations: Record<string, { ok: number; refused: number; unknown: number }>;
  acknowledgedWrites: number;
  acknowledgedBytes: number;
  verifiedReads: number;
  faults: Record<string, number>;
  faultCount: number;
  violations: readonly string[];
  counted: { operations: number; errors: number; availability: number; p50Ms: number; p99Ms: number };
  restarts: { count: number; medianMs: number; worstMs: number };
  cleanings: { count: number; medianMs: number; worstMs: number };
  healed: Recorder['healed'];
  errorCodes: Record<string, number>;
}

export function summarise(options: ChaosOptions, recorder: Recorder): ChaosSummary {
  const faults: Record<string, number> = {};
  const thrown = recorder.faults.filter(({ kind }) => kind !== 'stop-for-census');
  for (const { kind } of thrown) faults[kind] = (faults[kind] ?? 0) + 1;
  const { operations, errors, latenciesMs } = recorder.counted;
  return {
    options,
    seconds: recorder.nowMs() / 1000,
    operations: Object.fromEntries(recorder.operationCounts),
    acknowledgedWrites: recorder.acknowledgedWrites,
    acknowledgedBytes: recorder.acknowledgedBytes,
    verifiedReads: recorder.verifiedReads,
    faults,
    faultCount: thrown.length,
    violations: recorder.violations,
    counted: {
      operations,
      errors,
      availability: operations === 0 ? 0 : 1 - errors / operations,
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
    },
    restarts: spread(recorder.restartsMs),
    cleanings: spread(recorder.cleanWaitsMs),
    healed: recorder.healed,
    errorCodes: Object.fromEntries(recorder.errorCodes),
  };
}

function spread(sample: readonly number[]): { count: number; medianMs: number; worstMs: number } {
  return { count: sample.length, medianMs: percentile(sample, 0.5), worstMs: Math.max(0, ...sample) };
}

export function renderText(summary: ChaosSummary): string {
  const { options, counted, restarts, cleanings, healed } = summary;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const lines = [
    `Chaos: ${options.k}+${options.m} on ${options.diskCount} disks, ${(summary.seconds / 60).toFixed(1)} min, seed ${options.seed}${options.isBeyondM ? ', beyond m at the end' : ''}`,
    '',
    `VIOLATIONS            ${summary.violations.length}`,
    `acknowledged writes   ${summary.acknowledgedWrites} (${(summary.acknowledgedBytes / 2 ** 20).toFixed(0)} MiB)`,
    `verified reads        ${summary.verifiedReads}`,
    `faults                ${summary.faultCount}: ${counts(summary.faults)}`,
    `availability          ${(counted.availability * 100).toFixed(4)} % of ${counted.operations} requests (target ${AVAILABILITY_TARGET * 100} %), error rate ${((1 - counted.availability) * 100).toFixed(4)} % (at most ${ERROR_RATE_TARGET * 100} %): outside process faults, from 5 s after a disk fault`,
    `latency there         p50 ${counted.p50Ms.toFixed(1)} ms, p99 ${counted.p99Ms.toFixed(1)} ms (target ${P99_TARGET_MS} ms)`,
    `restarts              ${restarts.count}; ready after ${seconds(restarts.medianMs)} in the median, ${seconds(restarts.worstMs)} at worst`,
    `time to clean         ${cleanings.count} times: ${seconds(cleanings.medianMs)} in the median, ${seconds(cleanings.worstMs)} at worst (scrub, heal and census of everything)`,
    `healed                ${healed.shardCount} shards computed again in ${healed.fileCount} files, ${(healed.writtenBytes / 2 ** 20).toFixed(0)} MiB written; best rate of a cleaning ${(healed.bestBytesPerSecond / 2 ** 20).toFixed(1)} MiB/s, census included`,
    `answers that failed   ${counts(summary.errorCodes) || 'none'}`,
    '',
    'operation      ok  refused  unknown',
    ...Object.entries(summary.operations).map(
      ([kind, { ok, refused, unknown }]) =>
        `${kind.padEnd(10)} ${String(ok).padStart(6)} ${String(refused).padStart(8)} ${String(unknown).padStart(8)}`,
    ),
    '',
    ...summary.violations.map((violation) => `VIOLATION ${violation}`),
    'Why believe it: every body names the write it comes from; every read is compared byte by byte with what it may show',
    'by the history of its key; after each round all keys are read and listed, and a census counts every shard on every disk.',
  ];
  return `${lines.join('\n')}\n`;
}

function counts(of: Readonly<Record<string, number>>): string {
  return Object.entries(of)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
