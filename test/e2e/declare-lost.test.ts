import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { eventually, TestServer } from '../support/server-process.ts';

const RESCUE = join(repositoryRoot, 'tools/rescue/rescue.py');

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

interface DiskList {
  disks: { id: string; path: string | undefined; state: string }[];
  unusedDirectories: { path: string; reason: string }[];
}

async function list(it: TestServer): Promise<DiskList> {
  const { stdout } = await it.command('disk', 'list', '--json', '--state', it.stateDirectory);
  return JSON.parse(stdout) as DiskList;
}

const replace = (it: TestServer, ...args: string[]): ReturnType<TestServer['command']> =>
  it.command('disk', 'replace', ...args, '--state', it.stateDirectory);

const statesOf = ({ disks }: DiskList): string[] => disks.map(({ state }) => state);

test.each([
  { code: '1+1', diskCount: 2, lostCount: 1, isRestarted: false },
  { code: '2+2', diskCount: 4, lostCount: 2, isRestarted: true },
])(
  'with $code and $lostCount destroyed (server restarted: $isRestarted) the dead disks are replaced, healed, and never count again',
  { timeout: 120_000 },
  async ({ code, diskCount, lostCount, isRestarted }) => {
    const it = await TestServer.create({ code, diskCount });
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    let client = it.client({ maxAttempts: 1 });
    await objects.createBucket(client);
    for (let n = 0; n < 12; n += 1) await objects.put(client, `before/${n}`, [10, 4096, 1_300_000][n % 3] ?? 1);
    const before = await list(it);
    const lost = it.diskPaths.slice(-lostCount);
    for (const path of lost) renameSync(path, `${path}.old`);
    if (isRestarted) {
      await it.kill();
      await it.start();
      client = it.client({ maxAttempts: 1 });
    } else {
      await eventually('it is missing', async () => statesOf(await list(it)).includes('missing'));
    }
    await expect(objects.put(client, 'refused', 100)).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } });
    // After a restart the last write may be answered 503 until an epoch is open.
    if (!isRestarted) expect(await objects.violations(client)).toEqual([]);

    for (const path of lost) mkdirSync(path);
    expect((await replace(it, lost[0]!)).status).toBe(1);
    const asked = await replace(it, ...lost, '--declare-lost');
    expect(asked).toMatchObject({ status: 2, output: expect.stringContaining('cannot be undone') as unknown });
    expect((await replace(it, it.diskPaths[0]!, '--declare-lost', '--yes')).output).toContain('it is not lost');
    const replaced = await replace(it, ...lost, '--declare-lost', '--yes');
    expect(replaced).toMatchObject({
      status: 0,
      output: expect.stringContaining('declared lost and replaced') as unknown,
    });

    await objects.put(client, 'after', 400_000);
    const after = await list(it);
    expect(statesOf(after)).toEqual(Array.from({ length: diskCount }, () => 'online'));
    const lostIds = before.disks.slice(-lostCount).map(({ id }) => id);
    expect(after.disks.filter(({ id }) => lostIds.includes(id))).toEqual([]);
    const census = await it.command('census', '--wait', '--timeout', '60', '--state', it.stateDirectory);
    expect(census, census.output).toMatchObject({ status: 0 });

    // The rescue reader leaves them out too.
    await it.kill();
    const rescued = join(it.folder, 'rescued');
    const everything = [...it.diskPaths, ...lost.map((path) => `${path}.old`)];
    const rescue = spawnSync('python3', [RESCUE, 'extract', '--to', rescued, ...everything], { encoding: 'utf8' });
    expect(rescue, rescue.stderr).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('declared lost') as unknown,
    });
    const found = readFileSync(join(rescued, 'objects.jsonl'), 'utf8').trim().split('\n');
    expect(found).toHaveLength(objects.expected.size);

    // The declared disks come back beside the new ones: refused. Then the new ones alone carry everything.
    for (const path of lost) renameSync(path, join(it.folder, `new-${path.split('/').at(-1)!}`));
    const fresh = lost.map((path) => join(it.folder, `new-${path.split('/').at(-1)!}`));
    for (const path of lost) renameSync(`${path}.old`, path);
    await it.start({ diskPaths: [...it.diskPaths, ...fresh] });
    client = it.client({ maxAttempts: 4 });
    const returned = await list(it);
    expect(returned.disks.map(({ id }) => id)).toEqual(after.disks.map(({ id }) => id));
    expect(returned.unusedDirectories.map(({ path }) => path).sort()).toEqual([...lost].sort());
    expect(await objects.violations(client)).toEqual([]);
    await it.kill();
    const others = it.diskPaths.slice(0, -lostCount);
    for (const path of others) renameSync(path, `${path}.away`);

    // Only declared disks: they know the past, so nothing is answered.
    await expect(it.start({ diskPaths: it.diskPaths, readyWithinMs: 3000 })).rejects.toThrow();
    expect(it.output).toMatch(/older list of disks|not in the list/);
    await it.kill();

    for (const path of lost) rmSync(path, { recursive: true });
    await it.start({ diskPaths: [...it.diskPaths, ...fresh] });
    expect(await objects.violations(it.client({ maxAttempts: 4 }))).toEqual([]);
  },
);
