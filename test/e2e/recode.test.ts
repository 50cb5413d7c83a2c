import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { RecodeReport } from '../../src/model/healing-report.ts';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

async function recode(it: TestServer, ...args: string[]): Promise<RecodeReport> {
  const answer = await it.command('recode', ...args, '--json', '--state', it.stateDirectory);
  if (answer.status !== 0) throw new Error(answer.output);
  return JSON.parse(answer.stdout) as RecodeReport;
}

test(
  'a store of 2+2 on four disks becomes 4+2 on six: old volumes stay until they are recoded, also over a restart, then take less space and survive any two',
  { timeout: 150_000 },
  async () => {
    const it = await TestServer.create({
      diskCount: 4,
      code: '2+2',
      environment: { HOLDFAST_COLLECTOR_RATE: '1 GiB/s' },
    });
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    let client = it.client({ maxAttempts: 4 });
    await objects.createBucket(client);
    for (let n = 0; n < 24; n += 1) await objects.put(client, `before/${n}`, [10, 9000, 2_000_000][n % 3] ?? 1);
    const refused = await it.command('recode', 'start', '--new-code', '4+2', '--state', it.stateDirectory);
    expect(refused).toMatchObject({ status: 1, output: expect.stringContaining('needs at least 6 disks') as unknown });
    for (const name of ['five', 'six']) {
      mkdirSync(join(it.folder, name));
      await it.command('disk', 'add', join(it.folder, name), '--state', it.stateDirectory);
    }

    const changed = await recode(it, 'start', '--new-code', '4+2', '--only-new');
    expect(changed).toMatchObject({ isRunning: false, classes: [{ code: { k: 4, m: 2 } }, { code: { k: 5, m: 1 } }] });
    await objects.put(client, 'after', 2_000_000);
    expect(await it.statusReport()).toMatchObject({ code: { k: 4, m: 2 }, writeCode: { k: 4, m: 2 } });
    expect((await recode(it, 'status')).leftBytes).toBeGreaterThan(16_000_000);

    await it.kill();
    await it.start();
    client = it.client({ maxAttempts: 4 });
    expect(await it.statusReport()).toMatchObject({ code: { k: 4, m: 2 }, writeCode: { k: 4, m: 2 } });
    await recode(it, 'start');
    await it.kill();
    await it.start();
    client = it.client({ maxAttempts: 4 });
    await objects.put(client, 'meanwhile', 500_000);
    const done = await recode(it, 'status', '--wait');
    expect(done).toMatchObject({ isRunning: false, leftVolumeCount: 0, leftBytes: 0 });
    expect(done.finishedAtMs).toBeGreaterThan(0);
    const census = await it.command('census', '--wait', '--timeout', '60', '--json', '--state', it.stateDirectory);
    expect(census.status, census.output).toBe(0);
    expect(JSON.parse(census.stdout)).toMatchObject({ worstMargin: 2, narrow: { volumeCount: 0 } });
    expect(await objects.violations(client)).toEqual([]);

    await it.kill();
    for (const path of [it.diskPaths[0]!, it.diskPaths[3]!]) renameSync(path, `${path}.gone`);
    await it.start();
    expect(await objects.violations(it.client({ maxAttempts: 4 }), { exactListing: false })).toEqual([]);
  },
);
