import { annualLossProbability, nines } from '../healing/durability-model.ts';
import type { ErasureCode } from '../model/erasure-code.ts';

const WIDTH = 760;
const HEIGHT = 460;
const LEFT = 60;
const RIGHT = 130;
const TOP = 44;
const BOTTOM = 50;
const COLOURS = ['#1b6ca8', '#d1495b', '#2e8b57', '#8a5a00', '#6b4fa0', '#333333', '#c2185b', '#00838f'];
const REPAIR_HOURS = [1, 2, 4, 8, 12, 24, 48, 72, 156, 336, 720];
const CODES: readonly ErasureCode[] = [
  { k: 1, m: 1 },
  { k: 2, m: 1 },
  { k: 2, m: 2 },
  { k: 4, m: 2 },
  { k: 5, m: 3 },
  { k: 8, m: 4 },
  { k: 12, m: 4 },
];

/** An SVG: nines against repair time, a line for each of the usual codes, the cluster's own code and repair time marked. */
export function plotDurability(own: { code: ErasureCode; repairDays: number; annualFailureRate: number }): string {
  const isListed = CODES.some(({ k, m }) => k === own.code.k && m === own.code.m);
  const codes = isListed ? CODES : [...CODES, own.code];
  const { annualFailureRate } = own;
  const at = (code: ErasureCode, repairDays: number): number =>
    nines(annualLossProbability(code, { annualFailureRate, repairDays }));
  const mostNines = Math.ceil(Math.max(...codes.map((code) => at(code, 1 / 24))) / 2) * 2;
  const x = (hours: number): number =>
    LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(hours)) / Math.log(REPAIR_HOURS.at(-1) ?? 1);
  const y = (count: number): number => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * count) / mostNines;
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    text(
      LEFT,
      22,
      `Nines a year against repair time (${Number((annualFailureRate * 100).toPrecision(3))} % of disks fail in a year, independently)`,
      'start',
      14,
    ),
  ];
  for (let count = 0; count <= mostNines; count += 2) {
    parts.push(
      line(LEFT, y(count), WIDTH - RIGHT, y(count), '#dddddd'),
      text(LEFT - 8, y(count) + 4, `${count}`, 'end'),
    );
  }
  for (const hours of REPAIR_HOURS) {
    parts.push(line(x(hours), TOP, x(hours), y(0), '#eeeeee'));
    parts.push(
      text(x(hours), y(0) + 18, hours < 48 ? `${hours} h` : `${Number((hours / 24).toPrecision(2))} d`, 'middle'),
    );
  }
  for (const [index, code] of codes.entries()) {
    const points = REPAIR_HOURS.map((hours) => `${x(hours).toFixed(1)},${y(at(code, hours / 24)).toFixed(1)}`);
    const isOwn = code.k === own.code.k && code.m === own.code.m;
    const colour = COLOURS[index % COLOURS.length] ?? 'black';
    parts.push(
      `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="${isOwn ? 3 : 1.5}"/>`,
    );
    const last = REPAIR_HOURS.at(-1) ?? 1;
    parts.push(
      text(
        x(last) + 8,
        y(at(code, last / 24)) + 4,
        `${code.k}+${code.m}${isOwn ? ' (here)' : ''}`,
        'start',
        12,
        colour,
      ),
    );
  }
  const ownHours = Math.min(Math.max(own.repairDays * 24, 1), REPAIR_HOURS.at(-1) ?? 1);
  const ownNines = at(own.code, own.repairDays);
  parts.push(
    `<circle cx="${x(ownHours).toFixed(1)}" cy="${y(Math.min(ownNines, mostNines)).toFixed(1)}" r="6" fill="none" stroke="black" stroke-width="2"/>`,
  );
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, 'from the failure to full redundancy', 'middle'), '</svg>');
  return `${parts.join('\n')}\n`;
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${colour}"/>`;
}

function text(x: number, y: number, content: string, anchor: string, size = 12, colour = 'black'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}" fill="${colour}">${content}</text>`;
}
