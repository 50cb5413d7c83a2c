import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { inspectFile } from '../../src/composition/inspect/inspect-file.ts';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { readFramesAsFormerVersion, readStateAsFormerVersion } from '../support/former-version.ts';
import { goldenManifest, unpackGoldenDisks } from '../support/golden-disks.ts';
import { eventually, TestServer } from '../support/server-process.ts';

const BUCKET = 'golden';
const manifest = goldenManifest(1);

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

/** Every kind of write that there was in format 1. */
async function write(client: S3Client, prefix: string): Promise<void> {
  const Body = Buffer.alloc(70_000, prefix);
  for (const size of [0, 10, 70_000]) {
    const object = { Bucket: BUCKET, Key: `${prefix}/${size}`, Metadata: { of: prefix }, Tagging: 'a=b' };
    await client.send(new PutObjectCommand({ ...object, Body: Body.subarray(0, size) }));
  }
  await client.send(
    new PutObjectCommand({ Bucket: BUCKET, Key: `${prefix}/large`, Body: Buffer.alloc(400_000, prefix) }),
  );
  await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: `${prefix}/0` }));
  const upload = { Bucket: BUCKET, Key: `${prefix}/multipart` };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(upload));
  const { ETag } = await client.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body }));
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await client.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload }));
  await client.send(
    new CopyObjectCommand({ Bucket: BUCKET, Key: `${prefix}/copy`, CopySource: `${BUCKET}/${prefix}/10` }),
  );
}

async function expectWritten(client: S3Client, prefix: string): Promise<void> {
  for (const [name, length] of Object.entries({
    '10': 10,
    '70000': 70_000,
    large: 400_000,
    multipart: 70_000,
    copy: 10,
  })) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${name}` }));
    const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
    expect(bytes.equals(Buffer.alloc(length, prefix)), `${prefix}/${name}`).toBe(true);
  }
}

/** What the last version that knows only format 1 makes of a disk. @throws FormerVersionRefuses */
function readAsFormerVersion(disk: string) {
  const { generation } = readStateAsFormerVersion(readFileSync(join(disk, 'journal/state')));
  const start = `${String(generation).padStart(8, '0')}-`;
  const names = readdirSync(join(disk, 'journal')).filter((name) => name.startsWith(start) && name.endsWith('.seg'));
  return readFramesAsFormerVersion(names.toSorted().map((name) => readFileSync(join(disk, 'journal', name))));
}

/** Versions of the tables in the checkpoints. */
async function tablesOf({ diskPaths }: TestServer): Promise<unknown[]> {
  const files = diskPaths.flatMap((disk) =>
    readdirSync(join(disk, 'journal'))
      .filter((name) => name.startsWith('checkpoint-'))
      .map((name) => join(disk, 'journal', name)),
  );
  const reports = await Promise.all(files.map((file) => inspectFile(file, { kind: undefined, withRecords: false })));
  for (const report of reports) expect(report?.problems).toEqual([]);
  return reports.map((report) => report?.facts['tablesVersion']);
}

test(
  'a store of format 1 stays one, for the former version to open, until the upgrade is finalized; then that refuses it',
  { timeout: 120_000 },
  async () => {
    const it = (server = await TestServer.over(({ folder }) => unpackGoldenDisks(1, folder), {
      environment: {
        HOLDFAST_ROOT_ACCESS_KEY_ID: undefined,
        HOLDFAST_ROOT_SECRET_ACCESS_KEY: undefined,
        HOLDFAST_CHECKPOINT_SIZE: '1 MiB',
      },
    }));
    const upgrade = (...flags: string[]) => it.command('upgrade', ...flags, '--state', it.stateDirectory);
    // So many frames that one is due.
    const untilCheckpoint = (client: S3Client, after: number): Promise<void> =>
      eventually('a checkpoint of what was written', async () => {
        const { checkpoints } = (await it.statusReport()) as { checkpoints: { sequence: number }[] };
        if (checkpoints.some(({ sequence }) => sequence > after)) return true;
        for (let n = 0; n < 50; n += 1) {
          await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'often', Body: String(n) }));
        }
        return false;
      });
    const sequenceNow = async (): Promise<number> =>
      ((await it.statusReport()) as { journal: { sequence: number } }).journal.sequence;

    await it.start({ readyWithinMs: 60_000 });
    let client = it.client({ credentials: manifest.credentials });
    const before = await sequenceNow();
    await write(client, 'former');
    await untilCheckpoint(client, before);
    expect((await upgrade()).stdout).toMatch(/^On-disk format 1; this version writes up to format 2\.\n/);
    expect(JSON.parse((await upgrade('--json')).stdout)).toEqual({ active: 1, newest: 2 });
    expect((await it.command('status', '--state', it.stateDirectory)).stdout).toContain('[upgrade-not-finalized]');
    client.destroy();
    await it.stop();

    expect((await upgrade()).stdout).toContain('On-disk format 1;');
    for (const disk of it.diskPaths) {
      const types = new Set(readAsFormerVersion(disk).flatMap(({ recordTypes }) => recordTypes));
      for (const type of [4, 5, 6, 7, 8, 12, 13]) expect([...types], disk).toContain(type);
    }
    const tables = await tablesOf(it);
    expect(tables.length).toBeGreaterThanOrEqual(3);
    expect(new Set(tables)).toEqual(new Set([1]));
    expect(await upgrade('--finalize')).toMatchObject({
      status: 1,
      output: expect.stringContaining('no server runs') as unknown,
    });

    await it.start();
    client = it.client({ credentials: manifest.credentials });
    await expectWritten(client, 'former');
    const finalized = await upgrade('--finalize');
    expect(finalized).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^On-disk format 2, the newest/) as unknown,
    });
    expect((await it.command('status', '--state', it.stateDirectory)).stdout).not.toContain('upgrade-not-finalized');
    const after = await sequenceNow();
    await write(client, 'newer');
    await untilCheckpoint(client, after);
    client.destroy();
    await it.stop();

    for (const disk of it.diskPaths) {
      expect(() => readAsFormerVersion(disk), disk).toThrow('journal/state has version 2; this server knows version 1');
    }
    expect(await tablesOf(it)).toContain(2);
    const rescue = spawnSync(
      'python3',
      [join(repositoryRoot, 'tools/rescue/rescue.py'), 'list', ...it.diskPaths.slice(2)],
      { encoding: 'utf8' },
    );
    expect(rescue.stdout).toContain('newer/multipart');
    await it.start();
    client = it.client({ credentials: manifest.credentials });
    for (const prefix of ['former', 'newer']) await expectWritten(client, prefix);
    client.destroy();
  },
);
