import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutBucketVersioningCommand,
  PutObjectTaggingCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  RenameObjectCommand,
  type S3Client,
  UpdateObjectEncryptionCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { payloadOf } from '../support/payload.ts';
import { TestServer } from '../support/server-process.ts';

const RESCUE = join(repositoryRoot, 'tools/rescue/rescue.py');

let server: TestServer;
/** By `nameOf`. */
const expected = new Map<string, Buffer>();
let marker = '';

interface Entry {
  bucket: string;
  key: string;
  versionId: string;
  isLatest: boolean;
  isDeleteMarker: boolean;
  tags: Record<string, string>;
  file: string;
  metadata: Record<string, string>;
}

function nameOf({
  bucket,
  key,
  versionId,
  isLatest,
}: Pick<Entry, 'bucket' | 'key' | 'versionId' | 'isLatest'>): string {
  return `${bucket}/${key}${isLatest ? '' : `?${versionId}`}`;
}

const CUSTOMER_KEY = Buffer.alloc(32, 3);
const CUSTOMER = {
  SSECustomerAlgorithm: 'AES256',
  SSECustomerKey: CUSTOMER_KEY.toString('base64'),
  SSECustomerKeyMD5: createHash('md5').update(CUSTOMER_KEY).digest('base64'),
};
const SEALINGS: Record<string, Partial<PutObjectCommandInput>> = {
  'sse-s3': { ServerSideEncryption: 'AES256' },
  kms: { ServerSideEncryption: 'aws:kms' },
  'bucket key': { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true },
  'sse-c': CUSTOMER,
};

beforeAll(async () => {
  server = await TestServer.create({ environment: { HOLDFAST_CUSTOMER_KEYS_OVER_HTTP: 'true' } });
  const client = server.client();
  const put = async (Bucket: string, Key: string, sizeBytes: number): Promise<void> => {
    const Body = payloadOf(`${Bucket}/${Key}`, sizeBytes);
    await client.send(new PutObjectCommand({ Bucket, Key, Body, Metadata: { origin: 'test' } }));
    expected.set(`${Bucket}/${Key}`, Body);
  };
  for (const Bucket of ['first', 'second']) await client.send(new CreateBucketCommand({ Bucket }));
  for (const size of [0, 1, 4096, 131_072, 131_073, 1_048_577, 9_000_001]) await put('first', `sizes/${size}`, size);
  await Promise.all(Array.from({ length: 60 }, (_, index) => put('second', `many/${index}`, index * 397)));
  for (const key of ['a', 'a/b', 'a/b/c', '../../escape', '.', 'x//y', 'é%41\u0001', 'n'.repeat(900)]) {
    await put('first', key, 50);
  }
  await put('first', 'sizes/4096', 5000);
  await put('first', 'gone', 5000);
  await client.send(new DeleteObjectCommand({ Bucket: 'first', Key: 'gone' }));
  expected.delete('first/gone');
  const multipart = payloadOf('multipart', 12_000_000);
  await new Upload({
    client,
    partSize: 5 * 1024 * 1024,
    params: { Bucket: 'second', Key: 'multipart', Body: multipart },
  }).done();
  await client.send(new CopyObjectCommand({ Bucket: 'first', Key: 'copy', CopySource: 'second/multipart' }));
  expected.set('second/multipart', multipart).set('first/copy', multipart);
  const open = { Bucket: 'first', Key: 'never' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(open));
  await client.send(new AbortMultipartUploadCommand({ ...open, UploadId }));
  await putVersions(client);
  await putEncrypted(client);
  await putNewer(client);
  await putAppended(client);
  client.destroy();
  await server.stop();
  writeFileSync(customerKeyFile(), CUSTOMER_KEY.toString('base64'));
}, 180_000);

/** Of each mode: empty, around a package, several of them, in parts; and one under the second version of the server's key. */
async function putEncrypted(client: S3Client): Promise<void> {
  const Bucket = 'fourth';
  await client.send(new CreateBucketCommand({ Bucket }));
  for (const [name, sealing] of Object.entries(SEALINGS)) {
    for (const size of [0, 1, 65_536, 65_537, 200_000]) {
      const Body = payloadOf(`${name} ${size}`, size);
      await client.send(new PutObjectCommand({ Bucket, Key: `${name}/${size}`, Body, ...sealing }));
      expected.set(`${Bucket}/${name}/${size}`, Body);
    }
    const parts = payloadOf(`${name} parts`, 5_300_000);
    const params = { Bucket, Key: `${name}/parts`, Body: parts, ...sealing };
    await new Upload({ client, partSize: 5 * 1024 * 1024, params }).done();
    expected.set(`${Bucket}/${name}/parts`, parts);
  }
  const rotated = await server.command('kms', 'key', 'rotate', 'sse-s3', '--state', server.stateDirectory);
  if (rotated.status !== 0) throw new Error(rotated.output);
  await client.send(new PutObjectCommand({ Bucket, Key: 'rotated', Body: 'rotated', ServerSideEncryption: 'AES256' }));
  expected.set(`${Bucket}/rotated`, Buffer.from('rotated'));
}

/** Appended, renamed, and put under another key: what the records of these operations add up to. */
async function putNewer(client: S3Client): Promise<void> {
  const Bucket = 'fifth';
  await client.send(new CreateBucketCommand({ Bucket }));
  for (const [name, sealing] of [['plain', {}] as const, ...Object.entries(SEALINGS)]) {
    const bodies = [700, 150_000, 1].map((size) => payloadOf(`${name} ${size}`, size));
    let WriteOffsetBytes = 0;
    for (const Body of bodies) {
      await client.send(new PutObjectCommand({ Bucket, Key: `${name}/log`, Body, WriteOffsetBytes, ...sealing }));
      WriteOffsetBytes += Body.length;
    }
    expected.set(`${Bucket}/${name}/log`, Buffer.concat(bodies));
    if (name === 'sse-c') continue;
    const Body = payloadOf(`${name} renamed`, 5000);
    await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body, ...sealing }));
    await client.send(new RenameObjectCommand({ Bucket, Key: `${name}/target`, RenameSource: 'source' }));
    expected.set(`${Bucket}/${name}/target`, Body);
  }
  const kms = await client.send(new PutObjectCommand({ Bucket, Key: 'named', Body: 'kms', ...SEALINGS['kms'] }));
  const Body = payloadOf('resealed', 100_000);
  await client.send(new PutObjectCommand({ Bucket, Key: 'resealed', Body, ServerSideEncryption: 'AES256' }));
  const ObjectEncryption = { SSEKMS: { KMSKeyArn: kms.SSEKMSKeyId } };
  await client.send(new UpdateObjectEncryptionCommand({ Bucket, Key: 'resealed', ObjectEncryption }));
  expected.set(`${Bucket}/named`, Buffer.from('kms')).set(`${Bucket}/resealed`, Body);
}

/** What an append went on from: a body, nothing, parts of an upload; and empty parts. */
async function putAppended(client: S3Client): Promise<void> {
  const Bucket = 'sixth';
  await client.send(new CreateBucketCommand({ Bucket }));
  const objects: Record<string, string[]> = {
    'a body': ['one ', 'two ', 'three ', 'four'],
    nothing: ['', 'one ', 'two'],
    'empty parts': ['one ', '', 'two ', ''],
    'an upload': ['x'.repeat(5_300_000), 'two ', 'three'],
  };
  for (const [Key, [first = '', ...added]] of Object.entries(objects)) {
    const params = { Bucket, Key, Body: Buffer.from(first) };
    await new Upload({ client, partSize: 5 * 1024 * 1024, params }).done();
    let whole = first;
    for (const Body of added) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body, WriteOffsetBytes: whole.length }));
      whole += Body;
    }
    expected.set(`${Bucket}/${Key}`, Buffer.from(whole));
  }
}

const customerKeyFile = (): string => join(server.folder, 'customer.key');
const keyFlags = (): string[] => [
  '--master-key',
  join(server.stateDirectory, 'master.key'),
  '--customer-key',
  customerKeyFile(),
];

/** Versions of all kinds: a null one from before, small and large ones, a multipart one, markers over and among them. */
async function putVersions(client: S3Client): Promise<void> {
  const Bucket = 'third';
  await client.send(new CreateBucketCommand({ Bucket }));
  const [first, second, third] = [
    payloadOf('null version', 1000),
    payloadOf('second', 900_000),
    payloadOf('third', 2e6),
  ];
  await client.send(new PutObjectCommand({ Bucket, Key: 'dir/key', Body: first }));
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  const { VersionId } = await client.send(new PutObjectCommand({ Bucket, Key: 'dir/key', Body: second }));
  const Tagging = { TagSet: [{ Key: 'colour', Value: 'red' }] };
  await client.send(new PutObjectTaggingCommand({ Bucket, Key: 'dir/key', VersionId, Tagging }));
  const gone = await client.send(new PutObjectCommand({ Bucket, Key: 'dir/key', Body: 'gone for ever' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'dir/key', VersionId: gone.VersionId }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'dir/key' }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'dir/key', Body: third }));
  expected.set('third/dir/key?null', first).set(`third/dir/key?${VersionId}`, second).set('third/dir/key', third);
  const covered = payloadOf('covered', 6_000_000);
  const params = { Bucket, Key: 'covered', Body: covered };
  const upload = await new Upload({ client, partSize: 5 * 1024 * 1024, params }).done();
  expected.set(`third/covered?${upload.VersionId}`, covered);
  marker = (await client.send(new DeleteObjectCommand({ Bucket, Key: 'covered' }))).VersionId ?? '';
}

afterAll(async () => {
  await server?.destroy();
});

function extract(
  disks: readonly string[],
  flags: readonly string[] = keyFlags(),
): { status: number | null; output: string; entries: Entry[]; to: string } {
  const to = join(server.folder, 'rescued');
  rmSync(to, { recursive: true, force: true });
  const { status, stderr } = spawnSync('python3', [RESCUE, 'extract', '--to', to, ...flags, ...disks], {
    encoding: 'utf8',
  });
  const lines = status === 0 || status === 1 ? readFileSync(join(to, 'objects.jsonl'), 'utf8').trim().split('\n') : [];
  return { status, output: stderr, entries: lines.map((line) => JSON.parse(line) as Entry), to };
}

function expectEverything({ status, output, entries, to }: ReturnType<typeof extract>): void {
  expect(output).toContain(`${expected.size} of ${expected.size} versions`);
  expect(status).toBe(0);
  const markers = entries.filter(({ isDeleteMarker }) => isDeleteMarker);
  expect(markers.map(({ key, isLatest }) => [key, isLatest])).toEqual([
    ['covered', true],
    ['dir/key', false],
  ]);
  expect(markers[0]!.versionId).toBe(marker);
  expect(entries.filter(({ tags }) => Object.keys(tags).length > 0).map(({ key, tags }) => [key, tags])).toEqual([
    ['dir/key', { colour: 'red' }],
  ]);
  const versions = entries.filter(({ isDeleteMarker }) => !isDeleteMarker);
  expect(versions.map(nameOf).toSorted()).toEqual([...expected.keys()].toSorted());
  for (const version of versions) {
    const bytes = readFileSync(join(to, version.file));
    expect(bytes.equals(expected.get(nameOf(version)) ?? Buffer.alloc(0)), version.file).toBe(true);
  }
  expect(entries.find(({ key }) => key === 'many/7')?.metadata).toEqual({ origin: 'test' });
}

test('every object is extracted from all disks, whatever their order and names', () => {
  expectEverything(extract(server.diskPaths.toReversed()));
});

test('every object is extracted from any n - m of the disks, without the state directory', () => {
  for (const lost of [
    [0, 1],
    [2, 5],
    [1, 4],
  ]) {
    expectEverything(extract(server.diskPaths.filter((_, index) => !lost.includes(index))));
  }
});

test('flipped bytes in every file of one disk are rebuilt from the others', () => {
  const [disk = ''] = server.diskPaths;
  const copy = `${disk}-good`;
  execFileSync('cp', ['-a', disk, copy]);
  try {
    for (const name of readdirSync(join(disk, 'volumes'))) {
      const file = openSync(join(disk, 'volumes', name), 'r+');
      for (let at = 4096 + 700; at < 3_000_000; at += 4096) writeSync(file, Buffer.from([0x5a]), 0, 1, at);
      closeSync(file);
    }
    const result = extract(server.diskPaths);
    expectEverything(result);
    expect(result.output).not.toContain(' 0 stripes rebuilt');
  } finally {
    rmSync(disk, { recursive: true });
    renameSync(copy, disk);
  }
});

test('without their keys encrypted objects leave no file and are named, and all others are there', () => {
  const { status, output, entries, to } = extract(server.diskPaths, []);
  expect(status).toBe(1);
  const isSealed = ([name]: [string, Buffer]): boolean =>
    (name.startsWith('fourth/') && !name.endsWith('/0')) || (name.startsWith('fifth/') && !name.includes('/plain/'));
  const sealed = [...expected].filter(isSealed);
  expect(output).toContain(`${expected.size - sealed.length} of ${expected.size} versions`);
  expect(entries.filter(({ bucket }) => bucket === 'fourth').every(({ key }) => key.endsWith('/0'))).toBe(true);
  expect(output).toContain('s3://fourth/rotated version null: it is encrypted, and there is no key ring that opens');
  expect(output).toContain('s3://fourth/sse-c/1 version null: it is encrypted with the customer key whose MD5 is');
  for (const [name] of sealed) expect(existsSync(join(to, name))).toBe(false);
});

test('another master key opens nothing, and says so', () => {
  const other = join(server.folder, 'other.key');
  writeFileSync(other, `${'ab'.repeat(32)}\n`);
  const { status, output } = extract(server.diskPaths, ['--master-key', other]);
  expect(status).toBe(1);
  expect(output).toContain('the key ring: it was sealed with another master key');
});

test('the copy of the key ring beside the journals opens with the master key alone', () => {
  const script = `
import json, sys
sys.path.insert(0, sys.argv[1])
from disks import open_disks
from sealed import KEY_RING, newest_copy, open_document, read_key
disks = open_disks(sys.argv[3:], print)
cluster_id = next(iter(disks.values())).cluster_id
ring = json.loads(open_document(newest_copy(disks, cluster_id), read_key(sys.argv[2], ['hex']), cluster_id, KEY_RING))
print([len(ring['serverVersions']), *[key['name'] for key in ring['keys']]])`;
  const key = join(server.stateDirectory, 'master.key');
  const { stdout } = spawnSync('python3', ['-c', script, join(RESCUE, '..'), key, server.diskPaths[4]!], {
    encoding: 'utf8',
  });
  expect(stdout).toBe("[2, 'aws-s3']\n");
});

test('--latest leaves out what is not current', () => {
  const { stdout } = spawnSync('python3', [RESCUE, 'list', '--latest', '--bucket', 'third', ...server.diskPaths], {
    encoding: 'utf8',
  });
  const entries = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Entry);
  expect(entries.map(({ key, isLatest }) => [key, isLatest])).toEqual([['dir/key', true]]);
});

test('with one disk too few nothing is claimed: exit code 1, and --incomplete never yields wrong bytes', () => {
  const disks = server.diskPaths.slice(3);
  const refused = spawnSync('python3', [RESCUE, 'list', ...disks], { encoding: 'utf8' });
  expect(refused.status).toBe(1);
  expect(refused.stdout).toBe('');
  expect(refused.stderr).toContain('are needed to know every acknowledged write');
  const to = join(server.folder, 'incomplete');
  const partial = spawnSync('python3', [RESCUE, 'extract', '--incomplete', '--to', to, ...keyFlags(), ...disks], {
    encoding: 'utf8',
  });
  expect(partial.status).toBe(1);
  const lines = readFileSync(join(to, 'objects.jsonl'), 'utf8').trim().split('\n');
  for (const version of lines.map((line) => JSON.parse(line) as Entry).filter((each) => !each.isDeleteMarker)) {
    const bytes = readFileSync(join(to, version.file));
    expect(bytes.equals(expected.get(nameOf(version)) ?? Buffer.alloc(0)), version.file).toBe(true);
  }
});
