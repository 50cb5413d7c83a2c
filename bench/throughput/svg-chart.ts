const ROW_HEIGHT = 18;
const LABEL_WIDTH = 230;
const PLOT_WIDTH = 560;
const VALUE_WIDTH = 90;
const COLORS = ['#2563eb', '#d97706', '#059669', '#9333ea', '#dc2626'];
const STYLE = 'font-family="system-ui, sans-serif" font-size="12"';

export interface BarGroup {
  label: string;
  bars: { series: string; value: number; text: string }[];
}

/** Horizontal bars in groups; lengths on a scale of powers of ten, because rates here differ by thousands. */
export function renderBarChart(title: string, groups: readonly BarGroup[]): string {
  const series = [...new Set(groups.flatMap(({ bars }) => bars.map((bar) => bar.series)))];
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value)).filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(1, ...values)));
  const high = Math.ceil(Math.log10(Math.max(10, ...values)));
  const scale = (value: number): number => (value <= 0 ? 0 : ((Math.log10(value) - low) / (high - low)) * PLOT_WIDTH);
  const parts: string[] = [];
  let y = 50;
  for (const { label, bars } of groups) {
    const middle = y + (bars.length * ROW_HEIGHT) / 2 + 4;
    parts.push(`<text x="${LABEL_WIDTH - 8}" y="${middle}" text-anchor="end">${escapeXml(label)}</text>`);
    for (const bar of bars) {
      const width = scale(bar.value).toFixed(1);
      const color = COLORS[series.indexOf(bar.series) % COLORS.length];
      parts.push(
        `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${width}" height="${ROW_HEIGHT - 4}" fill="${color}"/>`,
        `<text x="${LABEL_WIDTH + Number(width) + 6}" y="${y + 13}" fill="#444">${escapeXml(bar.text)}</text>`,
      );
      y += ROW_HEIGHT;
    }
    y += 8;
  }
  return frame(`${title} (each step of the scale is ten times the one before)`, series, {
    width: LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH,
    height: y + 10,
    body: parts.join('\n'),
  });
}

export interface LineSeries {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
}

export interface LinePanel {
  title: string;
  series: readonly LineSeries[];
}

const PANEL_HEIGHT = 150;

/** Panels below each other with one x axis, each with its own scale from zero. */
export function renderLineChart(title: string, xLabel: string, panels: readonly LinePanel[]): string {
  const names = [...new Set(panels.flatMap(({ series }) => series.map(({ name }) => name)))];
  const largestX = Math.max(
    1,
    ...panels.flatMap(({ series }) => series.flatMap(({ points }) => points.map(([x]) => x))),
  );
  const left = 80;
  const parts: string[] = [];
  panels.forEach((panel, index) => {
    const top = 60 + index * (PANEL_HEIGHT + 40);
    const largestY = Math.max(0, ...panel.series.flatMap(({ points }) => points.map(([, y]) => y))) || 1;
    parts.push(
      `<text x="${left}" y="${top - 8}" font-weight="bold">${escapeXml(panel.title)}</text>`,
      `<rect x="${left}" y="${top}" width="${PLOT_WIDTH + 200}" height="${PANEL_HEIGHT}" fill="none" stroke="#bbb"/>`,
      `<text x="${left - 6}" y="${top + 10}" text-anchor="end">${shortNumber(largestY)}</text>`,
      `<text x="${left - 6}" y="${top + PANEL_HEIGHT}" text-anchor="end">0</text>`,
    );
    for (const { name, points } of panel.series) {
      const place = points.map(([x, y]) => {
        const px = left + (x / largestX) * (PLOT_WIDTH + 200);
        const py = top + PANEL_HEIGHT - (y / largestY) * PANEL_HEIGHT;
        return `${px.toFixed(1)},${py.toFixed(1)}`;
      });
      const color = COLORS[names.indexOf(name) % COLORS.length];
      parts.push(`<polyline fill="none" stroke="${color}" stroke-width="1.5" points="${place.join(' ')}"/>`);
    }
  });
  const height = 60 + panels.length * (PANEL_HEIGHT + 40) + 10;
  const axis = `<text x="${left + PLOT_WIDTH / 2}" y="${height - 14}">${escapeXml(xLabel)}, 0 to ${shortNumber(largestX)}</text>`;
  return frame(title, names, { width: left + PLOT_WIDTH + 230, height, body: `${parts.join('\n')}\n${axis}` });
}

function frame(
  title: string,
  series: readonly string[],
  { width, height, body }: { width: number; height: number; body: string },
): string {
  const legend = series
    .map((name, index) => {
      const x = 10 + index * 130;
      const color = COLORS[index % COLORS.length];
      return `<rect x="${x}" y="26" width="12" height="12" fill="${color}"/><text x="${x + 17}" y="36">${escapeXml(name)}</text>`;
    })
    .join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ${STYLE}>
<rect width="100%" height="100%" fill="white"/>
<text x="10" y="17" font-weight="bold">${escapeXml(title)}</text>
${legend}
${body}
</svg>
`;
}

function shortNumber(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
