import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

const Bucket = 'classes';

interface ClassReport {
  storageClasses: { name: string; liveBytes: number }[];
}

test(
  'objects lie in volumes of the class they name, are copied into others and moved by rules',
  { timeout: 60_000 },
  async () => {
    const environment = {
      HOLDFAST_LIFECYCLE_DAY: '1 s',
      HOLDFAST_STORAGE_CLASSES: 'COLD=2+4',
      HOLDFAST_BUCKET_CLASSES: 'reduced-*=REDUCED_REDUNDANCY',
    };
    server = await TestServer.create({ environment });
    const client = server.client();
    await client.send(new CreateBucketCommand({ Bucket }));
    await client.send(new CreateBucketCommand({ Bucket: 'reduced-bucket' }));
    const large = Buffer.alloc(3_000_000, 'large');
    await client.send(new PutObjectCommand({ Bucket, Key: 'move/small', Body: 'small' }));
    await client.send(new PutObjectCommand({ Bucket, Key: 'move/large', Body: large }));
    await client.send(new PutObjectCommand({ Bucket, Key: 'cold', Body: 'cold', StorageClass: 'COLD' as 'STANDARD' }));
    await client.send(new PutObjectCommand({ Bucket: 'reduced-bucket', Key: 'k', Body: 'k' }));
    const reduced = await client.send(new HeadObjectCommand({ Bucket: 'reduced-bucket', Key: 'k' }));
    expect(reduced.StorageClass).toBe('REDUCED_REDUNDANCY');
    const copy = { Bucket, Key: 'copy', CopySource: `${Bucket}/cold`, StorageClass: 'REDUCED_REDUNDANCY' } as const;
    await client.send(new CopyObjectCommand(copy));
    const before = await client.send(new HeadObjectCommand({ Bucket, Key: 'move/large' }));

    const Transitions = [{ Days: 1, StorageClass: 'COLD' as 'GLACIER' }];
    const Rules = [{ ID: 'r', Status: 'Enabled' as const, Filter: { Prefix: 'move/' }, Transitions }];
    await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }));
    const classes = async (): Promise<string[]> => {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
      return Contents.map(({ Key, StorageClass }) => `${Key} ${StorageClass}`);
    };
    const moved = ['cold COLD', 'copy REDUCED_REDUNDANCY', 'move/large COLD', 'move/small COLD'];
    await eventually('both have moved', async () => (await classes()).join() === moved.join());

    const after = await client.send(new HeadObjectCommand({ Bucket, Key: 'move/large' }));
    expect([after.ETag, after.LastModified]).toEqual([before.ETag, before.LastModified]);
    await server.kill();
    await server.start();
    const restarted = server.client();
    expect(await classesOf(server)).toMatchObject({ COLD: expect.any(Number), REDUCED_REDUNDANCY: expect.any(Number) });
    const read = await restarted.send(new GetObjectCommand({ Bucket, Key: 'move/large' }));
    expect(Buffer.compare(Buffer.from(await read.Body!.transformToByteArray()), large)).toBe(0);
    const small = await restarted.send(new GetObjectCommand({ Bucket, Key: 'move/small' }));
    expect(await small.Body!.transformToString()).toBe('small');
    await expect(
      restarted.send(new PutObjectCommand({ Bucket, Key: 'x', Body: 'x', StorageClass: 'GLACIER' })),
    ).rejects.toMatchObject({ name: 'InvalidStorageClass' });
  },
);

/** Live bytes of the classes that hold any. */
async function classesOf(it: TestServer): Promise<Record<string, number>> {
  const { storageClasses } = (await it.statusReport()) as unknown as ClassReport;
  return Object.fromEntries(
    storageClasses.filter(({ liveBytes }) => liveBytes > 0).map(({ name, liveBytes }) => [name, liveBytes]),
  );
}
