import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { eventually, TestServer } from '../support/server-process.ts';

const BUCKET = 'bucket';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

function textOf(name: string, sizeBytes: number): Buffer {
  return Buffer.from(`${name} `.repeat(Math.ceil(sizeBytes / (name.length + 1)))).subarray(0, sizeBytes);
}

class Objects {
  readonly kept = new Map<string, { sha256: string; metadata: Record<string, string>; etag: string }>();
  client: S3Client;

  constructor(client: S3Client) {
    this.client = client;
  }

  async put(key: string, sizeBytes: number): Promise<void> {
    const Body = textOf(key, sizeBytes);
    const Metadata = { of: encodeURIComponent(key) };
    const { ETag = '' } = await this.client.send(
      new PutObjectCommand({
        Bucket: BUCKET,
        Key: key,
        Body,
        Metadata,
        ContentType: 'text/kept',
        Tagging: 'a=b',
      }),
    );
    this.#keep(key, Body, Metadata, ETag);
  }

  async multipart(key: string, sizes: readonly number[]): Promise<void> {
    const upload = { Bucket: BUCKET, Key: key };
    const { UploadId } = await this.client.send(new CreateMultipartUploadCommand({ ...upload, Metadata: { of: key } }));
    const Parts = [];
    const bodies = sizes.map((size, index) => textOf(`${key} ${index}`, size));
    for (const [index, Body] of bodies.entries()) {
      const PartNumber = index + 1;
      const { ETag } = await this.client.send(new UploadPartCommand({ ...upload, UploadId, PartNumber, Body }));
      Parts.push({ PartNumber, ETag });
    }
    const { ETag = '' } = await this.client.send(
      new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }),
    );
    this.#keep(key, Buffer.concat(bodies), { of: key }, ETag);
  }

  async copy(key: string, source: string): Promise<void> {
    await this.client.send(new CopyObjectCommand({ Bucket: BUCKET, Key: key, CopySource: `${BUCKET}/${source}` }));
    this.kept.set(key, this.kept.get(source)!);
  }

  #keep(key: string, body: Buffer, metadata: Record<string, string>, etag: string): void {
    this.kept.set(key, { sha256: createHash('sha256').update(body).digest('hex'), metadata, etag });
  }

  async check(): Promise<void> {
    for (const [key, wanted] of this.kept) {
      const answer = await this.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
      const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      expect({ sha256, metadata: answer.Metadata, etag: answer.ETag }, key).toEqual(wanted);
    }
  }
}

function shardFiles(diskPaths: readonly string[]): string[] {
  return diskPaths.flatMap((disk) => readdirSync(join(disk, 'volumes')).map((name) => join(disk, 'volumes', name)));
}

/** Any write would show. */
function traceOf(files: readonly string[]): string[] {
  return files.map((file) => {
    const { ino, size, mtimeNs } = lstatSync(file, { bigint: true });
    return `${file} ${ino} ${size} ${mtimeNs}`;
  });
}

async function keysOf(client: S3Client, bucket: string): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  return Contents.map(({ Key = '' }) => Key);
}

async function fill(client: S3Client): Promise<Objects> {
  const objects = new Objects(client);
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  // Of a bucket that is made again under its name.
  await objects.put('of the bucket before', 500);
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'of the bucket before' }));
  await client.send(new DeleteBucketCommand({ Bucket: BUCKET }));
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  objects.kept.clear();
  for (const size of [0, 1, 5000, 131_072, 131_073, 3_000_000]) await objects.put(`sizes/${size}`, size);
  await Promise.all(Array.from({ length: 40 }, (_, index) => objects.put(`many/${index}`, index * 97)));
  await objects.put('ключ/x//y', 60);
  await objects.multipart('multipart', [5 * 1024 * 1024, 5_300_000, 10]);
  await objects.multipart('one part', [70]);
  await objects.copy('copy of multipart', 'multipart');
  await objects.copy('copy of small', 'sizes/5000');
  for (const size of [1000, 200_000, 2000]) await objects.put('overwritten', size);
  return objects;
}

test(
  'with all journals and the state gone, every object is restored from its shards, and nothing of them was written',
  { timeout: 120_000 },
  async () => {
    const it = (server = await TestServer.create());
    let client = it.client();
    const objects = await fill(client);
    const upload = { Bucket: BUCKET, Key: 'in progress' };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(upload));
    await client.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body: 'a part' }));
    client.destroy();
    await it.stop();
    // In another epoch.
    await it.start();
    objects.client = client = it.client();
    await objects.put('later', 300_000);
    client.destroy();
    await it.stop();

    const recover = (...flags: string[]) =>
      it.command('recover', '--from-shards', ...flags, '--disks', it.diskPaths.join(' '), '--state', it.stateDirectory);
    const refused = await recover();
    expect(refused).toMatchObject({ status: 1, output: expect.stringContaining('enough for a start') as unknown });

    // Disks that are only away are waited for: their journals know more.
    const away = it.diskPaths.slice(0, 3);
    for (const disk of away) renameSync(disk, `${disk}.away`);
    const waiting = await recover();
    expect(waiting).toMatchObject({ status: 1, output: expect.stringContaining('3 disks are away') as unknown });
    expect(readdirSync(it.diskPaths[3]!).filter((name) => name.startsWith('journal'))).toEqual(['journal']);
    for (const disk of away) renameSync(`${disk}.away`, disk);

    for (const disk of it.diskPaths) rmSync(join(disk, 'journal'), { recursive: true });
    rmSync(it.stateDirectory, { recursive: true });
    // Two disks are away as well: what is left is exactly what is needed.
    for (const disk of it.diskPaths.slice(0, 2)) rmSync(disk, { recursive: true });
    const files = shardFiles(it.diskPaths.slice(2));
    const before = traceOf(files);

    const listed = await recover('--list');
    expect(listed.output).toContain(`Would restore ${objects.kept.size} objects in 1 buckets: ${BUCKET}`);
    expect(listed.stdout.split('\n').filter((line) => line.endsWith(`${BUCKET}/overwritten`))).toHaveLength(3);
    expect(readdirSync(it.diskPaths[2]!)).not.toContain('journal');
    const recovered = await recover();
    expect(recovered.output).toContain(`Restored ${objects.kept.size} objects in 1 buckets`);
    expect(recovered.output).toContain('2 older versions, in the buckets bucket');
    expect(recovered.output).toContain('1 parts that no object names, 1 objects of buckets that were deleted');
    expect(recovered.status).toBe(0);
    expect(traceOf(files)).toEqual(before);
    const report = readFileSync(join(it.stateDirectory, 'recovery-report.jsonl'), 'utf8').trim().split('\n');
    const fates = report.map((line) => JSON.parse(line) as { fate: string; key: string; lastModified: string });
    expect(fates.find(({ fate }) => fate === 'deleted-bucket')?.key).toBe('of the bucket before');
    expect(fates.every(({ lastModified }) => lastModified.startsWith('20'))).toBe(true);

    await it.start();
    objects.client = client = it.client();
    expect((await keysOf(client, BUCKET)).toSorted()).toEqual([...objects.kept.keys()].toSorted());
    await objects.check();
    const quarantined = await keysOf(client, 'recovered-quarantine');
    expect(quarantined.map((key) => key.replace(/[0-9a-f]{14}$/, ''))).toEqual([
      `deleted-bucket/${BUCKET}/`,
      `loose-part/${BUCKET}/`,
    ]);
    const part = await client.send(new GetObjectCommand({ Bucket: 'recovered-quarantine', Key: quarantined[1]! }));
    expect(await part.Body?.transformToString()).toBe('a part');
    expect(part.Metadata).toMatchObject({ 'recovered-key': 'in%20progress', 'recovered-part-number': '1' });
    // New ids lie above the old ones.
    await objects.put('after the recovery', 400_000);
    await objects.put('overwritten', 10);
    await objects.check();
    client.destroy();
    await it.stop();
    await it.start();
    objects.client = client = it.client();
    await objects.check();
    client.destroy();
  },
);

test(
  'a recovery that is killed leaves nothing that a server serves, and the next one gets to the end',
  { timeout: 120_000 },
  async () => {
    const it = (server = await TestServer.create({ diskCount: 3, code: '2+1' }));
    let client = it.client();
    const objects = new Objects(client);
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    for (let round = 0; round < 2; round += 1) {
      await Promise.all(Array.from({ length: 60 }, (_, index) => objects.put(`${round}/${index}`, index * 50)));
    }
    client.destroy();
    await it.stop();
    for (const disk of it.diskPaths) rmSync(join(disk, 'journal'), { recursive: true });
    const arguments_ = ['recover', '--from-shards', '--disks', it.diskPaths.join(' '), '--state', it.stateDirectory];
    const isDone = (output: string): boolean =>
      output.includes('enough for a start') || output.includes('Restored 120 ');
    // Killed at different moments of the writing, which begins with the first journal.
    for (const delayMs of [0, 40]) {
      const killed = spawn(process.execPath, [join(repositoryRoot, 'bin/holdfast.cjs'), ...arguments_], {
        env: it.environment(),
        stdio: 'ignore',
      });
      const ended = once(killed, 'exit');
      const watched = join(it.diskPaths[0]!, 'journal/state');
      const inode = existsSync(watched) ? lstatSync(watched).ino : undefined;
      await eventually(
        'it writes or has ended',
        async () => killed.exitCode !== null || (existsSync(watched) && lstatSync(watched).ino !== inode),
      );
      await delay(delayMs);
      killed.kill('SIGKILL');
      await ended;
    }
    const last = await it.command(...arguments_);
    expect(isDone(last.output), last.output).toBe(true);
    await it.start();
    objects.client = client = it.client();
    expect(await keysOf(client, BUCKET)).toHaveLength(120);
    await objects.check();
    client.destroy();
  },
);
