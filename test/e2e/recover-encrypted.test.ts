import { createHash } from 'node:crypto';
import { closeSync, copyFileSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  ListObjectVersionsCommand,
  PutBucketEncryptionCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { payloadOf } from '../support/payload.ts';
import { TestServer } from '../support/server-process.ts';

const BUCKET = 'bucket';
const VERSIONED = 'versioned';
const CUSTOMER_KEY = Buffer.alloc(32, 5);
const PART_BYTES = 5 * 1024 * 1024;
const LARGE_VOLUME = 2;

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

type Sealing = Pick<PutObjectCommandInput, 'ServerSideEncryption' | 'BucketKeyEnabled'> &
  Pick<GetObjectCommandInput, 'SSECustomerAlgorithm' | 'SSECustomerKey' | 'SSECustomerKeyMD5'>;

const CUSTOMER: Sealing = {
  SSECustomerAlgorithm: 'AES256',
  SSECustomerKey: CUSTOMER_KEY.toString('base64'),
  SSECustomerKeyMD5: createHash('md5').update(CUSTOMER_KEY).digest('base64'),
};
const MODES: Record<string, { write: Sealing; read: Sealing }> = {
  plain: { write: {}, read: {} },
  'sse-s3': { write: { ServerSideEncryption: 'AES256' }, read: {} },
  kms: { write: { ServerSideEncryption: 'aws:kms' }, read: {} },
  'kms-bucket-key': { write: { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true }, read: {} },
  'sse-c': { write: CUSTOMER, read: CUSTOMER },
};

interface Kept {
  key: string;
  body: Buffer;
  read: Sealing;
  etag: string | undefined;
}

async function bodyOf(client: S3Client, input: GetObjectCommandInput): Promise<{ body: Buffer; etag?: string }> {
  const { Body, ETag } = await client.send(new GetObjectCommand(input));
  return {
    body: Buffer.from((await Body?.transformToByteArray()) ?? []),
    ...(ETag === undefined ? {} : { etag: ETag }),
  };
}

async function multipart(client: S3Client, key: string, bodies: readonly Buffer[], mode = MODES['sse-s3']!) {
  const upload = { Bucket: BUCKET, Key: key };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...upload, ...mode.write }));
  const Parts = [];
  for (const [index, Body] of bodies.entries()) {
    const part = { ...upload, UploadId, PartNumber: index + 1 };
    const { ETag } = await client.send(new UploadPartCommand({ ...part, ...mode.read, Body }));
    Parts.push({ PartNumber: index + 1, ETag });
  }
  const complete = { ...upload, UploadId, ...mode.read, MultipartUpload: { Parts } };
  return await client.send(new CompleteMultipartUploadCommand(complete));
}

/** Of every mode: empty, small and large, in parts, copied, overwritten. */
async function fill(client: S3Client): Promise<Kept[]> {
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const kept: Kept[] = [];
  for (const [name, { write, read }] of Object.entries(MODES)) {
    const put = async (key: string, sizeBytes: number): Promise<void> => {
      const body = payloadOf(key, sizeBytes);
      const { ETag } = await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body, ...write }));
      kept.push({ key, body, read, etag: ETag });
    };
    for (const size of [0, 5, 70_000, 400_000]) await put(`${name}/${size}`, size);
    const parts = [payloadOf(`${name} 1`, PART_BYTES), payloadOf(`${name} 2`, 70_000)];
    const { ETag } = await multipart(client, `${name}/parts`, parts, { write, read });
    kept.push({ key: `${name}/parts`, body: Buffer.concat(parts), read, etag: ETag });
    if (name === 'sse-c') continue;
    for (const source of ['5', 'parts']) {
      const key = `${name}/copy of ${source}`;
      const CopySource = `${BUCKET}/${name}/${source}`;
      const copied = await client.send(new CopyObjectCommand({ Bucket: BUCKET, Key: key, CopySource, ...write }));
      const { body } = kept.find((one) => one.key === `${name}/${source}`)!;
      kept.push({ key, body, read, etag: copied.CopyObjectResult?.ETag });
    }
  }
  return kept;
}

/** Each version under a mode of its own, the newest first. */
async function fillVersions(client: S3Client): Promise<{ body: Buffer; read: Sealing }[]> {
  await client.send(new CreateBucketCommand({ Bucket: VERSIONED }));
  const Bucket = VERSIONED;
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } as const }];
  await client.send(new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration: { Rules } }));
  const versions: { body: Buffer; read: Sealing }[] = [];
  for (const name of ['sse-s3', 'sse-c', 'kms', 'plain', 'kms-bucket-key', 'sse-s3']) {
    const { write, read } = MODES[name]!;
    const body = payloadOf(`version ${versions.length}`, 1000 + versions.length);
    await client.send(new PutObjectCommand({ Bucket, Key: 'key', Body: body, ...write }));
    versions.unshift({ body, read });
  }
  return versions;
}

/** Those whose bodies are large; so manifests stay. */
function removeLargeVolumes(diskPaths: readonly string[]): void {
  const head = Buffer.alloc(10);
  for (const disk of diskPaths) {
    for (const name of readdirSync(join(disk, 'volumes'))) {
      const file = join(disk, 'volumes', name);
      const descriptor = openSync(file, 'r');
      readSync(descriptor, head, 0, 10, 0);
      closeSync(descriptor);
      if (head[9] === LARGE_VOLUME) rmSync(file);
    }
  }
}

const ENVIRONMENT = { HOLDFAST_CUSTOMER_KEYS_OVER_HTTP: 'true' };

function recover(it: TestServer, ...flags: string[]) {
  const where = ['--disks', it.diskPaths.join(' '), '--state', it.stateDirectory];
  return it.command('recover', '--from-shards', ...flags, ...where);
}

test(
  'with all journals and the state gone, encrypted objects and versions are restored, and the master key opens them',
  { timeout: 180_000 },
  async () => {
    const it = (server = await TestServer.create({ diskCount: 3, code: '2+1', environment: ENVIRONMENT }));
    let client = it.client();
    const kept = await fill(client);
    const versions = await fillVersions(client);
    client.destroy();
    await it.stop();
    const exported = join(it.folder, 'exported.key');
    copyFileSync(join(it.stateDirectory, 'master.key'), exported);
    for (const disk of it.diskPaths) rmSync(join(disk, 'journal'), { recursive: true });
    rmSync(it.stateDirectory, { recursive: true });
    // What is left is exactly what is needed.
    rmSync(it.diskPaths[1]!, { recursive: true });

    const recovered = await recover(it, '--without-missing');
    expect(recovered.output).toContain(`Restored ${kept.length + 1} objects in 2 buckets`);
    expect(recovered.output).toContain('5 older versions, in the buckets versioned');
    expect(recovered.output).toContain('MASTER KEY AT HAND DOES NOT OPEN IT');
    expect(recovered.output).toContain('0 objects that cannot be read whole');
    // No other key takes the place of the one that is missing.
    expect(readdirSync(it.stateDirectory)).not.toContain('master.key');
    copyFileSync(exported, join(it.stateDirectory, 'master.key'));
    await it.start();
    client = it.client();
    for (const { key, body, read, etag } of kept) {
      const got = await bodyOf(client, { Bucket: BUCKET, Key: key, ...read });
      expect({ isSame: got.body.equals(body), etag: got.etag }, key).toEqual({ isSame: true, etag });
    }
    const listed = await client.send(new ListObjectVersionsCommand({ Bucket: VERSIONED }));
    expect(listed.Versions).toHaveLength(versions.length);
    for (const [index, { VersionId }] of listed.Versions!.entries()) {
      const { body, read } = versions[index]!;
      const got = await bodyOf(client, { Bucket: VERSIONED, Key: 'key', VersionId, ...read });
      expect(got.body.equals(body), `version ${index}`).toBe(true);
    }
    // Life goes on under the same ring.
    await client.send(
      new PutObjectCommand({ Bucket: BUCKET, Key: 'later', Body: 'l', ServerSideEncryption: 'AES256' }),
    );
    expect((await bodyOf(client, { Bucket: BUCKET, Key: 'later' })).body.toString()).toBe('l');
    client.destroy();
  },
);

test(
  'encrypted candidates of which nothing says which came last open as versions of their key, behind a delete marker',
  { timeout: 180_000 },
  async () => {
    const it = (server = await TestServer.create({ diskCount: 3, code: '2+1', environment: ENVIRONMENT }));
    let client = it.client();
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    const modes = ['sse-s3', 'sse-c', 'kms'];
    for (const name of modes) {
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'key', Body: name, ...MODES[name]!.write }));
    }
    await multipart(client, 'key', [payloadOf('lost', PART_BYTES)]);
    client.destroy();
    await it.stop();
    removeLargeVolumes(it.diskPaths);
    for (const disk of it.diskPaths) rmSync(join(disk, 'journal'), { recursive: true });
    const recovered = await recover(it);
    expect(recovered.output).toContain('3 candidates of which nothing says which came last');
    expect(recovered.output).toContain('1 objects that cannot be read whole');
    expect(recovered.output).toContain('and the master key opens it');
    await it.start();
    client = it.client();
    await expect(client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'key' }))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
    const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: BUCKET }));
    expect(DeleteMarkers).toMatchObject([{ Key: 'key', IsLatest: true }]);
    expect(Versions).toHaveLength(3);
    for (const [index, { VersionId }] of Versions.toReversed().entries()) {
      const name = modes[index]!;
      const { body } = await bodyOf(client, { Bucket: BUCKET, Key: 'key', VersionId, ...MODES[name]!.read });
      expect(body.toString()).toBe(name);
    }
    client.destroy();
  },
);
