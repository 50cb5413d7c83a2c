import type { CellResult } from './run-cell.ts';

interface Column {
  head: string;
  value(result: CellResult): string;
}

const COLUMNS: readonly Column[] = [
  { head: 'cell', value: (result) => result.cell },
  { head: 'server', value: (result) => result.server },
  { head: 'conns', value: (result) => String(result.connectionCount) },
  { head: 'ops/s', value: ({ summary }) => number(summary.operationsPerSecond) },
  { head: 'MiB/s or keys/s', value: volume },
  { head: 'p50 ms', value: ({ summary }) => number(summary.p50Ms) },
  { head: 'p95', value: ({ summary }) => number(summary.p95Ms) },
  { head: 'p99', value: ({ summary }) => number(summary.p99Ms) },
  { head: 'max', value: ({ summary }) => number(summary.maxMs) },
  { head: 'worst s ops/s', value: ({ summary }) => number(summary.worstSecond.operationsPerSecond) },
  { head: 'p99', value: ({ summary }) => number(summary.worstSecond.p99Ms) },
  { head: 'RSS MiB', value: (result) => number(result.peakResidentBytes / 2 ** 20) },
  { head: 'server CPU µs/op', value: (result) => microseconds(result.serverCpuSeconds, result) },
  { head: 'client', value: (result) => microseconds(result.clientCpuSeconds, result) },
  { head: 'loop max ms', value: ({ loop }) => number(loop?.loopDelayMaxMs ?? NaN) },
  { head: 'gc max', value: ({ loop }) => number(loop?.gcMaxMs ?? NaN) },
  { head: 'errors', value: (result) => String(errorCount(result)) },
];

function volume({ summary, keysPerSecond }: CellResult): string {
  if (keysPerSecond !== undefined) return number(keysPerSecond);
  return summary.mebibytesPerSecond === 0 ? '' : number(summary.mebibytesPerSecond);
}

export function errorCount(result: CellResult): number {
  return Object.values(result.errors).reduce((sum, count) => sum + count, 0);
}

/** Three significant digits, thousands whole; `–` for what could not be measured. */
export function number(value: number): string {
  if (Number.isNaN(value)) return '–';
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function microseconds(seconds: number, { summary }: CellResult): string {
  return number((seconds * 1e6) / summary.operationCount);
}

/** The results as a table of text, in the order given. */
export function renderTable(results: readonly CellResult[]): string {
  return alignColumns([COLUMNS.map(({ head }) => head), ...results.map(renderRow)]);
}

export function renderRow(result: CellResult): string[] {
  return COLUMNS.map((column) => column.value(result));
}

/** Rows of equal length with padded cells: the first two columns to the left, the others to the right, the last as told. */
export function alignColumns(
  rows: readonly (readonly string[])[],
  last: 'last column left' | 'right' = 'right',
): string {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  const isLeft = (index: number): boolean => index < 2 || (last === 'last column left' && index === widths.length - 1);
  return rows
    .map((row) =>
      row
        .map((text, index) => (isLeft(index) ? text.padEnd(widths[index] ?? 0) : text.padStart(widths[index] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One line for each cell that several servers ran: how many times the first's rate is the other's. */
export function renderRatios(results: readonly CellResult[]): string {
  const lines: string[] = [];
  for (const name of new Set(results.map(({ cell }) => cell))) {
    const [first, ...others] = results.filter(({ cell }) => cell === name);
    for (const other of first === undefined ? [] : others) {
      const ratio = (first?.summary.operationsPerSecond ?? NaN) / other.summary.operationsPerSecond;
      lines.push(`${name}: ${first?.server} is ${number(ratio)} × ${other.server}`);
    }
  }
  return lines.join('\n');
}

/** What went wrong, in words; empty when nothing did. */
export function renderProblems(results: readonly CellResult[]): string {
  const lines: string[] = [];
  for (const result of results) {
    const where = `${result.server} ${result.cell}`;
    if (errorCount(result) > 0) {
      const counts = Object.entries(result.errors).map(([label, count]) => `${count} × ${label}`);
      lines.push(`${where}: ${counts.join(', ')}`);
      for (const example of result.errorExamples.slice(0, 3)) lines.push(`  for example ${example}`);
    }
    if (result.wrongCount > 0) {
      lines.push(`${where}: WRONG ${result.wrongCount} times`);
      for (const example of result.wrongExamples.slice(0, 5)) lines.push(`  ${example}`);
    }
    if (result.summary.operationCount === 0) lines.push(`${where}: nothing succeeded`);
    if (result.signedLate > result.summary.operationCount / 20) {
      lines.push(`${where}: ${result.signedLate} requests were signed while measuring; the client was slower for it`);
    }
  }
  return lines.join('\n');
}
