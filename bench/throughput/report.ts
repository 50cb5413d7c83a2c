import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cellFigures, designLines, renderDesignLines } from './design-rows.ts';
import type { Figure } from './figure.ts';
import { type RunDescription, renderDescription } from './machine.ts';
import { alignColumns, number, renderProblems, renderRatios, renderTable } from './render-table.ts';
import type { CellResult } from './run-cell.ts';
import { renderBarChart } from './svg-chart.ts';

export interface Findings {
  cells: CellResult[];
  /** Cells on the bucket of many keys. */
  largeCells: CellResult[];
  figures: Figure[];
  problems: string[];
}

/** All tables of a run as text with headings. */
export function renderReport(run: RunDescription, findings: Findings): string {
  const { cells, largeCells, figures } = findings;
  const [, other] = new Set(cells.map((cell) => cell.server));
  const all = [...figures, ...cellFigures(cells), ...cellFigures(largeCells, 'large:')];
  const lines = designLines(all, 'holdfast', other);
  const sections: [title: string, text: string][] = [
    ['Cells', cells.length === 0 ? '' : renderTable(cells)],
    ['In the same run', renderRatios(cells)],
    ['A bucket of many keys', largeCells.length === 0 ? '' : renderTable(largeCells)],
    ['Other figures', figures.length === 0 ? '' : renderFigures(figures)],
    ['Numbers of the design', lines.length === 0 ? '' : renderDesignLines(lines, other)],
    ['Problems', problemsOf(findings)],
  ];
  const filled = sections.filter(([, text]) => text !== '');
  return `# Measured

${renderDescription(run)}

${filled.map(([title, text]) => `## ${title}\n\n\`\`\`text\n${text}\n\`\`\`\n`).join('\n')}`;
}

function problemsOf({ cells, largeCells, problems }: Findings): string {
  return [renderProblems([...cells, ...largeCells]), ...problems].filter((text) => text !== '').join('\n');
}

function renderFigures(figures: readonly Figure[]): string {
  const rows = figures.map(({ id, server, value, unit, how }) => [id, server, number(value), `${unit}; ${how}`]);
  return alignColumns([['figure', 'server', 'value', ''], ...rows], 'last column left');
}

/** Wrong bytes, lost writes, and cells in which nothing succeeded. */
export function isFailed({ cells, largeCells, problems }: Findings): boolean {
  const isWrong = ({ wrongCount, summary }: CellResult): boolean => wrongCount > 0 || summary.operationCount === 0;
  return [...cells, ...largeCells].some(isWrong) || problems.some((problem) => problem.includes('WRONG'));
}

/** `results.json`, `tables.md` and `chart.svg`. */
export function writeReport(folder: string, run: RunDescription, findings: Findings): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify({ run, ...findings }, undefined, 1)}\n`);
  writeFileSync(join(folder, 'tables.md'), renderReport(run, findings));
  writeFileSync(join(folder, 'chart.svg'), renderChart(findings.cells));
}

function renderChart(cells: readonly CellResult[]): string {
  const groups = [...new Set(cells.map(({ cell }) => cell))].map((name) => ({
    label: name,
    bars: cells
      .filter(({ cell }) => cell === name)
      .map(({ server, summary }) => ({
        series: server,
        value: summary.operationsPerSecond,
        text: `${number(summary.operationsPerSecond)}/s`,
      })),
  }));
  return renderBarChart('Operations in a second', groups);
}
