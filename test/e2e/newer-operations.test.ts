import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  RenameObjectCommand,
  UpdateObjectEncryptionCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { payloadOf } from '../support/payload.ts';
import { TestServer } from '../support/server-process.ts';

let server: TestServer;
let client: S3Client;
let Bucket: string;
let bucketCount = 0;

beforeAll(async () => {
  server = await TestServer.create();
  client = server.client();
}, 60_000);
beforeEach(async () => {
  Bucket = `newer-${++bucketCount}`;
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

async function restart(): Promise<void> {
  await server.kill();
  await server.start();
  client.destroy();
  client = server.client();
}

const bytesOf = async (Key: string) => {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
  return Buffer.from(await Body!.transformToByteArray());
};

describe('newer operations, as the SDK sends them', { timeout: 60_000 }, () => {
  test('UpdateObjectEncryption puts an object under a KMS key, which then decides who reads it', async () => {
    const kms = (...command: string[]) => server.command('kms', 'key', ...command, '--state', server.stateDirectory);
    expect(await kms('create', 'archive')).toMatchObject({ status: 0 });
    const Body = payloadOf('body', 300_000);
    const named = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'archive' } as const;
    const { SSEKMSKeyId } = await client.send(new PutObjectCommand({ Bucket, Key: 'other', Body: 'x', ...named }));
    const before = await client.send(
      new PutObjectCommand({ Bucket, Key: 'key', Body, ServerSideEncryption: 'AES256' }),
    );
    const ObjectEncryption = { SSEKMS: { KMSKeyArn: SSEKMSKeyId } };
    await client.send(new UpdateObjectEncryptionCommand({ Bucket, Key: 'key', ObjectEncryption }));
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'key' }))).toMatchObject({
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId,
      ETag: before.ETag,
    });
    expect((await bytesOf('key')).equals(Body)).toBe(true);
    expect(await kms('disable', 'archive')).toMatchObject({ status: 0 });
    await expect(bytesOf('key')).rejects.toMatchObject({ name: 'KMS.DisabledException' });
    expect(await kms('enable', 'archive')).toMatchObject({ status: 0 });
    await restart();
    expect((await bytesOf('key')).equals(Body)).toBe(true);
  });

  test('RenameObject moves an object once, however often the client asks, and a restart knows it', async () => {
    const Body = payloadOf('renamed', 300_000);
    await client.send(new PutObjectCommand({ Bucket, Key: 'a/source key', Body, Metadata: { kept: 'yes' } }));
    const before = await client.send(new HeadObjectCommand({ Bucket, Key: 'a/source key' }));
    const command = () =>
      new RenameObjectCommand({
        Bucket,
        Key: 'b/target',
        RenameSource: encodeURIComponent('a/source key'),
        DestinationIfNoneMatch: '*',
        SourceIfMatch: before.ETag,
        ClientToken: 'once',
      });
    await client.send(command());
    await client.send(command());
    await expect(client.send(new HeadObjectCommand({ Bucket, Key: 'a/source key' }))).rejects.toMatchObject({
      name: 'NotFound',
    });
    const { ETag, LastModified, Metadata } = before;
    const renamed = { ETag, LastModified, Metadata };
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'b/target' }))).toMatchObject(renamed);
    await restart();
    await client.send(command());
    expect((await bytesOf('b/target')).equals(Body)).toBe(true);
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'b/target' }))).toMatchObject(renamed);
    await expect(
      client.send(new RenameObjectCommand({ Bucket, Key: 'c', RenameSource: 'b/target', ClientToken: 'once' })),
    ).rejects.toMatchObject({ name: 'IdempotencyParameterMismatch' });
  });

  test('PutObject with WriteOffsetBytes appends, and a restart without the index knows all of it', async () => {
    const bodies = [payloadOf('first', 3000), payloadOf('second', 400_000), payloadOf('third', 70_000)];
    let size = 0;
    for (const Body of bodies) {
      const written = await client.send(new PutObjectCommand({ Bucket, Key: 'log', Body, WriteOffsetBytes: size }));
      size += Body.length;
      expect(written.Size).toBe(size);
    }
    const late = client.send(new PutObjectCommand({ Bucket, Key: 'log', Body: 'x', WriteOffsetBytes: 3000 }));
    await expect(late).rejects.toMatchObject({ name: 'InvalidWriteOffset' });
    await server.kill();
    rmSync(join(server.stateDirectory, 'index.sqlite'));
    await server.start();
    client.destroy();
    client = server.client();
    expect((await bytesOf('log')).equals(Buffer.concat(bodies))).toBe(true);
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'log', ChecksumMode: 'ENABLED' }));
    expect(head).toMatchObject({ ContentLength: size, ChecksumType: 'FULL_OBJECT' });
  });
});
