import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

/** Sync calls on the disks and files opened so that writes are syncs, while objects of all sizes are written. */
async function countSyncs(
  it: TestServer,
  environment: Record<string, string>,
): Promise<{ syncs: number; opens: number }> {
  const trace = join(it.folder, 'trace');
  // -y names the file behind each descriptor.
  const prefix = ['strace', '-f', '--seccomp-bpf', '-qq', '-y', '-e', 'trace=fsync,fdatasync,openat', '-o', trace];
  await it.start({ prefix, environment });
  const objects = new AcknowledgedObjects('bucket');
  const client = it.client();
  await objects.createBucket(client);
  // The first of each size opens its volume: names are always synced.
  for (const visit of ['first', 'second']) {
    await objects.put(client, `${visit} small`, 3000, visit);
    await objects.put(client, `${visit} large`, 1_500_000, visit);
  }
  const before = readFileSync(trace, 'utf8').length;
  for (let i = 0; i < 20; i++) await objects.put(client, `small ${i}`, 3000, `small ${i}`);
  await objects.put(client, 'large', 3_000_000, 'large');
  const whole = readFileSync(trace, 'utf8');
  await it.kill();
  await it.start({ environment });
  expect(await objects.violations(it.client())).toEqual([]);
  const isOfDisk = (line: string): boolean => line.includes('/volumes/') || line.includes('/journal/');
  return {
    syncs: whole
      .slice(before)
      .split('\n')
      .filter((line) => /f(data)?sync\(/.test(line) && isOfDisk(line)).length,
    opens: whole.split('\n').filter((line) => line.includes('O_DSYNC') && isOfDisk(line)).length,
  };
}

test('strict is the default: stripes and frames are synced', { timeout: 60_000 }, async () => {
  server = await TestServer.create();
  await server.kill();
  const { syncs, opens } = await countSyncs(server, {});
  expect(opens).toBeGreaterThanOrEqual(12);
  expect(syncs).toBeGreaterThanOrEqual(6);
  expect(await server.statusReport()).toMatchObject({ durability: { sync: 'strict' } });
});

test('relaxed waits for no sync, survives kill -9, and says so everywhere', { timeout: 60_000 }, async () => {
  server = await TestServer.create();
  await server.kill();
  const environment = { HOLDFAST_SYNC: 'relaxed' };
  expect(await countSyncs(server, environment)).toEqual({ syncs: 0, opens: 0 });
  const { output, status } = await server.command('status', '--state', server.stateDirectory);
  expect(output).toContain('Syncing     RELAXED: acknowledged is NOT yet synced');
  expect(output).toContain('[sync-relaxed]');
  expect(status).toBe(0);
  expect(await server.statusReport()).toMatchObject({ durability: { sync: 'relaxed' } });
  expect(server.output).toContain('! syncing is RELAXED');
});
