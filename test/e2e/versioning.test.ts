import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  paginateListObjectsV2,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
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
}, 180_000);
beforeEach(async () => {
  Bucket = `versions-${++bucketCount}`;
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

const setVersioning = (Status: 'Enabled' | 'Suspended') =>
  client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
const put = async (Key: string, Body: string | Buffer) =>
  (await client.send(new PutObjectCommand({ Bucket, Key, Body }))).VersionId;
const remove = (Key: string, VersionId?: string) => client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
const textOf = async (Key: string, VersionId?: string) =>
  (await client.send(new GetObjectCommand({ Bucket, Key, VersionId }))).Body!.transformToString();
const history = async (Prefix = '') => {
  const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket, Prefix }));
  return {
    versions: Versions.map(({ VersionId }) => VersionId),
    markers: DeleteMarkers.map(({ VersionId }) => VersionId),
  };
};

describe('versions, as the SDK sees them', { timeout: 60_000 }, () => {
  test('every write of a versioned bucket is a version that can be read, copied and removed by its id', async () => {
    await setVersioning('Enabled');
    expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled');
    const first = await put('key', 'first');
    const second = await put('key', 'second');
    expect(await textOf('key')).toBe('second');
    expect(await textOf('key', first)).toBe('first');
    expect(await history()).toEqual({ versions: [second, first], markers: [] });
    const copy = await client.send(
      new CopyObjectCommand({ Bucket, Key: 'key', CopySource: `${Bucket}/key?versionId=${first}` }),
    );
    expect(copy.CopySourceVersionId).toBe(first);
    expect(await textOf('key')).toBe('first');
    const deleted = await remove('key');
    expect(deleted.DeleteMarker).toBe(true);
    await expect(textOf('key')).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(client.send(new HeadObjectCommand({ Bucket, Key: 'key' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
    await expect(textOf('key', deleted.VersionId)).rejects.toMatchObject({ $metadata: { httpStatusCode: 405 } });
    await expect(textOf('key', 'no-such-version')).rejects.toMatchObject({ name: 'NoSuchVersion' });
    expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    await remove('key', deleted.VersionId);
    expect(await textOf('key')).toBe('first');
  });

  test('suspended, a bucket has one null version of each key beside the older ones', async () => {
    await put('key', 'before versions');
    await setVersioning('Enabled');
    const kept = await put('key', 'kept');
    await setVersioning('Suspended');
    expect(await put('key', 'null again')).toBeUndefined();
    expect(await history()).toEqual({ versions: ['null', kept], markers: [] });
    const deleted = await remove('key');
    expect(deleted).toMatchObject({ DeleteMarker: true, VersionId: 'null' });
    expect(await history()).toEqual({ versions: [kept], markers: ['null'] });
    expect(await textOf('key', kept)).toBe('kept');
  });

  test('a multipart upload makes a version, and its bytes outlive the current object', async () => {
    await setVersioning('Enabled');
    const body = payloadOf('multipart', 11_000_000);
    const { VersionId } = await new Upload({
      client,
      partSize: 5 * 1024 * 1024,
      params: { Bucket, Key: 'large', Body: body },
    }).done();
    await put('large', 'replaced');
    const read = await client.send(new GetObjectCommand({ Bucket, Key: 'large', VersionId }));
    expect(Buffer.from(await read.Body!.transformToByteArray()).equals(body)).toBe(true);
  });

  test('emptying a bucket by pages of versions, as tools do, lets it be deleted', async () => {
    await setVersioning('Enabled');
    for (let round = 0; round < 4; round++) {
      await Promise.all(Array.from({ length: 25 }, (_, index) => put(`dir-${index % 3}/${index}`, `${round}`)));
    }
    await Promise.all(Array.from({ length: 10 }, (_, index) => remove(`dir-${index % 3}/${index}`)));
    await expect(client.send(new DeleteBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'BucketNotEmpty' });
    let seen = 0;
    let markers: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
    for (;;) {
      const page = await client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 17, ...markers }));
      const entries = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
      seen += entries.length;
      const Objects = entries.map(({ Key, VersionId }) => ({ Key, VersionId }));
      const { Errors } = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      expect(Errors ?? []).toEqual([]);
      if (!page.IsTruncated) break;
      // The version that the next page goes on behind is gone by now.
      markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
    expect(seen).toBe(110);
    for await (const page of paginateListObjectsV2({ client }, { Bucket })) expect(page.KeyCount).toBe(0);
    await client.send(new DeleteBucketCommand({ Bucket }));
  });

  test('history survives a restart', async () => {
    await setVersioning('Enabled');
    const first = await put('key', 'first');
    const { VersionId: marker } = await remove('key');
    const third = await put('key', 'third');
    await server.stop();
    await server.start();
    client.destroy();
    client = server.client();
    expect(await history()).toEqual({ versions: [third, first], markers: [marker] });
    expect(await textOf('key', first)).toBe('first');
  });
});
