import { percentile, type Recorder } from './recorder.ts';
import { type ChaosSummary, renderText } from './summary.ts';

const WIDTH = 1100;
const LEFT = 60;
const PLOT_HEIGHT = 150;
const COLOURS: Record<string, string> = { true: '#8a8a8a', false: '#d1495b' };

/** One page that a person can look at: the text, and throughput, latency and faults over time. No scripts, nothing loaded. */
export function renderHtml(summary: ChaosSummary, recorder: Recorder): string {
  const { seconds } = recorder;
  const length = Math.max(1, seconds.length);
  const x = (second: number): number => LEFT + ((WIDTH - LEFT - 10) * second) / length;
  const throughput = plot(
    'requests a second (grey: errors)',
    seconds.map(({ operations }) => operations),
    seconds.map(({ errors }) => errors),
    x,
  );
  const latency = plot(
    'p99 in ms, each second',
    seconds.map(({ latenciesMs }) => percentile(latenciesMs, 0.99)),
    undefined,
    x,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Holdfast chaos report</title>
<style>body{font-family:sans-serif;margin:2em;max-width:${WIDTH}px}pre{background:#f5f5f5;padding:1em;overflow:auto}</style></head>
<body><h1>Chaos report</h1>
<p><b style="color:${summary.violations.length === 0 ? '#2e8b57' : '#d1495b'}">${summary.violations.length} violations</b> in
${summary.acknowledgedWrites} acknowledged writes, ${summary.verifiedReads} verified reads and ${summary.faultCount} faults.</p>
${throughput}
${latency}
${faultPlot(recorder, x, length)}
<pre>${escape(renderText(summary))}</pre>
</body></html>
`;
}

function plot(
  title: string,
  values: readonly number[],
  below: readonly number[] | undefined,
  x: (second: number) => number,
): string {
  const most = Math.max(1, ...values, ...(below ?? []));
  const y = (value: number): number => PLOT_HEIGHT - 20 - ((PLOT_HEIGHT - 40) * value) / most;
  const points = (of: readonly number[]): string =>
    of.map((value, second) => `${x(second).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  const second =
    below === undefined ? '' : `<polyline points="${points(below)}" fill="none" stroke="#8a8a8a" stroke-width="1"/>`;
  return `<svg viewBox="0 0 ${WIDTH} ${PLOT_HEIGHT}" font-size="11"><text x="${LEFT}" y="12">${title}</text>
<text x="${LEFT - 6}" y="${y(most) + 4}" text-anchor="end">${Math.round(most)}</text><text x="${LEFT - 6}" y="${y(0) + 4}" text-anchor="end">0</text>
<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${y(0)}" y2="${y(0)}" stroke="#ccc"/>${second}
<polyline points="${points(values)}" fill="none" stroke="#1b6ca8" stroke-width="1"/></svg>`;
}

/** A row for each kind of fault, a bar from its beginning to its end. */
function faultPlot(recorder: Recorder, x: (second: number) => number, length: number): string {
  const kinds = [...new Set(recorder.faults.map(({ kind }) => kind))];
  const bars = recorder.faults.map(({ kind, target, beganMs, endedMs, isProcessFault }) => {
    const from = x(beganMs / 1000);
    const to = x((endedMs ?? length * 1000) / 1000);
    return `<rect x="${(from + 90).toFixed(1)}" y="${kinds.indexOf(kind) * 16 + 6}" width="${Math.max(2, to - from).toFixed(1)}" height="10" fill="${COLOURS[String(isProcessFault)]}"><title>${escape(`${kind} ${target}`)}</title></rect>`;
  });
  const labels = kinds.map((kind, row) => `<text x="0" y="${row * 16 + 15}">${escape(kind)}</text>`);
  return `<svg viewBox="0 0 ${WIDTH + 90} ${kinds.length * 16 + 24}" font-size="11">${labels.join('')}${bars.join('')}</svg>`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
