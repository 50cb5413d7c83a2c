import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeletePublicAccessBlockCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callIam, type Key } from '../support/iam-client.ts';
import { TestServer } from '../support/server-process.ts';

let server: TestServer;
let root: S3Client;
const clients: S3Client[] = [];

beforeAll(async () => {
  server = await TestServer.create();
  root = server.client();
  clients.push(root);
  await root.send(new CreateBucketCommand({ Bucket: 'bucket' }));
  await root.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'k', Body: 'body' }));
}, 180_000);

afterAll(async () => {
  for (const client of clients) client.destroy();
  await server?.destroy();
});

/** What a command line prints as JSON. */
async function holdfast(...args: string[]): Promise<Record<string, Record<string, string>>> {
  const { status, stdout, output } = await server.command(...args, '--json', '--state', server.stateDirectory);
  expect(status, output).toBe(0);
  return JSON.parse(stdout) as Record<string, Record<string, string>>;
}

function keyIn(answer: Record<string, Record<string, string>>): Key {
  const { AccessKeyId, SecretAccessKey } = answer['AccessKey']!;
  return { accessKeyId: AccessKeyId!, secretAccessKey: SecretAccessKey! };
}

async function makeUser(name: string): Promise<Key> {
  await holdfast('user', 'create', name);
  return keyIn(await holdfast('key', 'create', name));
}

function clientOf(credentials: Key): S3Client {
  const client = server.client({ credentials });
  clients.push(client);
  return client;
}

/** `ok`, or the code of the error. */
async function outcome(sent: Promise<unknown>): Promise<string> {
  return await sent.then(
    () => 'ok',
    (error: unknown) => (error as Error).name,
  );
}

const get = (client: S3Client, Bucket = 'bucket', Key = 'k'): Promise<string> =>
  outcome(client.send(new GetObjectCommand({ Bucket, Key })));
const put = (client: S3Client, Bucket = 'bucket', Key = 'by-user'): Promise<string> =>
  outcome(client.send(new PutObjectCommand({ Bucket, Key, Body: 'body' })));
const allow = (Action: string | string[], Resource: string | string[] = '*'): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', Action, Resource } });

test('a user made by command line or API may do what its policies say, and from the next request on not what was taken', async () => {
  const key = await makeUser('ann');
  const ann = clientOf(key);
  expect(await get(ann)).toBe('AccessDenied');
  const PolicyArn = 'arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess';
  await callIam(server, 'AttachUserPolicy', { UserName: 'ann', PolicyArn });
  expect([await get(ann), await put(ann)]).toEqual(['ok', 'AccessDenied']);
  await callIam(server, 'PutUserPolicy', { UserName: 'ann', PolicyName: 'w', PolicyDocument: allow('s3:PutObject') });
  expect(await put(ann)).toBe('ok');
  await holdfast('policy', 'detach', 'user', 'ann', PolicyArn);
  expect([await get(ann), await put(ann)]).toEqual(['AccessDenied', 'ok']);
  await holdfast('key', 'disable', 'ann', key.accessKeyId);
  expect(await put(ann)).toBe('InvalidAccessKeyId');
  await holdfast('key', 'enable', 'ann', key.accessKeyId);
  expect(await put(ann)).toBe('ok');
  await holdfast('key', 'delete', 'ann', key.accessKeyId);
  expect(await put(ann)).toBe('InvalidAccessKeyId');
});

test('a missing key is 404 only to a user who may list it', async () => {
  const user = clientOf(await makeUser('reader'));
  const policy = (document: string): Promise<string> =>
    callIam(server, 'PutUserPolicy', { UserName: 'reader', PolicyName: 'p', PolicyDocument: document });
  await policy(allow('s3:GetObject'));
  expect(await get(user, 'bucket', 'missing')).toBe('AccessDenied');
  await policy(allow(['s3:GetObject', 's3:ListBucket']));
  expect(await get(user, 'bucket', 'missing')).toBe('NoSuchKey');
});

test('sec_copy_source_needs_read__CVE_2026_39360: a copy asks for reading its source', async () => {
  const user = clientOf(await makeUser('copier'));
  await root.send(new CreateBucketCommand({ Bucket: 'copies' }));
  const copy = (): Promise<string> =>
    outcome(user.send(new CopyObjectCommand({ Bucket: 'copies', Key: 'c', CopySource: 'bucket/k' })));
  const policy = (document: string): Promise<string> =>
    callIam(server, 'PutUserPolicy', { UserName: 'copier', PolicyName: 'p', PolicyDocument: document });
  await policy(allow('s3:PutObject', 'arn:aws:s3:::copies/*'));
  expect(await copy()).toBe('AccessDenied');
  expect(await outcome(root.send(new HeadObjectCommand({ Bucket: 'copies', Key: 'c' })))).toBe('NotFound');
  await policy(allow(['s3:PutObject', 's3:GetObject'], ['arn:aws:s3:::copies/*', 'arn:aws:s3:::bucket/*']));
  expect(await copy()).toBe('ok');
});

test('sec_service_account_cannot_widen_itself__CVE_2025_62506', async () => {
  await makeUser('parent');
  const PolicyArn = 'arn:aws:iam::aws:policy/AdministratorAccess';
  await callIam(server, 'AttachUserPolicy', { UserName: 'parent', PolicyArn });
  const file = join(server.folder, 'narrow.json');
  writeFileSync(file, allow(['s3:GetObject', 'iam:*', 'sts:*']));
  const key = keyIn(await holdfast('key', 'create', 'parent', file));
  const service = clientOf(key);
  expect([await get(service), await put(service)]).toEqual(['ok', 'AccessDenied']);
  for (const [action, parameters] of [
    ['CreateAccessKey', { UserName: 'parent' }],
    ['CreateUser', { UserName: 'x' }],
    ['PutUserPolicy', { UserName: 'parent', PolicyName: 'p', PolicyDocument: allow('s3:*') }],
    ['UpdateAccessKey', { UserName: 'parent', AccessKeyId: key.accessKeyId, Status: 'Active' }],
  ] as const) {
    expect(await callIam(server, action, parameters, key), action).toBe('AccessDenied');
  }
  expect(await callIam(server, 'GetUser', { UserName: 'parent' }, key)).toContain('<UserName>parent</UserName>');
});

test('callers of two accounts ask for one object: only those get it whom both sides let', async () => {
  const made = await holdfast('account', 'create', 'second');
  const accountId = made['Account']!['AccountId']!;
  const otherRoot = clientOf(keyIn(made));
  const nobody = clientOf(await makeUser('nobody'));
  const wrong = clientOf(await makeUser('wrong'));
  const right = clientOf(await makeUser('right'));
  await callIam(server, 'PutUserPolicy', { UserName: 'wrong', PolicyName: 'p', PolicyDocument: allow('s3:PutObject') });
  await callIam(server, 'PutUserPolicy', { UserName: 'right', PolicyName: 'p', PolicyDocument: allow('s3:GetObject') });
  const anonymous = async (): Promise<string> => {
    const answer = await fetch(`${server.endpoint}/bucket/k`);
    return /<Code>(.*?)<\/Code>/.exec(await answer.text())?.[1] ?? 'ok';
  };
  const all = async (): Promise<string[]> => [
    await anonymous(),
    await get(nobody),
    await get(wrong),
    await get(right),
    await get(root),
    await get(otherRoot),
  ];
  expect(await all()).toEqual(['AccessDenied', 'AccessDenied', 'AccessDenied', 'ok', 'ok', 'AccessDenied']);
  await root.send(new DeletePublicAccessBlockCommand({ Bucket: 'bucket' }));
  const Statement = {
    Effect: 'Allow',
    Principal: { AWS: accountId },
    Action: 's3:GetObject',
    Resource: 'arn:aws:s3:::bucket/*',
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await root.send(new PutBucketPolicyCommand({ Bucket: 'bucket', Policy }));
  expect(await all()).toEqual(['AccessDenied', 'AccessDenied', 'AccessDenied', 'ok', 'ok', 'ok']);
  await holdfast('user', 'create', 'theirs', '--account', accountId);
  const theirs = clientOf(keyIn(await holdfast('key', 'create', 'theirs', '--account', accountId)));
  expect(await get(theirs)).toBe('AccessDenied');
  const PolicyArn = 'arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess';
  await holdfast('policy', 'attach', 'user', 'theirs', PolicyArn, '--account', accountId);
  expect([await get(theirs), await put(theirs)]).toEqual(['ok', 'AccessDenied']);
});

test('an account lists its own buckets, and cannot make one under a name that another has', async () => {
  const other = clientOf(keyIn(await holdfast('account', 'create', 'third')));
  expect((await other.send(new ListBucketsCommand({}))).Buckets ?? []).toEqual([]);
  expect(await outcome(other.send(new CreateBucketCommand({ Bucket: 'bucket' })))).toBe('BucketAlreadyExists');
  expect(await outcome(other.send(new ListObjectsV2Command({ Bucket: 'bucket' })))).toBe('AccessDenied');
  await other.send(new CreateBucketCommand({ Bucket: 'thirds' }));
  expect((await other.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toEqual(['thirds']);
  expect(await put(root, 'thirds')).toBe('AccessDenied');
});

test('users, keys and policies are there after a restart', async () => {
  const key = await makeUser('lasting');
  await callIam(server, 'PutUserPolicy', {
    UserName: 'lasting',
    PolicyName: 'p',
    PolicyDocument: allow('s3:GetObject'),
  });
  await server.kill();
  await server.start();
  const lasting = clientOf(key);
  expect([await get(lasting), await put(lasting)]).toEqual(['ok', 'AccessDenied']);
});
