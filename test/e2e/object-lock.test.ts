import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectTaggingCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  PutObjectTaggingCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { TestServer } from '../support/server-process.ts';

const SHIFT = join(repositoryRoot, 'test/support/shift-clock.cjs');
const DAY_MS = 86_400_000;
const Bucket = 'locked';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

/** One version each: retained in both modes, held, and free but tagged. */
async function fill(client: S3Client, retainUntil: Date): Promise<Record<string, string>> {
  await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  const put = async (Key: string, more: object = {}): Promise<string> =>
    (await client.send(new PutObjectCommand({ Bucket, Key, Body: `body of ${Key}`, ...more }))).VersionId!;
  const versions = {
    compliance: await put('compliance', { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: retainUntil }),
    governance: await put('governance', { Tagging: 'b=2&a=1' }),
    held: await put('held'),
    tagged: await put('tagged'),
  };
  const Retention = { Mode: 'GOVERNANCE', RetainUntilDate: retainUntil } as const;
  await client.send(new PutObjectRetentionCommand({ Bucket, Key: 'governance', Retention }));
  await client.send(new PutObjectLegalHoldCommand({ Bucket, Key: 'held', LegalHold: { Status: 'ON' } }));
  const TagSet = [{ Key: 'kind', Value: 'free' }];
  await client.send(new PutObjectTaggingCommand({ Bucket, Key: 'tagged', Tagging: { TagSet } }));
  await client.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
  return versions;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'succeeded',
    (error: Error) => error.name,
  );
}

const remove = (client: S3Client, Key: string, VersionId: string, BypassGovernanceRetention = false) =>
  codeOf(client.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention })));

async function expectLocked(clientOf: () => S3Client, versions: Record<string, string>): Promise<void> {
  for (const [Key, VersionId] of Object.entries(versions)) {
    const { Body } = await clientOf().send(new GetObjectCommand({ Bucket, Key, VersionId }));
    expect(await Body?.transformToString()).toBe(`body of ${Key}`);
    if (Key !== 'tagged') expect(await remove(clientOf(), Key, VersionId), Key).toBe('AccessDenied');
  }
  expect(await remove(clientOf(), 'compliance', versions['compliance']!, true)).toBe('AccessDenied');
  expect(await remove(clientOf(), 'held', versions['held']!, true)).toBe('AccessDenied');
}

test('the SDK locks and tags versions, and locks survive kill -9, a lost index and two lost disks', async () => {
  const it = (server = await TestServer.create());
  let client = it.client();
  const retainUntil = new Date(Math.ceil(Date.now() / 1000) * 1000 + DAY_MS);
  const versions = await fill(client, retainUntil);
  await it.kill();
  for (const name of readdirSync(it.stateDirectory).filter((file) => file.startsWith('index'))) {
    rmSync(join(it.stateDirectory, name), { recursive: true });
  }
  for (const path of it.diskPaths.slice(0, 2)) rmSync(path, { recursive: true });
  await it.start();
  client.destroy();
  client = it.client();
  await expectLocked(() => client, versions);

  expect(await client.send(new GetObjectRetentionCommand({ Bucket, Key: 'compliance' }))).toMatchObject({
    Retention: { Mode: 'COMPLIANCE', RetainUntilDate: retainUntil },
  });
  expect(await client.send(new GetObjectLegalHoldCommand({ Bucket, Key: 'held' }))).toMatchObject({
    LegalHold: { Status: 'ON' },
  });
  expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'governance' }))).toMatchObject({
    ObjectLockMode: 'GOVERNANCE',
    ObjectLockRetainUntilDate: retainUntil,
    TagCount: 2,
  });
  expect((await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'governance' }))).TagSet).toEqual([
    { Key: 'a', Value: '1' },
    { Key: 'b', Value: '2' },
  ]);
  await client.send(new DeleteObjectTaggingCommand({ Bucket, Key: 'governance' }));
  expect((await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'governance' }))).TagSet).toEqual([]);

  const Rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } as const;
  const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule } as const;
  await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
  expect(await client.send(new GetObjectLockConfigurationCommand({ Bucket }))).toMatchObject({
    ObjectLockConfiguration,
  });
  expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled');
  const suspend = new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } });
  expect(await codeOf(client.send(suspend))).toBe('InvalidBucketState');
  expect(await remove(client, 'governance', versions['governance']!, true)).toBe('succeeded');
  client.destroy();
}, 180_000);

test('a clock that was set ahead releases no lock until it is accepted', async () => {
  const environment: Record<string, string> = { NODE_OPTIONS: `--require ${SHIFT}`, TEST_CLOCK_SHIFT_MS: '0' };
  const it = (server = await TestServer.create({ diskCount: 3, code: '2+1', environment }));
  const client = it.client();
  const versions = await fill(client, new Date(Date.now() + DAY_MS));
  await it.stop();
  environment['TEST_CLOCK_SHIFT_MS'] = String(30 * DAY_MS);
  await it.start();
  client.destroy();
  // The SDK takes its clock from the answers' Date, which the shift does not reach: a client for each request.
  const clients: S3Client[] = [];
  const shifted = (): S3Client => {
    clients.push(it.client({ systemClockOffset: 30 * DAY_MS }));
    return clients.at(-1)!;
  };
  await expectLocked(shifted, versions);
  expect((await it.command('clock', 'accept', '--state', it.stateDirectory)).stdout).toMatch(/^Accepted/);
  expect(await remove(shifted(), 'compliance', versions['compliance']!)).toBe('succeeded');
  expect(await remove(shifted(), 'governance', versions['governance']!)).toBe('succeeded');
  expect(await remove(shifted(), 'held', versions['held']!)).toBe('AccessDenied');
  for (const one of clients) one.destroy();
}, 180_000);
