import { expect, test } from 'vitest';
import { type SoakSample, soakVerdicts } from '../../../bench/throughput/soak-verdict.ts';
import { renderLineChart } from '../../../bench/throughput/svg-chart.ts';

const steady = (minute: number): SoakSample => ({
  minute,
  operationsPerSecond: 1000,
  p50Ms: 5,
  p99Ms: 20,
  residentBytes: 2e8,
  storedBytes: 3e8,
  liveBytes: 2e8,
  diskBytes: 5e8,
});
const samplesOf = (change: (minute: number) => Partial<SoakSample>): SoakSample[] =>
  Array.from({ length: 30 }, (_, minute) => ({ ...steady(minute), ...change(minute) }));
const growing = (samples: readonly SoakSample[]): string[] =>
  soakVerdicts(samples)
    .filter(({ isFlat }) => !isFlat)
    .map(({ what }) => what);

test('steady work is flat, also when it began slowly', () => {
  expect(growing(samplesOf(() => ({})))).toEqual([]);
  expect(growing(samplesOf((minute) => (minute < 8 ? { residentBytes: 1e8, p99Ms: 100 } : {})))).toEqual([]);
});

test('a leak, a latency that creeps, a rate that falls and space that is not reclaimed are told apart', () => {
  expect(growing(samplesOf((minute) => ({ residentBytes: 1e8 * (1 + minute / 10) })))).toEqual(['resident memory']);
  expect(growing(samplesOf((minute) => ({ p99Ms: 20 + 2 * minute })))).toEqual(['p99']);
  expect(growing(samplesOf((minute) => ({ operationsPerSecond: 1000 - 25 * minute })))).toEqual(['throughput']);
  expect(growing(samplesOf((minute) => ({ diskBytes: 5e8 * (1 + minute) })))).toEqual(['space on the disks']);
});

test('one peak is no trend', () => {
  expect(growing(samplesOf((minute) => (minute === 25 ? { p99Ms: 900 } : {})))).toEqual([]);
});

test('what was not measured, or too shortly, is not called flat', () => {
  expect(growing(samplesOf(() => ({ residentBytes: NaN })))).toEqual(['resident memory']);
  expect(soakVerdicts([steady(0)]).every(({ isFlat }) => !isFlat)).toBe(true);
});

test('lines of a chart end where their last point is', () => {
  const svg = renderLineChart('t', 'minutes', [
    {
      title: 'a',
      series: [
        {
          name: 'x',
          points: [
            [0, 0],
            [10, 5],
          ],
        },
      ],
    },
  ]);
  expect(svg).toMatch(/points="80\.0,210\.0 840\.0,60\.0"/);
});
