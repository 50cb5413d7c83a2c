/**
 * A store that grows and shrinks while it is used: `npm run bench:grow -- [--directories A,B,C,D,E,F,G] [--megabytes N] [--seed N]`.
 * Four disks of 2+2; three more are added one at a time, one of the first is drained and removed, then the code becomes 4+2 and
 * everything is recoded; all of it under load. At the end the census must be clean and every byte must be what was written. The
 * directories should be file systems of different sizes; without them they are made below a temporary folder, on one device.
 * Exit code 1 on any violation.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { eventually, TestServer } from '../../test/support/server-process.ts';
import { Load } from './load.ts';

const FIRST_COUNT = 4;
const MIB = 1024 * 1024;
const BUCKET = 'growing';
/** A phase of the story ends within this, however busy the machine is. */
const PHASE_BOUND_MS = 900_000;

interface DiskRow {
  id: string;
  path: string | undefined;
  state: string;
  isLevel: boolean;
  usedBytes: number;
  freeBytes: number;
  shardCount: number;
}

interface DiskList {
  disks: DiskRow[];
  moves?: { isRunning: boolean; movedShardCount: number; movedBytes: number };
}

const { values } = parseArgs({
  options: { directories: { type: 'string' }, megabytes: { type: 'string' }, seed: { type: 'string' } },
});
const liveBytesLimit = Number(values.megabytes ?? '500') * MIB;
const seed = Number(values.seed ?? '1');

const server = await TestServer.over(
  async (it) => {
    const given =
      values.directories?.split(',') ?? Array.from({ length: 7 }, (_, n) => join(it.folder, `disk${n + 1}`));
    it.diskPaths.splice(0, it.diskPaths.length, ...given);
    if (values.directories === undefined) for (const path of given) mkdirSync(path);
    const first = given.slice(0, FIRST_COUNT).join(' ');
    await run(it, 'format', '--disks', first, '--code', '2+2');
  },
  {
    environment: {
      HOLDFAST_RESERVE: '64 MiB',
      HOLDFAST_VOLUME_SIZE: '64 MiB',
      HOLDFAST_HEAL_RATE: '1 GiB/s',
      HOLDFAST_BALANCE_RATE: '256 MiB/s',
      HOLDFAST_COLLECTOR_RATE: '256 MiB/s',
    },
  },
);
try {
  await server.start({ diskPaths: server.diskPaths.slice(0, FIRST_COUNT) });
  process.exitCode = await tell(server);
} catch (error) {
  process.stderr.write(`${server.output.slice(-3000)}\n`);
  throw error;
} finally {
  await server.destroy();
}

async function tell(it: TestServer): Promise<number> {
  const client = it.client({ maxAttempts: 1 });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const load = new Load({ client, bucket: BUCKET, liveBytesLimit, seed });
  const running = load.run();
  // A worker that fails ends the story where it is awaited.
  running.catch(() => undefined);
  const phase = async (what: string, work: () => Promise<void>): Promise<void> => {
    load.takeFigures();
    const before = (await listOf(it)).moves;
    const beganAt = performance.now();
    await work();
    const seconds = (performance.now() - beganAt) / 1000;
    const { moves, disks } = await listOf(it);
    const { writeCount, writtenBytes, failedCount, putP50Ms, putP99Ms } = load.takeFigures();
    const movedMiB = ((moves?.movedBytes ?? 0) - (before?.movedBytes ?? 0)) / MIB;
    const use = disks.map(({ path = '', usedBytes, freeBytes }) => {
      return `${basename(path)} ${Math.round((100 * usedBytes) / (usedBytes + freeBytes))} %`;
    });
    print(
      `${what}: ${seconds.toFixed(0)} s, ${movedMiB.toFixed(0)} MiB moved between disks; meanwhile ${writeCount} writes ` +
        `(${(writtenBytes / MIB).toFixed(0)} MiB), ${failedCount} refused, PUT p50 ${putP50Ms} ms, p99 ${putP99Ms} ms; ` +
        `in use: ${use.join(', ')}`,
    );
  };
  await phase('four disks are filled', () =>
    eventually('they are', async () => load.liveBytes >= liveBytesLimit, PHASE_BOUND_MS),
  );
  for (const path of it.diskPaths.slice(FIRST_COUNT)) await phase(`${basename(path)} is added`, () => add(it, path));
  const [, leaving = ''] = it.diskPaths;
  await phase(`${basename(leaving)} is drained and removed`, () => remove(it, leaving));
  await phase('2+2 becomes 4+2', async () => {
    await run(it, 'recode', 'start', '--new-code', '4+2');
    const isDone = async (): Promise<boolean> => {
      const report = JSON.parse(await run(it, 'recode', 'status', '--json')) as { isRunning: boolean };
      return !report.isRunning;
    };
    await eventually('everything is recoded', isDone, PHASE_BOUND_MS);
  });
  load.end();
  await running;
  const census = await it.command('census', '--wait', '--timeout', '600', '--state', it.stateDirectory);
  print(census.output);
  const compared = await load.checkAll();
  const left = readdirSync(leaving).includes('volumes') ? readdirSync(join(leaving, 'volumes')).length : 0;
  print(
    `${compared} objects, ${(load.liveBytes / MIB).toFixed(0)} MiB compared; ${left} shard files on the removed disk`,
  );
  print(`violations: ${load.violations.length}`);
  for (const violation of load.violations.slice(0, 20)) print(`  ${violation}`);
  return load.violations.length === 0 && census.status === 0 && left === 0 ? 0 : 1;
}

async function add(it: TestServer, path: string): Promise<void> {
  await run(it, 'disk', 'add', path);
  // Plans are made every two seconds.
  let quietSince = performance.now();
  const isUsed = async (): Promise<boolean> => {
    const { disks, moves } = await listOf(it);
    const added = disks.find((disk) => disk.path === path);
    if (moves?.isRunning === true) quietSince = performance.now();
    const isQuiet = performance.now() - quietSince > 5000;
    return added?.state === 'online' && added.isLevel && added.shardCount > 0 && isQuiet;
  };
  await eventually('it is level, used, and nothing moves any more', isUsed, PHASE_BOUND_MS);
}

async function remove(it: TestServer, path: string): Promise<void> {
  await run(it, 'disk', 'drain', path);
  const isRemoved = async (): Promise<boolean> => {
    return (await it.command('disk', 'remove', path, '--state', it.stateDirectory)).status === 0;
  };
  await eventually('it is empty and leaves the list', isRemoved, PHASE_BOUND_MS);
}

async function listOf(it: TestServer): Promise<DiskList> {
  return JSON.parse(await run(it, 'disk', 'list', '--json')) as DiskList;
}

async function run(it: TestServer, ...args: string[]): Promise<string> {
  const { status, stdout, output } = await it.command(...args, '--state', it.stateDirectory);
  if (status !== 0) throw new Error(output);
  return stdout;
}

function print(line: string): void {
  process.stdout.write(`${line.trimEnd()}\n`);
}
