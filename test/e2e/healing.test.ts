import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { payloadOf } from '../support/payload.ts';
import { eventually, TestServer } from '../support/server-process.ts';

const Bucket = 'bucket';
const SIZES = [1, 4096, 100_000, 200_000, 3 * 1024 * 1024];

let server: TestServer;
let client: S3Client;

beforeEach(async () => {
  server = await TestServer.create();
  client = server.client();
  await client.send(new CreateBucketCommand({ Bucket }));
});

afterEach(async () => {
  client.destroy();
  await server.destroy();
});

async function fill(prefix: string): Promise<string[]> {
  const keys = SIZES.flatMap((size) => [0, 1, 2].map((number) => `${prefix}/${number}/${size}`));
  await Promise.all(
    keys.map((Key) => client.send(new PutObjectCommand({ Bucket, Key, Body: payloadOf(Key, sizeOf(Key)) }))),
  );
  return keys;
}

function sizeOf(key: string): number {
  return Number(key.split('/').at(-1));
}

async function expectReadable(keys: readonly string[]): Promise<void> {
  for (const Key of keys) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
    expect(Buffer.from(await Body!.transformToByteArray()).equals(payloadOf(Key, sizeOf(Key))), Key).toBe(true);
  }
}

function shardFiles(disk: number): string[] {
  const folder = join(server.diskPaths[disk]!, 'volumes');
  return readdirSync(folder).map((name) => join(folder, name));
}

function census(...flags: string[]) {
  return server.command('census', '--state', server.stateDirectory, ...flags);
}

test('the shard files of two disks are removed: healed, counted as whole, and two other disks may go', async () => {
  const keys = await fill('kept');
  expect(await census()).toMatchObject({ status: 0, stdout: expect.stringContaining('CLEAN') });
  await server.stop();
  for (const disk of [0, 4]) for (const file of shardFiles(disk)) rmSync(file);
  await server.start();
  client = server.client();
  const clean = await census('--wait', '--timeout', '60', '--json');
  expect(clean.output).toContain('"isClean": true');
  expect(clean.status).toBe(0);
  const report = await server.statusReport();
  expect(report['healing']).toMatchObject({ suspectFileCount: 0, lostShardCount: 0 });
  expect(report['degraded']).toMatchObject({ volumeCount: 0, suspectFileCount: 0 });
  expect(report['lastCensus']).toMatchObject({ isClean: true, worstMargin: 2 });
  for (const disk of [1, 2]) rmSync(server.diskPaths[disk]!, { recursive: true });
  await expectReadable(keys);
  const broken = await census();
  expect(broken.status).toBe(1);
  expect(broken.stdout).toContain('NOT CLEAN');
  expect(broken.stdout).toContain('Worst margin  0');
});

test('a census finds a flipped bit that no read has met, and reads stay right', async () => {
  const keys = await fill('flip');
  const [file] = shardFiles(3).filter((each) => readFileSync(each).length > 200_000);
  const bytes = readFileSync(file!);
  bytes[5000]! ^= 1;
  writeFileSync(file!, bytes);
  const found = await census();
  expect(found.status).toBe(1);
  expect(found.stdout).toMatch(/disk 3 .*damaged/);
  await expectReadable(keys);
});

test('bits flipped in every file of one disk while the server runs: every read right, all repaired after one scrub', async () => {
  const keys = await fill('rot');
  for (const file of shardFiles(1)) {
    const bytes = readFileSync(file);
    for (let at = 5; at < bytes.length; at += 3001) bytes[at]! ^= 0x20;
    // In place, as rot is: the same file.
    writeFileSync(file, bytes, { flag: 'r+' });
  }
  await expectReadable(keys);
  expect(await server.command('scrub', 'start', '--state', server.stateDirectory)).toMatchObject({ status: 0 });
  await eventually('the scrub ends', async () => {
    const { stdout } = await server.command('scrub', 'status', '--json', '--state', server.stateDirectory);
    return !(JSON.parse(stdout) as { isRunning: boolean }).isRunning;
  });
  const clean = await census('--wait', '--timeout', '60');
  expect(clean.output).toContain('CLEAN: everything');
  expect(clean.status).toBe(0);
  for (const disk of [0, 5]) rmSync(server.diskPaths[disk]!, { recursive: true });
  await expectReadable(keys);
});

test('kill -9 in the middle of healing, again and again: nothing is lost, and the next start heals to the end', async () => {
  const keys = await fill('killed');
  await server.stop();
  for (const disk of [2, 5]) for (const file of shardFiles(disk)) rmSync(file);
  const isHealing = (): boolean => [2, 5].some((disk) => shardFiles(disk).some((file) => file.endsWith('.heal')));
  for (const moreMs of [0, 150, 400]) {
    // So slowly that a file is under way for seconds.
    await server.start({ environment: { HOLDFAST_HEAL_RATE: '1 MiB/s' } });
    client = server.client();
    await eventually('a shard file is being made', async () => isHealing());
    await delay(moreMs);
    await server.kill();
  }
  await server.start();
  client = server.client();
  await expectReadable(keys);
  const clean = await census('--wait', '--timeout', '60', '--json');
  expect(clean.status).toBe(0);
  const { disks } = JSON.parse(clean.stdout) as { disks: { leftoverFileCount: number }[] };
  expect(disks.map(({ leftoverFileCount }) => leftoverFileCount)).toEqual([0, 0, 0, 0, 0, 0]);
  for (const disk of [0, 3]) rmSync(server.diskPaths[disk]!, { recursive: true });
  await expectReadable(keys);
});
