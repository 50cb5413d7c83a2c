import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

interface DiskRow {
  id: string;
  path: string | undefined;
  lastPath: string | undefined;
  state: string;
  isLevel: boolean;
  shardCount: number;
}

interface DiskList {
  mode: string;
  disks: DiskRow[];
  unusedDirectories: { path: string; reason: string; isEmpty: boolean }[];
}

async function disk(it: TestServer, ...args: string[]): Promise<{ status: number | null; output: string }> {
  return it.command('disk', ...args, '--state', it.stateDirectory);
}

async function list(it: TestServer): Promise<DiskList> {
  const { stdout } = await it.command('disk', 'list', '--json', '--state', it.stateDirectory);
  return JSON.parse(stdout) as DiskList;
}

const statesOf = ({ disks }: DiskList): string[] => disks.map(({ state }) => state);

test(
  'two wiped directories of 4+2 are replaced while writes run; the old ones never count again',
  { timeout: 120_000 },
  async () => {
    const it = await TestServer.create();
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    let client = it.client({ maxAttempts: 4 });
    await objects.createBucket(client);
    for (let n = 0; n < 12; n += 1) await objects.put(client, `before/${n}`, [10, 4096, 300_000][n % 3] ?? 1);
    const before = await list(it);

    const load = { isOver: false };
    const writing = (async () => {
      for (let n = 0; !load.isOver; n += 1) await objects.put(client, `during/${n % 40}`, [5000, 200_000][n % 2] ?? 1);
    })();
    const [second, third] = [it.diskPaths[1]!, it.diskPaths[2]!];
    const stale = join(it.folder, 'stale');
    renameSync(second, stale);
    rmSync(third, { recursive: true });
    mkdirSync(second);
    await eventually('both are missing', async () => {
      const { disks } = await list(it);
      return disks.filter(({ state }) => state === 'missing').length === 2;
    });
    const lost = await disk(it, 'list');
    expect(lost.status).toBe(1);
    expect(lost.output).toContain(`holdfast disk replace ${second}`);
    expect(readdirSync(second)).toEqual([]);

    expect((await disk(it, 'replace', second)).output).toContain('was replaced');
    const refused = await disk(it, 'replace', third);
    expect(refused).toMatchObject({ status: 1, output: expect.stringContaining('does not exist: make it') as unknown });
    expect(existsSync(third)).toBe(false);
    const instead = join(it.folder, 'instead');
    mkdirSync(instead);
    expect((await disk(it, 'replace', third, '--with', instead)).output).toContain('was replaced');
    expect((await disk(it, 'replace', it.diskPaths[0]!)).output).toContain('works (online)');
    load.isOver = true;
    await writing;

    const after = await list(it);
    expect(after.disks.map(({ path }) => path)).toEqual([it.diskPaths[0], second, instead, ...it.diskPaths.slice(3)]);
    expect(statesOf(after)).toEqual(Array.from({ length: 6 }, () => 'online'));
    expect(after.disks.every(({ isLevel }) => isLevel)).toBe(true);
    const oldIds = [before.disks[1]!.id, before.disks[2]!.id];
    expect(after.disks.filter(({ id }) => oldIds.includes(id))).toEqual([]);
    expect(await objects.violations(client)).toEqual([]);

    // The old directory comes back where a disk may be; the added one is not named by --disks.
    await it.kill();
    renameSync(stale, third);
    await it.start();
    client = it.client({ maxAttempts: 4 });
    const restarted = await list(it);
    expect(restarted.disks.map(({ id }) => id)).toEqual(after.disks.map(({ id }) => id));
    expect(statesOf(restarted)).toEqual(Array.from({ length: 6 }, () => 'online'));
    expect(restarted.unusedDirectories).toMatchObject([
      { path: third, reason: expect.stringContaining('not in the list of disks') as unknown },
    ]);
    expect(await objects.violations(client)).toEqual([]);
    const metrics = await (await fetch(`${it.adminEndpoint}/metrics`)).text();
    expect(metrics).toMatch(/holdfast_disk_state\{disk="2",id="[^"]+",state="online"\} 1/);
    await it.stop();
    const offline = await list(it);
    expect([offline.mode, ...offline.disks.map(({ id }) => id)]).toEqual([
      'offline',
      ...after.disks.map(({ id }) => id),
    ]);
  },
);

test(
  'a store of four disks grows to seven under load, one at a time, and shrinks by one; everything reads back',
  { timeout: 180_000 },
  async () => {
    const it = await TestServer.create({
      diskCount: 4,
      code: '2+2',
      environment: { HOLDFAST_VOLUME_SIZE: '16 MiB', HOLDFAST_BALANCE_RATE: '1 GiB/s' },
    });
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    const client = it.client({ maxAttempts: 4 });
    await objects.createBucket(client);
    const load = { isOver: false };
    const writing = (async () => {
      for (let n = 0; !load.isOver; n += 1) {
        await objects.put(client, `key/${n % 60}`, [4000, 90_000, 700_000][n % 3] ?? 1, `version ${n}`);
      }
    })();
    for (const name of ['five', 'six', 'seven']) {
      const path = join(it.folder, name);
      mkdirSync(path);
      expect((await disk(it, 'add', path)).output).toMatch(/is disk \d now/);
    }
    const grown = await list(it);
    expect(statesOf(grown)).toEqual(Array.from({ length: 7 }, () => 'online'));
    expect(grown.disks.every(({ isLevel }) => isLevel)).toBe(true);
    const areUsed = async (): Promise<boolean> => {
      return (await list(it)).disks.slice(4).every(({ shardCount }) => shardCount > 0);
    };
    await eventually('new volumes use the new disks', areUsed, 60_000);

    const first = it.diskPaths[0]!;
    expect((await disk(it, 'remove', first)).output).toContain('is not drained');
    expect((await disk(it, 'drain', first)).output).toContain('is draining');
    await eventually('it is drained', async () => (await list(it)).disks[0]!.shardCount === 0, 60_000);
    await eventually('it is removed', async () => (await disk(it, 'remove', first)).status === 0);
    load.isOver = true;
    await writing;
    const shrunk = await list(it);
    expect(shrunk.disks.map(({ path }) => path)).toEqual([
      ...it.diskPaths.slice(1),
      ...['five', 'six', 'seven'].map((name) => join(it.folder, name)),
    ]);
    rmSync(first, { recursive: true });
    expect(await objects.violations(client)).toEqual([]);

    // Any two of those that are left may go.
    await it.kill();
    await it.start();
    const again = it.client({ maxAttempts: 4 });
    const paths = (await list(it)).disks.map(({ path }) => path!);
    expect(paths).toHaveLength(6);
    for (const path of [paths[1]!, paths[4]!]) renameSync(path, `${path}.gone`);
    expect(await objects.violations(again)).toEqual([]);
    expect((await it.statusReport())['homelessShardCount']).toBe(0);
  },
);

test(
  'shards of replaced disks are rebuilt: then any two other disks may go; a disk that works is moved to another directory',
  { timeout: 180_000 },
  async () => {
    const it = await TestServer.create();
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    const client = it.client({ maxAttempts: 4 });
    await objects.createBucket(client);
    for (let n = 0; n < 15; n += 1) await objects.put(client, `before/${n}`, [10, 9000, 1_500_000][n % 3] ?? 1);
    for (const path of [it.diskPaths[0]!, it.diskPaths[4]!]) {
      rmSync(path, { recursive: true });
      mkdirSync(path);
    }
    await eventually(
      'both are missing',
      async () => statesOf(await list(it)).filter((one) => one === 'missing').length === 2,
    );
    await objects.put(client, 'without/two', 30_000);
    for (const path of [it.diskPaths[0]!, it.diskPaths[4]!]) {
      expect((await disk(it, 'replace', path)).output).toContain('was replaced');
    }
    await eventually(
      'all is rebuilt',
      async () => {
        const report = await it.statusReport();
        return report['homelessShardCount'] === 0 && report['marginDiskCount'] === 2;
      },
      60_000,
    );

    const elsewhere = join(it.folder, 'elsewhere');
    mkdirSync(elsewhere);
    expect((await disk(it, 'replace', it.diskPaths[1]!, '--with', elsewhere)).output).toContain('then it is removed');
    await eventually('it has moved', async () => (await list(it)).disks.length === 6, 60_000);
    expect((await list(it)).disks.map(({ path }) => path)).not.toContain(it.diskPaths[1]);
    rmSync(it.diskPaths[1]!, { recursive: true });
    for (const path of [it.diskPaths[2]!, it.diskPaths[5]!]) renameSync(path, `${path}.gone`);
    expect(await objects.violations(client)).toEqual([]);
  },
);

test(
  'a drain and a replacement go on after kill -9 in the middle, and nothing acknowledged is lost',
  { timeout: 180_000 },
  async () => {
    const it = await TestServer.create({
      diskCount: 6,
      code: '2+2',
      // So slow that the kills come in the middle.
      environment: { HOLDFAST_HEAL_RATE: '6 MiB/s', HOLDFAST_VOLUME_SIZE: '16 MiB' },
    });
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    let client = it.client({ maxAttempts: 4 });
    await objects.createBucket(client);
    for (let n = 0; n < 24; n += 1) await objects.put(client, `key/${n}`, [9000, 1_500_000][n % 2] ?? 1);
    const [first, second] = [it.diskPaths[0]!, it.diskPaths[1]!];
    expect((await disk(it, 'drain', first)).status).toBe(0);
    await it.kill();
    await it.start();
    expect((await list(it)).disks[0]!.state).toBe('draining');
    renameSync(second, `${second}.gone`);
    mkdirSync(second);
    await eventually('it is missing', async () => (await list(it)).disks[1]!.state === 'missing');
    const replacing = disk(it, 'replace', second);
    await eventually('the directory is being taken', async () => readdirSync(second).length > 0);
    await it.kill();
    await replacing;
    await it.start({ environment: { HOLDFAST_HEAL_RATE: '1 GiB/s' } });
    // Done already, or done again.
    if ((await list(it)).disks[1]!.state === 'missing') {
      expect((await disk(it, 'replace', second)).output).toContain('was replaced');
    }
    await eventually(
      'drained and rebuilt',
      async () => {
        const { disks } = await list(it);
        return disks[0]!.shardCount === 0 && (await it.statusReport())['homelessShardCount'] === 0;
      },
      60_000,
    );
    await eventually('it is removed', async () => (await disk(it, 'remove', first)).status === 0);
    const census = await it.command('census', '--state', it.stateDirectory);
    expect(census.output).toContain('CLEAN');
    client = it.client({ maxAttempts: 4 });
    expect(await objects.violations(client)).toEqual([]);
    for (const path of [it.diskPaths[3]!, it.diskPaths[5]!]) renameSync(path, `${path}.gone`);
    expect(await objects.violations(client)).toEqual([]);
  },
);
