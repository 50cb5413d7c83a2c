import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { payloadOf } from '../support/payload.ts';
import { eventually, TestServer } from '../support/server-process.ts';

/** Six small file systems of their own, in a namespace that ends with the server. */
const DISK_MEBIBYTES = 320;

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

function canMount(): boolean {
  try {
    execFileSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Another program fills a disk to the last byte. */
function fill(file: string): void {
  const descriptor = openSync(file, 'w');
  try {
    for (const block of [1 << 20, 1 << 12, 1]) {
      const bytes = Buffer.alloc(block, 1);
      try {
        while (writeSync(descriptor, bytes) > 0);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(descriptor);
  }
}

test.skipIf(!canMount())(
  'on full disks writes get a clear error, reads and deletes go on, and writes return by themselves with the space',
  { timeout: 120_000 },
  async () => {
    const it = await TestServer.create({
      ownFileSystemMebibytes: DISK_MEBIBYTES,
      environment: { HOLDFAST_RESERVE: '32 MiB', HOLDFAST_ALLOW_UNUSUAL_FILESYSTEMS: 'true' },
    });
    server = it;
    const client = it.client();
    const objects = new AcknowledgedObjects('bucket');
    await objects.createBucket(client);
    for (let n = 0; n < 40; n += 1) await objects.put(client, `key/${n}`, n % 2 === 0 ? 20_000 : 1_000_000);

    const foreign = it.diskPaths.map((path) => join('/proc', String(it.processId), 'root', path, 'foreign'));
    for (const file of foreign) fill(file);
    let refused: { name?: string; $metadata?: { httpStatusCode?: number } } = {};
    await eventually('writes are refused', async () => {
      try {
        await client.send(
          new PutObjectCommand({ Bucket: 'bucket', Key: 'refused', Body: payloadOf('refused', 2_000_000) }),
        );
        objects.expected.set('refused', { identity: 'refused', sizeBytes: 2_000_000 });
        return false;
      } catch (error) {
        refused = error as typeof refused;
        return true;
      }
    });
    expect([503, 507]).toContain(refused.$metadata?.httpStatusCode);
    expect(await objects.violations(client)).toEqual([]);

    const half = [...objects.expected.keys()].filter((_, index) => index % 2 === 0);
    const deleted = await client.send(
      new DeleteObjectsCommand({ Bucket: 'bucket', Delete: { Objects: half.map((Key) => ({ Key })) } }),
    );
    expect(deleted.Errors ?? []).toEqual([]);
    for (const key of half) objects.expected.delete(key);
    expect(await objects.violations(client)).toEqual([]);

    for (const file of foreign) rmSync(file);
    await eventually('writes return', async () => {
      try {
        await objects.put(client, 'after', 2_000_000);
        return true;
      } catch {
        return false;
      }
    });
    expect(await objects.violations(client)).toEqual([]);
  },
);
