import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import aws4 from 'aws4';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { form } from '../support/query-test-server.ts';
import { TestServer } from '../support/server-process.ts';

interface Keys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

const clients: S3Client[] = [];
let server: TestServer;
let root: Keys;
let user: Keys;
let accountId: string;

beforeAll(async () => {
  server = await TestServer.create();
  root = { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey };
  accountId = element(await call('sts', 'GetCallerIdentity', {}, root), 'Account');
  await call('iam', 'CreateUser', { UserName: 'worker' }, root);
  user = keysIn(await call('iam', 'CreateAccessKey', { UserName: 'worker' }, root));
  await clientOf(root).send(new CreateBucketCommand({ Bucket: 'data' }));
}, 180_000);

afterAll(async () => {
  for (const client of clients) client.destroy();
  await server?.destroy();
});

/** A request to IAM or STS; the body of the answer, or its error code. */
async function call(
  service: 'iam' | 'sts',
  action: string,
  parameters: Record<string, string>,
  keys: Keys,
): Promise<string> {
  const { host } = new URL(server.endpoint);
  const body = form(service, action, parameters);
  const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const request = { host, method: 'POST', path: '/', service, region: 'us-east-1', body, headers: type };
  const signed = aws4.sign(request, keys);
  const { Host: _host, 'Content-Length': _length, ...headers } = signed.headers as Record<string, string>;
  const answer = await fetch(`${server.endpoint}/`, { method: 'POST', body, headers });
  const text = await answer.text();
  return answer.ok ? text : element(text, 'Code');
}

function element(text: string, name: string): string {
  return new RegExp(`<${name}>(.*?)</${name}>`).exec(text)?.[1] ?? text;
}

function keysIn(text: string): Required<Keys> {
  return {
    accessKeyId: element(text, 'AccessKeyId'),
    secretAccessKey: element(text, 'SecretAccessKey'),
    sessionToken: text.includes('<SessionToken>') ? element(text, 'SessionToken') : '',
  };
}

function clientOf({ accessKeyId, secretAccessKey, sessionToken }: Keys): S3Client {
  const credentials = { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
  const client = server.client({ credentials, maxAttempts: 1 });
  clients.push(client);
  return client;
}

/** `ok`, or the code of the error. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    return (error as Error).name;
  }
}

const put = (client: S3Client, Key: string): Promise<string> =>
  outcome(client.send(new PutObjectCommand({ Bucket: 'data', Key, Body: 'bytes' })));

async function makeRole(RoleName: string, ...allow: string[]): Promise<string> {
  const AssumeRolePolicyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${accountId}:user/worker` },
      Action: 'sts:AssumeRole',
    },
  });
  await call('iam', 'CreateRole', { RoleName, AssumeRolePolicyDocument }, root);
  const PolicyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Action: allow, Resource: ['arn:aws:s3:::data', 'arn:aws:s3:::data/*'] },
  });
  await call('iam', 'PutRolePolicy', { RoleName, PolicyName: 'own', PolicyDocument }, root);
  return `arn:aws:iam::${accountId}:role/${RoleName}`;
}

async function assume(RoleArn: string, parameters: Record<string, string> = {}): Promise<Keys> {
  return keysIn(await call('sts', 'AssumeRole', { RoleArn, RoleSessionName: 'job', ...parameters }, user));
}

test('a role’s session reads and writes objects as its policy says, until the role may no longer', async () => {
  const session = await assume(await makeRole('writer', 's3:PutObject', 's3:GetObject'));
  const client = clientOf(session);
  expect(await put(clientOf(user), 'a')).toBe('AccessDenied');
  expect(await put(client, 'a')).toBe('ok');
  expect(await outcome(client.send(new ListObjectsV2Command({ Bucket: 'data' })))).toBe('AccessDenied');
  const url = await getSignedUrl(client, new GetObjectCommand({ Bucket: 'data', Key: 'a' }), { expiresIn: 600 });
  expect(await (await fetch(url)).text()).toBe('bytes');
  await call('iam', 'DeleteRolePolicy', { RoleName: 'writer', PolicyName: 'own' }, root);
  expect(await put(client, 'b')).toBe('AccessDenied');
  expect((await fetch(url)).status).toBe(403);
});

test('a session policy narrows, and a Deny of the bucket policy that names the role holds', async () => {
  const role = await makeRole('narrowed', 's3:PutObject');
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Action: 's3:PutObject', Resource: 'arn:aws:s3:::data/logs/*' },
  });
  const client = clientOf(await assume(role, { Policy }));
  expect([await put(client, 'logs/1'), await put(client, 'other')]).toEqual(['ok', 'AccessDenied']);
  const denying = JSON.stringify({
    Version: '2012-10-17',
    Statement: {
      Effect: 'Deny',
      Principal: { AWS: role },
      Action: 's3:PutObject',
      Resource: 'arn:aws:s3:::data/logs/*',
    },
  });
  await clientOf(root).send(new PutBucketPolicyCommand({ Bucket: 'data', Policy: denying }));
  expect(await put(client, 'logs/2')).toBe('AccessDenied');
});

test('sessions outlive a restart of the server, and end with their role', async () => {
  const session = await assume(await makeRole('lasting', 's3:PutObject'));
  await server.stop();
  await server.start();
  expect(await put(clientOf(session), 'after')).toBe('ok');
  await call('iam', 'DeleteRolePolicy', { RoleName: 'lasting', PolicyName: 'own' }, root);
  expect(await call('iam', 'DeleteRole', { RoleName: 'lasting' }, root)).toContain('DeleteRoleResponse');
  expect(await put(clientOf(session), 'again')).toBe('InvalidToken');
  expect(await call('sts', 'GetCallerIdentity', {}, session)).toBe('InvalidClientTokenId');
}, 120_000);
