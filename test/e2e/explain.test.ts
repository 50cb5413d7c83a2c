import { openSync, readSync, closeSync, renameSync } from 'node:fs';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import type { ExplainReport } from '../../src/admin/explain-report.ts';
import { STRIPE_MAGIC } from '../../src/data-store/stripe/stripe-header.ts';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

async function explain(
  it: TestServer,
  key: string,
  ...flags: string[]
): Promise<{ status: number | null; report: ExplainReport }> {
  const { status, stdout } = await it.command(
    'explain',
    `s3://bucket/${key}`,
    ...flags,
    '--json',
    '--state',
    it.stateDirectory,
  );
  return { status, report: JSON.parse(stdout) as ExplainReport };
}

function magicAt(file: string, offset: number): number {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(4);
    readSync(descriptor, bytes, 0, 4, offset);
    return bytes.readUInt32LE(0);
  } finally {
    closeSync(descriptor);
  }
}

test(
  'explain names the shards of an object, their disks and its margin, online and offline',
  { timeout: 60_000 },
  async () => {
    const it = (server = await TestServer.create());
    const objects = new AcknowledgedObjects('bucket');
    const client = it.client();
    await objects.createBucket(client);
    await objects.put(client, 'small & odd', 3000, 'small');
    await objects.put(client, 'large', 3_000_000, 'large');

    const small = await explain(it, 'small & odd');
    expect(small).toMatchObject({ status: 0, report: { mode: 'online', sizeBytes: 3000, marginDiskCount: 2 } });
    expect(small.report.blobs[0]?.extents[0]).toMatchObject({ kind: 'small', k: 1, m: 2, stripeCount: 1 });
    const large = await explain(it, 'large');
    expect(large.report.blobs[0]?.extents[0]).toMatchObject({ kind: 'large', k: 4, m: 2, marginDiskCount: 2 });
    for (const { report } of [small, large]) {
      for (const { shards } of report.blobs.flatMap(({ extents }) => extents)) {
        for (const { path, file, offset, diskState } of shards) {
          expect(diskState).toBe('online');
          expect(magicAt(`${path}/${file}`, offset)).toBe(STRIPE_MAGIC);
        }
      }
    }

    const lost = it.diskPaths.slice(0, 3);
    for (const [index, path] of lost.entries()) {
      renameSync(path, `${path}.away`);
      const marginDiskCount = 1 - index;
      await eventually(
        `${index + 1} disks are seen to be missing`,
        async () => (await explain(it, 'large')).report.marginDiskCount === marginDiskCount,
      );
    }
    const broken = await explain(it, 'large');
    expect(broken.status).toBe(1);
    const missing = broken.report.blobs[0]!.extents[0]!.shards.filter(({ diskState }) => diskState === 'missing');
    expect(new Set(missing.map(({ path }) => path))).toEqual(new Set(lost));
    for (const path of lost) renameSync(`${path}.away`, path);

    await it.stop();
    const offline = await explain(it, 'large');
    expect(offline).toMatchObject({ status: 0, report: { mode: 'offline', marginDiskCount: 2 } });
    expect(offline.report.blobs[0]?.extents[0]?.shards.map(({ offset, lengthBytes }) => [offset, lengthBytes])).toEqual(
      large.report.blobs[0]?.extents[0]?.shards.map(({ offset, lengthBytes }) => [offset, lengthBytes]),
    );
    const { output } = await it.command('explain', 's3://bucket/large', '--state', it.stateDirectory);
    expect(output).toContain('Margin    2 more disks may be lost');
    expect(await it.command('explain', 's3://bucket/nothing', '--state', it.stateDirectory)).toMatchObject({
      status: 1,
    });
    expect(await it.command('explain', 'bucket/large', '--state', it.stateDirectory)).toMatchObject({ status: 2 });
  },
);

test('explain finds an older version by its id, and no object under a delete marker', { timeout: 60_000 }, async () => {
  const it = (server = await TestServer.create());
  const client = it.client();
  const Bucket = 'bucket';
  await client.send(new CreateBucketCommand({ Bucket }));
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  const { VersionId = '' } = await client.send(new PutObjectCommand({ Bucket, Key: 'key', Body: 'one' }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'key', Body: 'other' }));
  expect((await explain(it, 'key')).report).toMatchObject({ sizeBytes: 5 });
  expect((await explain(it, 'key', '--version-id', VersionId)).report).toMatchObject({
    versionId: VersionId,
    sizeBytes: 3,
    marginDiskCount: 2,
  });
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'key' }));
  client.destroy();
  const covered = await it.command('explain', 's3://bucket/key', '--state', it.stateDirectory);
  expect(covered).toMatchObject({ status: 1, output: expect.stringContaining('there is no object s3://bucket/key') });
  await it.stop();
  expect((await explain(it, 'key', '--version-id', VersionId)).report).toMatchObject({ mode: 'offline', sizeBytes: 3 });
});
