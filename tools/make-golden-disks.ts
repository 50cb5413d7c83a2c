/**
 * Makes the golden disks of the current on-disk format: `npx tsx tools/make-golden-disks.ts` after `npm run build`. A small store
 * is made with the real server, stopped, and packed with the list of what must be read from it. Every later version must open
 * it, so an archive that was released is never made again; a new format version gets one of its own.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { NEWEST_STORE_FORMAT } from '../src/model/store-format.ts';
import { type GoldenManifest, goldenArchive, goldenManifestFile } from '../test/support/golden-disks.ts';
import { GOLDEN_ENVIRONMENT, GoldenFeatures, KMS_KEY } from '../test/support/golden-features.ts';
import { eventually, TestServer } from '../test/support/server-process.ts';

/** Repeats itself, so that the archive stays small, yet no two keys and no two places of one are alike. */
function textOf(key: string, sizeBytes: number): Buffer {
  const lines: string[] = [];
  const rest = `${key} ${'.'.repeat(sizeBytes > 100_000 ? 16_000 : 0)}`;
  for (let length = 0; length < sizeBytes; length += lines.at(-1)!.length) lines.push(`${lines.length} ${rest}\n`);
  return Buffer.from(lines.join('')).subarray(0, sizeBytes);
}

/** Writes objects and keeps what must be read back. */
class GoldenObjects {
  readonly objects = new Map<string, GoldenManifest['objects'][number]>();
  client: S3Client;

  constructor(client: S3Client) {
    this.client = client;
  }

  async put(bucket: string, key: string, sizeBytes: number, metadata: Record<string, string> = {}): Promise<void> {
    const body = textOf(key, sizeBytes);
    const { ETag } = await this.client.send(
      new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, Metadata: metadata, ContentType: 'text/golden' }),
    );
    this.#keep({ bucket, key, body, etag: ETag, metadata });
  }

  async multipart(bucket: string, key: string, partSizes: readonly number[]): Promise<void> {
    const address = { Bucket: bucket, Key: key };
    const { UploadId } = await this.client.send(
      new CreateMultipartUploadCommand({ ...address, ContentType: 'text/golden' }),
    );
    const bodies = partSizes.map((size, index) => textOf(`${key} part ${index + 1}`, size));
    for (const [index, Body] of bodies.entries()) {
      await this.client.send(new UploadPartCommand({ ...address, UploadId, PartNumber: index + 1, Body }));
    }
    const { Parts = [] } = await this.client.send(new ListPartsCommand({ ...address, UploadId }));
    const MultipartUpload = { Parts: Parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })) };
    const { ETag } = await this.client.send(
      new CompleteMultipartUploadCommand({ ...address, UploadId, MultipartUpload }),
    );
    this.#keep({ bucket, key, body: Buffer.concat(bodies), etag: ETag, metadata: {} });
  }

  async copy(bucket: string, key: string, from: string): Promise<void> {
    const { CopyObjectResult } = await this.client.send(
      new CopyObjectCommand({ Bucket: bucket, Key: key, CopySource: encodeURI(from) }),
    );
    const source = this.objects.get(from)!;
    this.objects.set(`${bucket}/${key}`, { ...source, bucket, key, etag: CopyObjectResult?.ETag ?? '' });
  }

  async remove(bucket: string, key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    this.objects.delete(`${bucket}/${key}`);
  }

  #keep(one: {
    bucket: string;
    key: string;
    body: Buffer;
    etag: string | undefined;
    metadata: Record<string, string>;
  }): void {
    const { bucket, key, body, etag = '', metadata } = one;
    const sha256 = createHash('sha256').update(body).digest('hex');
    this.objects.set(`${bucket}/${key}`, { bucket, key, sizeBytes: body.length, sha256, etag, metadata });
  }
}

async function writeMost(client: S3Client, golden: GoldenObjects): Promise<GoldenManifest['uploads']> {
  for (const Bucket of ['golden', 'other', 'gone']) await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new DeleteBucketCommand({ Bucket: 'gone' }));
  for (const size of [0, 1, 4096, 131_072, 131_073, 900_000]) await golden.put('golden', `sizes/${size}`, size);
  await Promise.all(Array.from({ length: 30 }, (_, index) => golden.put('other', `many/${index}`, index * 211)));
  for (const key of ['a', 'a/b', 'x//y', 'é%41 +&', 'n'.repeat(900)]) {
    await golden.put('golden', key, 60, { note: 'said at writing' });
  }
  await golden.put('golden', 'overwritten', 9000);
  await golden.put('golden', 'overwritten', 700);
  for (const size of [300, 300_000]) {
    await golden.put('golden', `deleted/${size}`, size);
    await golden.remove('golden', `deleted/${size}`);
  }
  await golden.multipart('golden', 'multipart', [5 * 1024 * 1024, 100_000]);
  await golden.copy('other', 'copy of multipart', 'golden/multipart');
  await golden.copy('other', 'copy of small', 'golden/sizes/4096');
  const open = { Bucket: 'golden', Key: 'in progress' };
  const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand(open));
  await client.send(new UploadPartCommand({ ...open, UploadId, PartNumber: 1, Body: textOf('in progress', 5000) }));
  const aborted = await client.send(new CreateMultipartUploadCommand({ ...open, Key: 'aborted' }));
  await client.send(new AbortMultipartUploadCommand({ ...open, Key: 'aborted', UploadId: aborted.UploadId }));
  // So many frames that a checkpoint is made.
  for (let n = 0; n < 150; n++) await golden.put('golden', 'overwritten often', n % 100);
  return [{ bucket: 'golden', key: 'in progress', uploadId: UploadId, partNumbers: [1] }];
}

async function expectClean(server: TestServer): Promise<void> {
  const { status, output } = await server.command(
    'census',
    '--wait',
    '--timeout',
    '60',
    '--state',
    server.stateDirectory,
  );
  if (status !== 0) throw new Error(`the census is not clean:\n${output}`);
}

async function disksOf(server: TestServer): Promise<{ state: string; isLevel: boolean }[]> {
  const { stdout } = await server.command('disk', 'list', '--json', '--state', server.stateDirectory);
  return (JSON.parse(stdout) as { disks: { state: string; isLevel: boolean }[] }).disks;
}

async function isLevel(server: TestServer): Promise<boolean> {
  const disks = await disksOf(server);
  return disks.length === 6 && disks.every((disk) => disk.state === 'online' && disk.isLevel);
}

function hasCheckpoint(disk: string): boolean {
  return readdirSync(join(disk, 'journal')).some((name) => name.startsWith('checkpoint-'));
}

async function make(server: TestServer): Promise<GoldenManifest> {
  const credentials = storedCredentials(server);
  let client = server.client({ credentials });
  const golden = new GoldenObjects(client);
  const uploads = await writeMost(client, golden);
  const key = await server.command('kms', 'key', 'create', KMS_KEY, '--state', server.stateDirectory);
  if (key.status !== 0) throw new Error(key.output);
  const features = new GoldenFeatures(client);
  await features.write();

  // A disk is replaced: its shards move to the new one.
  const [, replaced = ''] = server.diskPaths;
  rmSync(replaced, { recursive: true });
  mkdirSync(replaced);
  await eventually('it is missed', async () => (await disksOf(server)).some(({ state }) => state === 'missing'));
  const answer = await server.command('disk', 'replace', replaced, '--state', server.stateDirectory);
  if (answer.status !== 0) throw new Error(answer.output);
  await expectClean(server);

  // Two disks are away: what is written now lies in narrow volumes.
  await server.stop();
  const away = server.diskPaths.slice(4);
  for (const path of away) renameSync(path, `${path}.away`);
  await server.start();
  client.destroy();
  golden.client = client = server.client({ credentials });
  await golden.put('golden', 'narrow/small', 3000);
  await golden.put('golden', 'narrow/large', 2_000_000);
  await server.stop();
  for (const path of away) renameSync(`${path}.away`, path);

  // Back again and level.
  await server.start();
  client.destroy();
  golden.client = client = server.client({ credentials });
  await eventually('all disks are level', () => isLevel(server), 30_000);
  await golden.put('golden', 'after all', 5000);
  await eventually('there is a checkpoint', async () => server.diskPaths.filter(hasCheckpoint).length > 2);
  await golden.put('golden', 'after the checkpoint', 6000);
  await expectClean(server);
  const { versions } = features;
  const answers = await new GoldenFeatures(client, versions).answers();
  client.destroy();
  await server.stop();
  return {
    formatVersion: NEWEST_STORE_FORMAT,
    code: '4+2',
    disks: server.diskPaths.map((path) => basename(path)),
    credentials,
    objects: [...golden.objects.values()],
    environment: GOLDEN_ENVIRONMENT,
    versions,
    answers,
    uploads,
  };
}

function storedCredentials({ stateDirectory }: TestServer): GoldenManifest['credentials'] {
  const text = readFileSync(join(stateDirectory, 'aws-credentials'), 'utf8');
  const [, accessKeyId = ''] = /aws_access_key_id\s*=\s*(\S+)/.exec(text) ?? [];
  const [, secretAccessKey = ''] = /aws_secret_access_key\s*=\s*(\S+)/.exec(text) ?? [];
  return { accessKeyId, secretAccessKey };
}

const archive = goldenArchive(NEWEST_STORE_FORMAT);
if (existsSync(archive))
  throw new Error(`${archive} is there: golden disks are not made again, unless their format is unreleased`);
const server = await TestServer.create({
  environment: {
    HOLDFAST_ROOT_ACCESS_KEY_ID: undefined,
    HOLDFAST_ROOT_SECRET_ACCESS_KEY: undefined,
    HOLDFAST_CHECKPOINT_SIZE: '1 MiB',
    // What was written narrow shall still be narrow at the end.
    HOLDFAST_COLLECTOR_RATE: '64 KiB/s',
    ...GOLDEN_ENVIRONMENT,
  },
});
try {
  const manifest = await make(server);
  mkdirSync(join(archive, '..'), { recursive: true });
  const names = [...manifest.disks, 'state/master.key'];
  const flags = [
    '--sparse',
    // Not part of the journal, and large.
    '--exclude=spare-*.seg',
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u+rwX',
    '-C',
    server.folder,
  ];
  execFileSync('tar', ['-c', ...flags, '-I', 'gzip -9n', '-f', archive, ...names]);
  writeFileSync(goldenManifestFile(NEWEST_STORE_FORMAT), `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`${manifest.objects.length} objects in ${archive}`);
} catch (error) {
  console.error(server.output.slice(-4000));
  throw error;
} finally {
  await server.destroy();
}
