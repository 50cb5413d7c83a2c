import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
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
  type S3Client,
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

beforeAll(async () => {
  server = await TestServer.create();
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
  client.destroy();
  await server.stop();
}, 60_000);

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

function extract(disks: readonly string[]): { status: number | null; output: string; entries: Entry[]; to: string } {
  const to = join(server.folder, 'rescued');
  rmSync(to, { recursive: true, force: true });
  const { status, stderr } = spawnSync('python3', [RESCUE, 'extract', '--to', to, ...disks], { encoding: 'utf8' });
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
  const partial = spawnSync('python3', [RESCUE, 'extract', '--incomplete', '--to', to, ...disks], { encoding: 'utf8' });
  expect(partial.status).toBe(1);
  const lines = readFileSync(join(to, 'objects.jsonl'), 'utf8').trim().split('\n');
  for (const version of lines.map((line) => JSON.parse(line) as Entry).filter((each) => !each.isDeleteMarker)) {
    const bytes = readFileSync(join(to, version.file));
    expect(bytes.equals(expected.get(nameOf(version)) ?? Buffer.alloc(0)), version.file).toBe(true);
  }
});
