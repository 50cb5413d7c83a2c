import { spawnSync } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

/** In the server's own namespace of mounts. */
function run(it: TestServer, ...command: string[]): void {
  const done = spawnSync('nsenter', ['-t', `${it.processId}`, '-U', '-m', '--preserve-credentials', ...command]);
  if (done.status !== 0) throw new Error(`${command.join(' ')}: ${done.stderr.toString()}`);
}

async function states(it: TestServer): Promise<string[]> {
  const { stdout } = await it.command('disk', 'list', '--json', '--state', it.stateDirectory);
  return (JSON.parse(stdout) as { disks: { state: string }[] }).disks.map(({ state }) => state);
}

test(
  'by policy an empty file system that is mounted at the place of a missing disk is adopted',
  { timeout: 90_000 },
  async () => {
    const it = await TestServer.create({
      diskCount: 3,
      code: '2+1',
      ownFileSystemMebibytes: 128,
      environment: { HOLDFAST_AUTO_REPLACE: 'mounted', HOLDFAST_AUTO_REPLACE_AFTER: '1 s', HOLDFAST_RESERVE: '16 MiB' },
    });
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    const client = it.client({ maxAttempts: 4 });
    await objects.createBucket(client);
    for (let n = 0; n < 6; n += 1) await objects.put(client, `key/${n}`, [10, 200_000][n % 2] ?? 1);
    const lost = it.diskPaths[1]!;
    run(it, 'umount', '-l', lost);
    await eventually('it is missing', async () => (await states(it))[1] === 'missing');
    run(it, 'mount', '-t', 'tmpfs', '-o', 'size=128m', 'none', lost);
    await eventually('it is replaced', async () => (await states(it)).every((state) => state === 'online'));
    await eventually('the log says why', async () => it.output.includes('replaced by policy'));
    const census = await it.command('census', '--wait', '--timeout', '40', '--state', it.stateDirectory);
    expect(census.status, census.output).toBe(0);
    expect(await objects.violations(client)).toEqual([]);
  },
);
