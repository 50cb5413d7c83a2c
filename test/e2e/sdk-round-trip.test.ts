import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { payloadOf } from '../support/payload.ts';
import { TestServer } from '../support/server-process.ts';

let server: TestServer;
let client: S3Client;

beforeAll(async () => {
  server = await TestServer.create();
  client = server.client();
  await client.send(new CreateBucketCommand({ Bucket: 'first' }));
}, 180_000);

afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

async function bodyOf(Key: string, Range?: string): Promise<Buffer> {
  const answer = await client.send(
    new GetObjectCommand({ Bucket: 'first', Key, ...(Range === undefined ? {} : { Range }) }),
  );
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
}

test.each([0, 1, 4096, 131_071, 131_072, 131_073, 1_048_576, 1_048_577, 9_000_001])(
  'a body of %i bytes comes back byte-identical with its ETag and default checksum',
  async (size) => {
    const Key = `sizes/${size}`;
    const body = payloadOf(Key, size);
    const put = await client.send(
      new PutObjectCommand({ Bucket: 'first', Key, Body: body, Metadata: { colour: 'green' } }),
    );
    expect(put.ETag).toBe(`"${createHash('md5').update(body).digest('hex')}"`);
    const got = await client.send(new GetObjectCommand({ Bucket: 'first', Key, ChecksumMode: 'ENABLED' }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
    expect(got.ContentLength).toBe(size);
    expect(got.Metadata?.['colour']).toBe('green');
    expect(got.ChecksumCRC32).toBe(put.ChecksumCRC32);
  },
);

test('keys with any byte S3 allows round-trip exactly', async () => {
  const keys = [
    'a',
    'a/b',
    'a//b',
    '..',
    '../x',
    './y',
    'sp ace',
    'p+lus',
    '%41',
    'per%cent',
    'ключ',
    '😀',
    'tab\there',
    'q?x=1&y',
    'a\\b',
    'end/',
  ];
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket: 'first', Key: `k/${Key}`, Body: Key }));
  for (const Key of keys) expect((await bodyOf(`k/${Key}`)).toString()).toBe(Key);
  const listed = await client.send(new ListObjectsV2Command({ Bucket: 'first', Prefix: 'k/', EncodingType: 'url' }));
  const names = listed.Contents?.map((entry) => decodeURIComponent((entry.Key ?? '').replaceAll('+', ' '))) ?? [];
  expect([...names].sort()).toEqual(keys.map((key) => `k/${key}`).sort());
});

test('a stream through lib-storage becomes a multipart object that reads back whole and by range', async () => {
  const body = payloadOf('multipart', 23_456_789);
  const stream = Readable.from(
    (function* pieces(): Generator<Buffer> {
      for (let offset = 0; offset < body.length; offset += 65_536) yield body.subarray(offset, offset + 65_536);
    })(),
  );
  const upload = new Upload({
    client,
    params: { Bucket: 'first', Key: 'big', Body: stream },
    partSize: 5 * 1024 * 1024,
  });
  const done = await upload.done();
  expect(done.ETag).toMatch(/-5"$/);
  expect((await bodyOf('big')).equals(body)).toBe(true);
  expect((await bodyOf('big', 'bytes=5242870-10485770')).equals(body.subarray(5242870, 10485771))).toBe(true);
  expect((await bodyOf('big', 'bytes=-7')).equals(body.subarray(-7))).toBe(true);
  const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket: 'first' }));
  expect(uploads.Uploads ?? []).toEqual([]);
});

test('a conditional write has one winner among racing clients', async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) =>
      client.send(new PutObjectCommand({ Bucket: 'first', Key: 'lock', Body: `${n}`, IfNoneMatch: '*' })),
    ),
  );
  const winners = outcomes.flatMap((outcome, n) => (outcome.status === 'fulfilled' ? [n] : []));
  expect(winners).toHaveLength(1);
  expect((await bodyOf('lock')).toString()).toBe(`${winners[0]}`);
});

test('copy, listing with a delimiter, presigned GET, delete and an honest 404', async () => {
  await client.send(new CopyObjectCommand({ Bucket: 'first', Key: 'copies/big', CopySource: 'first/big' }));
  const head = await client.send(new HeadObjectCommand({ Bucket: 'first', Key: 'copies/big' }));
  expect(head.ContentLength).toBe(23_456_789);
  const top = await client.send(new ListObjectsV2Command({ Bucket: 'first', Delimiter: '/' }));
  expect(top.CommonPrefixes?.map((entry) => entry.Prefix)).toEqual(['copies/', 'k/', 'sizes/']);
  const url = await getSignedUrl(client, new GetObjectCommand({ Bucket: 'first', Key: 'lock' }), { expiresIn: 60 });
  expect((await fetch(url)).status).toBe(200);
  expect((await fetch(url.replace(/Signature=..../, 'Signature=0000'))).status).toBe(403);
  await client.send(new DeleteObjectCommand({ Bucket: 'first', Key: 'lock' }));
  expect((await fetch(url)).status).toBe(404);
});

test('a bucket goes only when it is empty', async () => {
  await client.send(new CreateBucketCommand({ Bucket: 'second' }));
  await client.send(new PutObjectCommand({ Bucket: 'second', Key: 'x', Body: 'x' }));
  await expect(client.send(new DeleteBucketCommand({ Bucket: 'second' }))).rejects.toMatchObject({
    name: 'BucketNotEmpty',
  });
  await client.send(
    new DeleteObjectsCommand({ Bucket: 'second', Delete: { Objects: [{ Key: 'x' }, { Key: 'never' }] } }),
  );
  await client.send(new DeleteBucketCommand({ Bucket: 'second' }));
  const buckets = await client.send(new ListBucketsCommand({}));
  expect(buckets.Buckets?.map((bucket) => bucket.Name)).toEqual(['first']);
});

test('everything is there after SIGTERM and a new start', async () => {
  expect(await server.stop()).toBe(0);
  await server.start();
  client = server.client();
  expect((await bodyOf('copies/big')).equals(payloadOf('multipart', 23_456_789))).toBe(true);
  expect((await bodyOf('sizes/4096')).equals(payloadOf('sizes/4096', 4096))).toBe(true);
}, 180_000);
