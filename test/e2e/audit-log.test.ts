import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
const folders: string[] = [];
const receivers: { close(): void }[] = [];
afterEach(async () => {
  await server?.destroy();
  for (const receiver of receivers.splice(0)) receiver.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

test('every request is a line that says who did what, who decided and how it ended, in the file and at the webhook', async () => {
  const posted: string[] = [];
  const receiver = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      posted.push(...Buffer.concat(pieces).toString().trimEnd().split('\n'));
      response.end();
    });
  });
  receivers.push(receiver);
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-audit-'));
  folders.push(folder);
  const file = join(folder, 'audit.log');
  server = await TestServer.create({
    diskCount: 4,
    code: '2+2',
    environment: {
      HOLDFAST_AUDIT_WEBHOOK: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
      HOLDFAST_AUDIT_FILE: file,
    },
  });
  const client = server.client();
  await client.send(new CreateBucketCommand({ Bucket: 'audited' }));
  await client.send(new PutObjectCommand({ Bucket: 'audited', Key: 'a/b', Body: 'twelve bytes' }));
  await client.send(new GetObjectCommand({ Bucket: 'audited', Key: 'a/b' }));
  const policy = {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'NobodyDeletes',
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:DeleteObject',
        Resource: 'arn:aws:s3:::audited/*',
      },
    ],
  };
  await client.send(new PutBucketPolicyCommand({ Bucket: 'audited', Policy: JSON.stringify(policy) }));
  await expect(client.send(new DeleteObjectCommand({ Bucket: 'audited', Key: 'a/b' }))).rejects.toThrow(
    'Access Denied',
  );
  expect((await fetch(`${server.endpoint}/audited/a/b`)).status).toBe(403);
  const read = (): Record<string, unknown>[] =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  await eventually('all lines are written', async () => read().length === 6);
  await eventually('all lines are posted', async () => posted.length === 6);
  const lines = read();
  expect(posted.map((line) => JSON.parse(line) as unknown)).toEqual(lines);
  expect(
    lines.map(({ operation, decision, reason, statement, status }) => [operation, decision, reason, statement, status]),
  ).toEqual([
    ['CreateBucket', 'allow', 'root', undefined, 200],
    ['PutObject', 'allow', 'root', undefined, 200],
    ['GetObject', 'allow', 'root', undefined, 200],
    ['PutBucketPolicy', 'allow', 'root', undefined, 204],
    ['DeleteObject', 'deny', 'explicit-deny', 'NobodyDeletes', 403],
    ['GetObject', 'deny', 'no-allow', undefined, 403],
  ]);
  const { accountId } = lines[1]!['principal'] as { accountId: string };
  expect(lines[1]).toMatchObject({
    action: 's3:PutObject',
    resource: 'arn:aws:s3:::audited/a/b',
    bucket: 'audited',
    key: 'a/b',
    principal: { type: 'root', arn: `arn:aws:iam::${accountId}:root`, accessKeyId: server.accessKeyId },
    remoteAddress: '127.0.0.1',
    isSecure: false,
  });
  expect(lines[5]!['principal']).toEqual({ type: 'anonymous' });
  const text = readFileSync(file, 'utf8');
  for (const secret of [server.secretAccessKey, 'Signature', 'twelve bytes']) expect(text).not.toContain(secret);
});
