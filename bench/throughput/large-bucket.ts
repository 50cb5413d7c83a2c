import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cell } from './cells.ts';
import type { Figure } from './figure.ts';
import { HoldfastServer } from './holdfast-server.ts';
import { makeBucket } from './make-bucket.ts';
import { readProcessUsage } from './process-usage.ts';
import { type CellResult, CellRunner, type RunSettings } from './run-cell.ts';
import { type StageTools, figure } from './stages.ts';
import { walkListing } from './walk-listing.ts';

const MEBIBYTE = 1024 * 1024;
const SETTLED_AFTER_MS = 3000;

export interface LargeBucketResult {
  figures: Figure[];
  problems: string[];
  cells: CellResult[];
}

/**
 * A bucket of many keys made through the API, listed from end to end and at both ends, then starts of the server: after a
 * stop, after SIGKILL, and with its index deleted.
 */
export async function largeBucket(
  { directory, load, say }: StageTools,
  {
    keyCount,
    cells,
    settings,
  }: { keyCount: number; cells: readonly Cell[]; settings: Omit<RunSettings, 'treeKeyCount'> },
): Promise<LargeBucketResult> {
  const server = await HoldfastServer.create(directory);
  const result: LargeBucketResult = { figures: [], problems: [], cells: [] };
  const { figures, problems } = result;
  try {
    await makeBucket(server, settings.treeBucket);
    await makeBucket(server, settings.bucket);
    const runner = new CellRunner({ server, load, settings: { ...settings, treeKeyCount: keyCount } });
    say(`fill of ${keyCount} keys`);
    const began = performance.now();
    const filled = await runner.fillTree();
    const seconds = (performance.now() - began) / 1000;
    const stored = filled?.acknowledged.length ?? 0;
    figures.push(figure('fill.rate', stored / seconds, 'objects/s', `${stored} PUTs of 0.1 to 1 KiB, 64 connections`));
    for (const [label, count] of Object.entries(filled?.errors ?? {})) problems.push(`fill: ${count} × ${label}`);
    if (stored !== keyCount) problems.push(`fill: WRONG ${stored} of ${keyCount} acknowledged`);
    for (const hasDelimiter of [false, true]) {
      say(`listing from end to end${hasDelimiter ? ' with a delimiter' : ''}`);
      const walk = await walkListing(server, { bucket: settings.treeBucket, keyCount, hasDelimiter });
      figures.push(...walk.figures);
      problems.push(...walk.problems);
    }
    for (const cell of cells) {
      say(cell.name);
      result.cells.push(await runner.run(cell));
    }
    await measureStarts(server, { keyCount, figures, say });
    return result;
  } finally {
    await server.stop();
  }
}

async function measureStarts(
  server: HoldfastServer,
  { keyCount, figures, say }: { keyCount: number; figures: Figure[]; say: (text: string) => void },
): Promise<void> {
  say('starts');
  await server.end();
  figures.push(figure('start.normal', (await server.start()) / 1000, 's', `with ${keyCount} objects, after a stop`));
  await delay(SETTLED_AFTER_MS);
  const resident = readProcessUsage(server.processId ?? -1)?.residentBytes ?? NaN;
  figures.push(figure('memory.idle-large', resident / MEBIBYTE, 'MiB', `after a start with ${keyCount} objects`));
  await server.end('SIGKILL');
  figures.push(figure('start.killed', (await server.start()) / 1000, 's', `with ${keyCount} objects, after SIGKILL`));
  await server.end();
  for (const name of readdirSync(server.stateDirectory)) {
    if (name.startsWith('index')) rmSync(join(server.stateDirectory, name), { recursive: true });
  }
  const rebuildMs = await server.start();
  figures.push(figure('start.index-lost', rebuildMs / 1000, 's', `with ${keyCount} objects and the index deleted`));
  figures.push(
    figure('start.rebuild-rate', keyCount / (rebuildMs / 1000), 'objects/s', 'the same, the whole start counted'),
  );
}
