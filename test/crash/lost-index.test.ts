import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

async function filled(): Promise<{ it: TestServer; objects: AcknowledgedObjects }> {
  const it = await TestServer.create();
  server = it;
  const objects = new AcknowledgedObjects('bucket');
  const client = it.client();
  await objects.createBucket(client);
  for (let n = 0; n < 30; n += 1) await objects.put(client, `key/${n}`, [7, 5000, 180_000, 1_300_000][n % 4] ?? 1);
  return { it, objects };
}

function removeIndex(it: TestServer): number {
  const names = readdirSync(it.stateDirectory).filter((name) => name.startsWith('index'));
  for (const name of names) rmSync(join(it.stateDirectory, name), { recursive: true });
  return names.length;
}

test('without its index file the next start serves everything', { timeout: 60_000 }, async () => {
  const { it, objects } = await filled();
  await it.kill();
  expect(removeIndex(it)).toBeGreaterThan(0);
  await it.start();
  expect(await objects.violations(it.client())).toEqual([]);
});

test('without its index and two whole directories the next start serves everything', { timeout: 60_000 }, async () => {
  const { it, objects } = await filled();
  await it.kill();
  removeIndex(it);
  for (const path of it.diskPaths.slice(1, 3)) rmSync(path, { recursive: true });
  await it.start();
  const client = it.client();
  expect(await objects.violations(client)).toEqual([]);
  await objects.put(client, 'written/narrow', 400_000);
  expect(await objects.violations(client)).toEqual([]);
  expect(it.diskPaths.slice(1, 3).some((path) => existsSync(path))).toBe(false);
});

test(
  'the index deleted while the server runs: it recovers by itself and serves everything',
  { timeout: 60_000 },
  async () => {
    const { it, objects } = await filled();
    removeIndex(it);
    const client = it.client({ maxAttempts: 6 });
    await eventually('everything reads back and writes work', async () => {
      try {
        await objects.put(client, 'after/loss', 2000);
        await client.send(new ListObjectsV2Command({ Bucket: 'bucket' }));
        return (
          (await objects.violations(client)).length === 0 &&
          readdirSync(it.stateDirectory).some((name) => name.startsWith('index'))
        );
      } catch {
        return false;
      }
    });
    await it.kill();
    await it.start();
    expect(await objects.violations(it.client())).toEqual([]);
  },
);

test(
  'directories copied elsewhere in another order, with the key file, start as the same cluster',
  { timeout: 60_000 },
  async () => {
    const { it, objects } = await filled();
    await it.kill();
    const moved = it.diskPaths.map((path, index) => {
      const target = join(it.folder, `moved-${(index * 5 + 3) % 6}`);
      cpSync(path, target, { recursive: true });
      return target;
    });
    const key = readdirSync(it.stateDirectory).find((name) => name.includes('master')) ?? '';
    mkdirSync(join(it.folder, 'state2'));
    cpSync(join(it.stateDirectory, key), join(it.folder, 'state2', key));
    renameSync(it.stateDirectory, `${it.stateDirectory}.gone`);
    renameSync(join(it.folder, 'state2'), it.stateDirectory);
    await it.start({ diskPaths: moved.sort() });
    expect(await objects.violations(it.client())).toEqual([]);
  },
);

test(
  'all directories empty at start (nothing mounted): refused, and nothing is formatted',
  { timeout: 60_000 },
  async () => {
    const { it } = await filled();
    await it.kill();
    for (const path of it.diskPaths) {
      renameSync(path, `${path}.unmounted`);
      mkdirSync(path);
    }
    await expect(it.start()).rejects.toThrow(/format/);
    for (const path of it.diskPaths) expect(readdirSync(path)).toEqual([]);
  },
);
