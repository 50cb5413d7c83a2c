import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Figure } from './figure.ts';
import { HoldfastServer } from './holdfast-server.ts';
import type { PayloadMode } from './job.ts';
import type { LoadGenerator } from './load-generator.ts';
import { makeBucket } from './make-bucket.ts';
import { UsageWatch, readProcessUsage } from './process-usage.ts';
import { holdUploads } from './slow-uploads.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const TIMEOUT_MS = 60_000;
/** A server that has nothing to do has settled by then. */
const SETTLED_AFTER_MS = 5000;
const BUCKET = 'stage';

export interface StageTools {
  load: LoadGenerator;
  /** Folder for stores. */
  directory: string;
  say: (text: string) => void;
}

/** A figure and what was wrong on the way to it. */
export interface StageResult {
  figures: Figure[];
  problems: string[];
}

/** Resident memory of a server that has just started on an empty store and was left alone. */
export async function idleMemory({ directory }: StageTools): Promise<StageResult> {
  const server = await HoldfastServer.create(directory);
  try {
    await delay(SETTLED_AFTER_MS);
    const resident = readProcessUsage(server.processId ?? -1)?.residentBytes ?? NaN;
    const how = `${SETTLED_AFTER_MS / 1000} s after the start of an empty store`;
    return { figures: [figure('memory.idle', resident / MEBIBYTE, 'MiB', how)], problems: [] };
  } finally {
    await server.stop();
  }
}

interface SpaceCase {
  id: string;
  sizeBytes: number;
  connectionCount: number;
  objectCount: number;
  payload: PayloadMode;
}

const SPACE_CASES: readonly SpaceCase[] = [
  { id: 'space.4k-1', sizeBytes: 4 * KIBIBYTE, connectionCount: 1, objectCount: 8_000, payload: 'signed' },
  { id: 'space.4k-64', sizeBytes: 4 * KIBIBYTE, connectionCount: 64, objectCount: 30_000, payload: 'signed' },
  { id: 'space.1m', sizeBytes: MEBIBYTE, connectionCount: 16, objectCount: 400, payload: 'unsigned' },
];

/**
 * Disk bytes for an object byte by `du` of the volumes. The server is started again before each reading: a start seals
 * the volumes of the run before and gives back what was zeroed ahead. The journal is recycled and bounded, not part of it.
 */
export async function diskSpace({ directory, load, say }: StageTools): Promise<StageResult> {
  const server = await HoldfastServer.create(directory);
  const result: StageResult = { figures: [], problems: [] };
  try {
    await makeBucket(server, BUCKET);
    let before = await volumeBytes(server);
    for (const { id, sizeBytes, connectionCount, objectCount, payload } of SPACE_CASES) {
      say(id);
      const { acknowledged, errors } = await load.run({
        address: server.address,
        signer: server.signer,
        bucket: BUCKET,
        timeoutMs: TIMEOUT_MS,
        connectionCount,
        work: { kind: 'put', space: { kind: 'spread', prefix: `${id}/`, sizeBytes }, payload },
        limit: { seconds: Infinity, operations: objectCount },
        warmUpSeconds: 0,
      });
      for (const [label, count] of Object.entries(errors)) result.problems.push(`${id}: ${count} × ${label}`);
      await server.end();
      await server.start();
      const after = await volumeBytes(server);
      const ratio = (after - before) / (acknowledged.length * sizeBytes);
      const how = `du of the volumes for ${acknowledged.length} objects from ${connectionCount} connections`;
      result.figures.push(figure(id, ratio, 'bytes per byte', how));
      before = after;
    }
    return result;
  } finally {
    await server.stop();
  }
}

async function volumeBytes({ diskPaths }: HoldfastServer): Promise<number> {
  // There is no such folder before the first volume.
  const folders = diskPaths.map((path) => join(path, 'volumes')).filter((path) => existsSync(path));
  if (folders.length === 0) return 0;
  const args = ['-s', '--block-size=1', ...folders];
  const { stdout } = await promisify(execFile)('du', args);
  return stdout
    .trim()
    .split('\n')
    .reduce((sum, line) => sum + Number(line.split('\t')[0]), 0);
}

export interface SlowClientsOptions {
  clientCount: number;
  seconds: number;
}

/** Peak memory while many clients upload large bodies slowly. */
export async function slowClients(
  { directory }: StageTools,
  { clientCount, seconds }: SlowClientsOptions,
): Promise<StageResult> {
  const server = await HoldfastServer.create(directory);
  try {
    await makeBucket(server, BUCKET);
    const watch = new UsageWatch(server.processId);
    const { sentBytes, endedEarly } = await holdUploads(server, { bucket: BUCKET, clientCount, seconds });
    const { peakResidentBytes } = watch.stop();
    const rate = `${(sentBytes / MEBIBYTE / seconds).toFixed(0)} MiB/s together`;
    return {
      figures: [
        figure(
          'memory.slow-clients',
          peakResidentBytes / MEBIBYTE,
          'MiB',
          `peak during ${seconds} s of ${clientCount} uploads of 1 GiB, ${rate}`,
        ),
      ],
      problems: endedEarly.map(([label, count]) => `slow clients: ${count} × ${label}`),
    };
  } finally {
    await server.stop();
  }
}

export function figure(id: string, value: number, unit: string, how: string): Figure {
  return { id, server: 'holdfast', value, unit, how };
}
