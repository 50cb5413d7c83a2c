import { renameSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

/** `npm run crash:disks` takes all fifteen; here each disk goes once. */
const PAIRS =
  process.env['LOST_DISK_PAIRS'] === 'all'
    ? Array.from({ length: 6 }, (_, a) => Array.from({ length: 5 - a }, (_, b) => [a, a + b + 1] as const)).flat()
    : ([
        [0, 3],
        [1, 4],
        [2, 5],
      ] as const);

function away(path: string): void {
  renameSync(path, `${path}.away`);
}
function back(path: string): void {
  renameSync(`${path}.away`, path);
}

/**
 * 4+2: any two directories go while writes run, the server restarts without them, they come back, and, un-healed, two
 * others go: everything acknowledged reads back at each step.
 */
test.each(PAIRS)(
  'disks %i and %i go, come back, and two others go: nothing acknowledged is lost',
  { timeout: 90_000 },
  async (a, b) => {
    const it = await TestServer.create();
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    let client = it.client({ maxAttempts: 4 });
    await objects.createBucket(client);
    for (let n = 0; n < 12; n += 1) await objects.put(client, `before/${n}`, [10, 4096, 70_000, 300_000][n % 4] ?? 1);
    await objects.put(client, 'before/large', 5_000_000);

    const writing = (async () => {
      for (let n = 0; n < 24; n += 1) await objects.put(client, `during/${n}`, [5000, 200_000, 1_500_000][n % 3] ?? 1);
    })();
    const [first, second] = [it.diskPaths[a] ?? '', it.diskPaths[b] ?? ''];
    away(first);
    away(second);
    await writing;
    await objects.put(client, 'without/overwritten', 3000);
    await objects.put(client, 'before/0', 6000, 'overwritten');
    expect(await objects.violations(client)).toEqual([]);

    await it.kill();
    await it.start();
    client = it.client({ maxAttempts: 4 });
    expect(await objects.violations(client)).toEqual([]);
    await objects.put(client, 'restarted/small', 100);
    await objects.put(client, 'restarted/large', 2_500_000);

    back(first);
    back(second);
    await eventually('the returned disks are level', async () => {
      const status = await it.statusReport();
      return (status['disks'] as { state: string }[]).every((disk) => disk.state === 'online');
    });
    expect(await objects.violations(client)).toEqual([]);

    const others = [0, 1, 2, 3, 4, 5].filter((index) => index !== a && index !== b);
    const [third, fourth] = [others[(a + b) % 4] ?? 0, others[(a + b + 1) % 4] ?? 0];
    away(it.diskPaths[third] ?? '');
    away(it.diskPaths[fourth] ?? '');
    expect(await objects.violations(client)).toEqual([]);
    await it.kill();
    await it.start();
    client = it.client({ maxAttempts: 4 });
    expect(await objects.violations(client)).toEqual([]);
  },
);
