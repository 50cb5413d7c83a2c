import type { Figure } from './figure.ts';
import { alignColumns, number } from './render-table.ts';
import type { CellResult } from './run-cell.ts';

type Bound = { atLeast: number } | { below: number };

interface Row {
  work: string;
  figure: string;
  unit: string;
  bound: Bound | undefined;
  /** Times another server's figure in the same run. */
  ratio?: number;
  /** Times another figure of ours. */
  ofFigure?: { figure: string; share: number };
}

/** The numbers that the design sets, in its order. */
const ROWS: readonly Row[] = [
  { work: 'PUT 4 KiB, 64 connections', figure: 'put-4k.ops', unit: '/s', bound: { atLeast: 10_000 }, ratio: 20 },
  { work: '  p99', figure: 'put-4k.p99', unit: 'ms', bound: { below: 30 } },
  { work: 'GET 4 KiB, 64 connections', figure: 'get-4k.ops', unit: '/s', bound: { atLeast: 12_000 }, ratio: 2.5 },
  { work: 'PUT 128 KiB, 32 connections', figure: 'put-128k.mib', unit: 'MiB/s', bound: { atLeast: 200 } },
  { work: 'GET 128 KiB, 32 connections', figure: 'get-128k.mib', unit: 'MiB/s', bound: { atLeast: 600 } },
  { work: 'PUT 1 MiB, 16 connections', figure: 'put-1m.mib', unit: 'MiB/s', bound: { atLeast: 250 } },
  { work: 'PUT 1 MiB, signed payload', figure: 'put-1m-signed.mib', unit: 'MiB/s', bound: undefined },
  {
    work: 'PUT 64 MiB, 4 connections, unsigned payload',
    figure: 'put-64m.mib',
    unit: 'MiB/s',
    bound: undefined,
    ratio: 1,
  },
  { work: 'PUT 64 MiB, signed payload', figure: 'put-64m-signed.mib', unit: 'MiB/s', bound: undefined },
  { work: 'PUT 64 MiB in parts of 16 MiB', figure: 'multipart-64m.mib', unit: 'MiB/s', bound: undefined },
  { work: 'GET 64 MiB, 4 connections', figure: 'get-64m.mib', unit: 'MiB/s', bound: undefined, ratio: 1 },
  {
    work: 'GET 64 MiB, one disk lost',
    figure: 'get-64m-degraded.mib',
    unit: 'MiB/s',
    bound: undefined,
    ofFigure: { figure: 'get-64m.mib', share: 0.6 },
  },
  { work: 'PUT 4 KiB, one connection, p50', figure: 'put-4k-1.p50', unit: 'ms', bound: { below: 2.5 } },
  {
    work: 'PUT 4 KiB beside four uploads of 64 MiB, p99',
    figure: 'put-4k-beside.p99',
    unit: 'ms',
    bound: { below: 100 },
  },
  {
    work: 'disk bytes per object byte, 4 KiB from one connection',
    figure: 'space.4k-1',
    unit: '',
    bound: { below: 3.6 },
  },
  { work: 'disk bytes per object byte, 4 KiB from 64', figure: 'space.4k-64', unit: '', bound: { below: 1.9 } },
  { work: 'disk bytes per object byte, 1 MiB', figure: 'space.1m', unit: '', bound: { below: 1.55 } },
  { work: 'LIST of a large bucket, p50 of a page', figure: 'walk.keys.p50', unit: 'ms', bound: { below: 5 } },
  { work: '  with a delimiter', figure: 'walk.delimiter.p50', unit: 'ms', bound: { below: 5 } },
  {
    work: 'LIST of a large bucket, 8 connections',
    figure: 'large:list.keys',
    unit: 'keys/s',
    bound: { atLeast: 400_000 },
  },
  { work: '  at its end', figure: 'large:list-end.keys', unit: 'keys/s', bound: { atLeast: 400_000 } },
  { work: '  with a delimiter', figure: 'large:list-delimiter.keys', unit: 'names/s', bound: { atLeast: 400_000 } },
  {
    work: '  with a delimiter, at its end',
    figure: 'large:list-delimiter-end.keys',
    unit: 'names/s',
    bound: { atLeast: 400_000 },
  },
  { work: 'LIST of a small bucket, 8 connections', figure: 'list.keys', unit: 'keys/s', bound: undefined },
  { work: 'resident memory, idle', figure: 'memory.idle', unit: 'MiB', bound: { below: 120 } },
  { work: '  idle with the large bucket', figure: 'memory.idle-large', unit: 'MiB', bound: undefined },
  { work: '  256 uploads of 1 GiB', figure: 'memory.slow-clients', unit: 'MiB', bound: { below: 512 } },
  { work: 'start with the large bucket', figure: 'start.normal', unit: 's', bound: { below: 3 } },
  { work: '  after SIGKILL', figure: 'start.killed', unit: 's', bound: undefined },
  { work: '  index lost, objects rebuilt', figure: 'start.rebuild-rate', unit: '/s', bound: { atLeast: 50_000 } },
];

/** Figures by which rows ask for cells; `prefix` tells the cells of one stage from those of another. */
export function cellFigures(results: readonly CellResult[], prefix = ''): Figure[] {
  return results.flatMap((result) => {
    const { summary, server } = result;
    const how = `${result.connectionCount} connections, ${result.seconds.toFixed(1)} s`;
    const values: [name: string, value: number | undefined, unit: string][] = [
      ['ops', summary.operationsPerSecond, '/s'],
      ['mib', summary.mebibytesPerSecond, 'MiB/s'],
      ['p50', summary.p50Ms, 'ms'],
      ['p99', summary.p99Ms, 'ms'],
      ['keys', result.keysPerSecond, 'keys/s'],
    ];
    return values.flatMap(([name, value, unit]) =>
      value === undefined ? [] : [{ id: `${prefix}${result.cell}.${name}`, server, value, unit, how }],
    );
  });
}

export interface DesignLine {
  work: string;
  reached: number;
  unit: string;
  target: string;
  other: number | undefined;
  ratio: number | undefined;
  /** Undefined where the design sets no number, or what it asks for was not measured. */
  isReached: boolean | undefined;
}

/** One line for each number of the design that was measured. `server` and `other` are names of servers. */
export function designLines(figures: readonly Figure[], server: string, other: string | undefined): DesignLine[] {
  const valueOf = (id: string, of: string | undefined): number | undefined =>
    figures.find((figure) => figure.id === id && figure.server === of)?.value;
  return ROWS.flatMap((row) => {
    const reached = valueOf(row.figure, server);
    if (reached === undefined) return [];
    const theirs = other === undefined ? undefined : valueOf(row.figure, other);
    const ratio = theirs === undefined ? undefined : reached / theirs;
    const base = row.ofFigure === undefined ? undefined : valueOf(row.ofFigure.figure, server);
    const verdicts = [
      row.bound === undefined ? undefined : isWithin(reached, row.bound),
      row.ratio === undefined || ratio === undefined ? undefined : ratio >= row.ratio,
      row.ofFigure === undefined || base === undefined ? undefined : reached >= base * row.ofFigure.share,
    ].filter((verdict) => verdict !== undefined);
    return [
      {
        work: row.work,
        reached,
        unit: row.unit,
        target: describeTarget(row, other),
        other: theirs,
        ratio,
        isReached: verdicts.length === 0 ? undefined : verdicts.every(Boolean),
      },
    ];
  });
}

function isWithin(value: number, bound: Bound): boolean {
  return 'atLeast' in bound ? value >= bound.atLeast : value <= bound.below;
}

function describeTarget({ bound, ratio, ofFigure }: Row, other: string | undefined): string {
  const parts: string[] = [];
  if (bound !== undefined) {
    parts.push(
      'atLeast' in bound ? `≥ ${bound.atLeast.toLocaleString('en')}` : `≤ ${bound.below.toLocaleString('en')}`,
    );
  }
  if (ratio !== undefined) parts.push(`≥ ${ratio} × ${other ?? 'the other'}`);
  if (ofFigure !== undefined) parts.push(`≥ ${ofFigure.share * 100} % of healthy`);
  return parts.join(', ');
}

export function renderDesignLines(lines: readonly DesignLine[], other: string | undefined): string {
  const rows = lines.map((line) => [
    line.work,
    line.isReached === undefined ? '' : line.isReached ? 'yes' : 'NO',
    `${number(line.reached)} ${line.unit}`.trim(),
    line.target,
    line.other === undefined ? '' : number(line.other),
    line.ratio === undefined ? '' : `${number(line.ratio)} ×`,
  ]);
  return alignColumns([['work', 'met', 'reached', 'wanted', other ?? 'other', 'ratio'], ...rows]);
}
