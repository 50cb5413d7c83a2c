import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HoldfastServer } from './holdfast-server.ts';
import type { LoadGenerator } from './load-generator.ts';
import { makeBucket } from './make-bucket.ts';
import { readProcessUsage } from './process-usage.ts';
import { number } from './render-table.ts';
import { type SoakSample, soakVerdicts } from './soak-verdict.ts';
import { summarize } from './statistics.ts';
import { renderLineChart } from './svg-chart.ts';

const MEBIBYTE = 1024 * 1024;
const BUCKET = 'soak';
const TIMEOUT_MS = 60_000;
const KEYS_PER_CONNECTION = 100;
const LARGEST_SIZE_BYTES = 4 * MEBIBYTE;
const SLICES = 60;
const SHORTEST_SLICE_SECONDS = 2;

export interface SoakOptions {
  directory: string;
  load: LoadGenerator;
  minutes: number;
  connectionCount: number;
  outputFolder: string | undefined;
  say: (text: string) => void;
}

/**
 * Mixed work with overwrites and deletes on a fixed set of keys, in slices; after each slice memory, latency, throughput
 * and space are read. Returns the text of the verdicts and what was wrong.
 */
export async function soak(options: SoakOptions): Promise<{ text: string; problems: string[]; isFlat: boolean }> {
  const server = await HoldfastServer.create(options.directory);
  const problems: string[] = [];
  const samples: SoakSample[] = [];
  const sliceSeconds = Math.max(SHORTEST_SLICE_SECONDS, (options.minutes * 60) / SLICES);
  const began = performance.now();
  try {
    await makeBucket(server, BUCKET);
    for (let slice = 0; performance.now() - began < options.minutes * 60_000; slice += 1) {
      const sample = await runSlice(server, { options, slice, sliceSeconds, problems });
      samples.push({ ...sample, minute: (performance.now() - began) / 60_000 });
      const { operationsPerSecond, p99Ms, residentBytes } = sample;
      options.say(`${number(operationsPerSecond)}/s, p99 ${number(p99Ms)} ms, ${number(residentBytes / MEBIBYTE)} MiB`);
    }
  } finally {
    await server.stop();
  }
  const verdicts = soakVerdicts(samples);
  if (options.outputFolder !== undefined) {
    const results = { minutes: options.minutes, connectionCount: options.connectionCount, verdicts, samples };
    writeFileSync(join(options.outputFolder, 'soak.json'), `${JSON.stringify(results, undefined, 1)}\n`);
    writeFileSync(join(options.outputFolder, 'soak.svg'), renderSoakChart(samples));
  }
  const lines = verdicts.map(({ what, isFlat, detail }) => `${isFlat ? 'flat' : 'GROWS'}  ${what}: ${detail}`);
  return { text: lines.join('\n'), problems, isFlat: verdicts.every(({ isFlat }) => isFlat) };
}

async function runSlice(
  server: HoldfastServer,
  context: { options: SoakOptions; slice: number; sliceSeconds: number; problems: string[] },
): Promise<Omit<SoakSample, 'minute'>> {
  const { options, slice, sliceSeconds, problems } = context;
  const result = await options.load.run({
    address: server.address,
    signer: server.signer,
    bucket: BUCKET,
    timeoutMs: TIMEOUT_MS,
    connectionCount: options.connectionCount,
    work: {
      kind: 'mixed',
      // The same names in every slice: each slice overwrites what the one before left behind.
      prefix: 'soak/',
      keysPerConnection: KEYS_PER_CONNECTION,
      largestSizeBytes: LARGEST_SIZE_BYTES,
      hasFixedNames: true,
    },
    limit: { seconds: sliceSeconds, operations: Infinity },
    warmUpSeconds: 0,
  });
  for (const [label, count] of Object.entries(result.errors)) problems.push(`slice ${slice}: ${count} × ${label}`);
  for (const { detail } of result.wrong) problems.push(`slice ${slice}: WRONG ${detail}`);
  const summary = summarize(result.samples, sliceSeconds);
  const metrics = await server.metrics();
  const of = (name: string): number => metrics.get(name) ?? NaN;
  return {
    operationsPerSecond: summary.operationsPerSecond,
    p50Ms: summary.p50Ms,
    p99Ms: summary.p99Ms,
    residentBytes: readProcessUsage(server.processId ?? -1)?.residentBytes ?? NaN,
    storedBytes: of('holdfast_volume_stored_bytes'),
    liveBytes: of('holdfast_volume_live_bytes'),
    diskBytes: of('holdfast_disk_used_bytes'),
  };
}

function renderSoakChart(samples: readonly SoakSample[]): string {
  const line = (name: string, of: (sample: SoakSample) => number) => ({
    name,
    points: samples.map((sample) => [sample.minute, of(sample)] as const),
  });
  return renderLineChart('Soak: mixed work with overwrites and deletes', 'minutes', [
    { title: 'operations in a second', series: [line('operations', (sample) => sample.operationsPerSecond)] },
    { title: 'latency, ms', series: [line('p50', (sample) => sample.p50Ms), line('p99', (sample) => sample.p99Ms)] },
    { title: 'resident memory, MiB', series: [line('resident', (sample) => sample.residentBytes / MEBIBYTE)] },
    {
      title: 'MiB: files on the disks, payload in volumes, payload that is live',
      series: [
        line('disk', (sample) => sample.diskBytes / MEBIBYTE),
        line('stored', (sample) => sample.storedBytes / MEBIBYTE),
        line('live', (sample) => sample.liveBytes / MEBIBYTE),
      ],
    },
  ]);
}
