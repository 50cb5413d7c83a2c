import { cpSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { eventually, TestServer } from '../support/server-process.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((one) => one.destroy()));
});

async function serve(options: Parameters<typeof TestServer.create>[0] = {}): Promise<TestServer> {
  const server = await TestServer.create(options);
  servers.push(server);
  return server;
}

interface Listed {
  disks: { id: string; path?: string; state: string; stateReason?: string }[];
  unusedDirectories: { path: string; reason: string }[];
}

async function list(it: TestServer): Promise<Listed> {
  const { stdout } = await it.command('disk', 'list', '--json', '--state', it.stateDirectory);
  return JSON.parse(stdout) as Listed;
}

const statesOf = ({ disks }: Listed): string[] => disks.map(({ state }) => state);
const ONLINE = ['online', 'online', 'online', 'online'];

async function filled(it: TestServer): Promise<AcknowledgedObjects> {
  const objects = new AcknowledgedObjects('bucket');
  const client = it.client();
  await objects.createBucket(client);
  for (let n = 0; n < 9; n += 1) await objects.put(client, `key/${n}`, [10, 5000, 400_000][n % 3] ?? 1);
  return objects;
}

test('disks swapped between paths, in another order and with a disk of another cluster among them, are known by identity', async () => {
  const it = await serve({ diskCount: 4, code: '2+2' });
  const stranger = await serve({ diskCount: 2, code: '1+1' });
  await stranger.stop();
  const objects = await filled(it);
  const before = await list(it);
  await it.kill();
  const [a, b, c, d] = it.diskPaths as [string, string, string, string];
  const spare = join(it.folder, 'spare');
  renameSync(a, spare);
  renameSync(b, a);
  renameSync(spare, b);
  await it.start({ diskPaths: [d, stranger.diskPaths[0]!, b, a, c] });
  const after = await list(it);
  expect(after.disks.map(({ id }) => id)).toEqual(before.disks.map(({ id }) => id));
  expect(after.disks.map(({ path }) => path)).toEqual([b, a, c, d]);
  expect(statesOf(after)).toEqual(ONLINE);
  expect(after.unusedDirectories).toMatchObject([{ path: stranger.diskPaths[0] }]);
  expect(await objects.violations(it.client())).toEqual([]);
});

test('of a cloned disk the live one is kept while the server runs, and neither is used at a start', async () => {
  const it = await serve({ diskCount: 4, code: '2+2' });
  const objects = await filled(it);
  const clone = join(it.folder, 'clone');
  await it.kill();
  mkdirSync(clone);
  await it.start({ diskPaths: [...it.diskPaths, clone] });
  cpSync(it.diskPaths[2]!, clone, { recursive: true });
  await eventually('the clone is refused', async () => {
    return (await list(it)).unusedDirectories.some(({ path, reason }) => path === clone && reason.includes('copy'));
  });
  await objects.put(it.client(), 'after/clone', 3000);
  expect(statesOf(await list(it))).toEqual(ONLINE);
  await it.kill();
  await it.start({ diskPaths: [...it.diskPaths, clone] });
  const both = await list(it);
  expect(statesOf(both)).toEqual(['online', 'online', 'foreign', 'online']);
  expect(both.disks[2]?.stateReason).toContain('are copies of one disk');
  expect(await objects.violations(it.client())).toEqual([]);
  rmSync(clone, { recursive: true });
  await eventually('the one that is left returns', async () => (await list(it)).disks[2]?.state === 'online');
  expect(await objects.violations(it.client())).toEqual([]);
});

test('a second server on the same disks is refused, and the first goes on', async () => {
  const it = await serve({ diskCount: 4, code: '2+2' });
  const objects = await filled(it);
  const second = await it.command(
    'serve',
    '--disks',
    [...it.diskPaths].reverse().join(' '),
    '--state',
    join(it.folder, 'state2'),
    '--listen',
    '127.0.0.1:0',
  );
  expect(second.status).toBe(1);
  expect(second.output).toMatch(/is in use by another process/);
  await objects.put(it.client(), 'after/second', 100);
  expect(await objects.violations(it.client())).toEqual([]);
});

test('with all mounts missing a start refuses, names the cause, and formats nothing; with them back all is there', async () => {
  const it = await serve({ diskCount: 4, code: '2+2' });
  const objects = await filled(it);
  await it.kill();
  for (const path of it.diskPaths) {
    renameSync(path, `${path}.mounted`);
    mkdirSync(path);
  }
  await expect(it.start()).rejects.toThrow(/all disks are empty or missing, but this state directory belongs/);
  expect(it.diskPaths.flatMap((path) => readdirSync(path))).toEqual([]);
  for (const path of it.diskPaths) {
    rmSync(path, { recursive: true });
    renameSync(`${path}.mounted`, path);
  }
  await it.start();
  expect(await objects.violations(it.client())).toEqual([]);
});

test('a directory that vanishes is seen to be missing while nothing is used (how soon: bench:faults)', async () => {
  const it = await serve({ diskCount: 4, code: '2+2' });
  const objects = await filled(it);
  renameSync(it.diskPaths[1]!, `${it.diskPaths[1]!}.gone`);
  await eventually('it is missing', async () => (await list(it)).disks[1]?.state === 'missing');
  await objects.put(it.client(), 'without', 2000);
  expect(await objects.violations(it.client())).toEqual([]);
  expect(readdirSync(it.folder)).not.toContain('disk2');
});

test('while a server waits for disks, disk list shows from the disks themselves which are missing', async () => {
  const it = await serve({ diskCount: 4, code: '2+2' });
  await filled(it);
  await it.kill();
  const gone = it.diskPaths.slice(1);
  for (const path of gone) renameSync(path, `${path}.gone`);
  const waiting = it.start({ readyWithinMs: 60_000 });
  await eventually('the list comes from the disks', async () => {
    const listed = await it.command('disk', 'list', '--json', '--state', it.stateDirectory);
    if (!listed.stdout.startsWith('{')) return false;
    const report = JSON.parse(listed.stdout) as Listed & { mode: string };
    return report.mode === 'offline' && statesOf(report).join() === 'online,missing,missing,missing';
  });
  for (const path of gone) renameSync(`${path}.gone`, path);
  await waiting;
  await eventually('all are back', async () => statesOf(await list(it)).join() === ONLINE.join());
});
