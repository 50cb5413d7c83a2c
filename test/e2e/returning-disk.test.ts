import { cpSync, renameSync, rmSync } from 'node:fs';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

const SIZES = [5, 4096, 150_000, 1_300_000];

async function filled(objects: AcknowledgedObjects, client: S3Client): Promise<void> {
  await objects.createBucket(client);
  for (let n = 0; n < 12; n += 1) await objects.put(client, `key/${n}`, SIZES[n % 4] ?? 1, `first ${n}`);
}

/** Overwrites, deletes, and makes a bucket anew: what lay there before must never be seen again. */
async function change(client: S3Client, kept: AcknowledgedObjects, remade: AcknowledgedObjects): Promise<void> {
  for (const n of [0, 1, 2, 3]) await kept.put(client, `key/${n}`, SIZES[(n + 1) % 4] ?? 1, `second ${n}`);
  for (const n of [4, 5, 6, 7]) {
    await client.send(new DeleteObjectCommand({ Bucket: kept.bucket, Key: `key/${n}` }));
    kept.expected.delete(`key/${n}`);
  }
  for (const Key of remade.expected.keys()) await client.send(new DeleteObjectCommand({ Bucket: remade.bucket, Key }));
  remade.expected.clear();
  await client.send(new DeleteBucketCommand({ Bucket: remade.bucket }));
  await client.send(new CreateBucketCommand({ Bucket: remade.bucket }));
  const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket: remade.bucket }));
  expect(KeyCount).toBe(0);
  await remade.put(client, 'key/1', 70_000, 'of the new bucket');
}

async function expectNothingOld(it: TestServer, all: readonly AcknowledgedObjects[]): Promise<void> {
  for (const objects of all) expect(await objects.violations(it.client())).toEqual([]);
}

test.each(['while the server runs', 'while it is stopped, as it was before'])(
  'a directory is away, objects are overwritten and deleted, a bucket is made anew; it comes back %s: nothing old is seen',
  { timeout: 180_000 },
  async (how) => {
    const it = await TestServer.create();
    server = it;
    const [kept, remade] = [new AcknowledgedObjects('kept'), new AcknowledgedObjects('remade')] as const;
    for (const objects of [kept, remade]) await filled(objects, it.client());
    const disk = it.diskPaths[2] ?? '';
    if (how === 'while the server runs') {
      renameSync(disk, `${disk}.away`);
      await change(it.client(), kept, remade);
      renameSync(`${disk}.away`, disk);
    } else {
      await it.stop();
      cpSync(disk, `${disk}.old`, { recursive: true });
      await it.start();
      await change(it.client(), kept, remade);
      await it.kill();
      rmSync(disk, { recursive: true });
      renameSync(`${disk}.old`, disk);
      await it.start();
    }
    await expectNothingOld(it, [kept, remade]);
    await eventually('the disk is online', async () => {
      const { disks } = (await it.statusReport()) as { disks: { path?: string; state: string }[] };
      return disks.find((one) => one.path === disk)?.state === 'online';
    });
    const census = await it.command('census', '--wait', '--timeout', '60', '--state', it.stateDirectory);
    expect(census.output).toContain('CLEAN: everything');
    expect(census.status).toBe(0);
    // Now its shards are needed.
    for (const path of it.diskPaths.slice(3, 5)) rmSync(path, { recursive: true });
    await expectNothingOld(it, [kept, remade]);
    await it.kill();
    await it.start();
    await expectNothingOld(it, [kept, remade]);
  },
);
