import {
  CreateBucketCommand,
  GetBucketTaggingCommand,
  ListBucketsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestServer } from '../support/server-process.ts';
import { signRequest } from '../support/signed-client.ts';

const BLOCK = '/v20180820/configuration/publicAccessBlock';
const TAGS = '/v20180820/tags/arn%3Aaws%3As3%3A%3A%3Atagged';
const NAMESPACE = 'xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"';

let server: TestServer;
let client: S3Client;
let accountId: string;

beforeAll(async () => {
  server = await TestServer.create({
    environment: { HOLDFAST_OBJECT_OWNERSHIP: 'ObjectWriter', HOLDFAST_BLOCK_PUBLIC_ACCESS: 'false' },
  });
  client = server.client();
  await client.send(new ListBucketsCommand({}));
  const { stdout } = await server.command('status', '--json', '--state', server.stateDirectory);
  accountId = /"accountId":\s*"(\d{12})"/.exec(stdout)![1]!;
}, 60_000);

afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

async function control(
  method: string,
  path: string,
  { body = '', headers = {}, host }: { body?: string; headers?: Record<string, string>; host?: string } = {},
): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(server.endpoint);
  const signed = signRequest({ host: host ?? hostname, port: Number(port) }, server, {
    method,
    path,
    body,
    headers: { 'x-amz-account-id': accountId, ...headers },
  });
  const answer = await fetch(`${server.endpoint}${path}`, {
    method,
    headers: signed.headers,
    ...(body === '' ? {} : { body }),
  });
  return { status: answer.status, text: await answer.text() };
}

async function anonymous(path: string): Promise<number> {
  const answer = await fetch(`${server.endpoint}/${path}`);
  await answer.arrayBuffer();
  return answer.status;
}

function block(name: string): string {
  return `<PublicAccessBlockConfiguration ${NAMESPACE}><${name}>true</${name}></PublicAccessBlockConfiguration>`;
}

test('what is blocked in an account is blocked in all its buckets', async () => {
  expect(await control('GET', BLOCK)).toMatchObject({ status: 404 });
  await client.send(new CreateBucketCommand({ Bucket: 'public', ACL: 'public-read' }));
  await client.send(new PutObjectCommand({ Bucket: 'public', Key: 'k', Body: 'x', ACL: 'public-read' }));
  expect(await anonymous('public/k')).toBe(200);
  expect(await control('PUT', BLOCK, { body: block('IgnorePublicAcls') })).toMatchObject({ status: 201 });
  expect([await anonymous('public/k'), await anonymous('public')]).toEqual([403, 403]);
  expect((await control('GET', BLOCK)).text).toContain('<IgnorePublicAcls>true</IgnorePublicAcls>');
  await server.kill();
  await server.start();
  client.destroy();
  client = server.client();
  expect(await anonymous('public/k')).toBe(403);
  await control('PUT', BLOCK, { body: block('BlockPublicPolicy') });
  expect(await anonymous('public/k')).toBe(200);
  const statement = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::public/*' };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  const put = (): Promise<unknown> => client.send(new PutBucketPolicyCommand({ Bucket: 'public', Policy }));
  await expect(put()).rejects.toMatchObject({ name: 'AccessDenied' });
  expect(await control('DELETE', BLOCK)).toMatchObject({ status: 204 });
  expect(await control('GET', BLOCK)).toMatchObject({ status: 404 });
  await put();
}, 60_000);

test('tags of a bucket by its ARN', async () => {
  await client.send(new CreateBucketCommand({ Bucket: 'tagged' }));
  const tags = (...pairs: [string, string][]): string =>
    `<TagResourceRequest ${NAMESPACE}><Tags>${pairs.map(([key, value]) => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`).join('')}</Tags></TagResourceRequest>`;
  expect(await control('POST', TAGS, { body: tags(['a', '1'], ['b', '2']) })).toMatchObject({ status: 204 });
  expect(await control('POST', TAGS, { body: tags(['b', '3'], ['c', '4']) })).toMatchObject({ status: 204 });
  const listed = await control('GET', TAGS);
  expect(listed.text).toContain('<Tags><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value>3</Value></Tag>');
  for (const key of ['a', 'c']) {
    expect(await control('DELETE', `${TAGS}?tagKeys=${key}`)).toMatchObject({ status: 204 });
  }
  const { TagSet } = await client.send(new GetBucketTaggingCommand({ Bucket: 'tagged' }));
  expect(TagSet).toEqual([{ Key: 'b', Value: '3' }]);
  expect(await control('DELETE', `${TAGS}?tagKeys=b`)).toMatchObject({ status: 204 });
  expect((await control('GET', TAGS)).text).toContain('<Tags></Tags>');
  expect(await control('POST', TAGS, { body: tags(['aws:x', '1']) })).toMatchObject({ status: 400 });
  expect(await control('GET', '/v20180820/tags/arn%3Aaws%3As3%3A%3A%3Amissing')).toMatchObject({ status: 404 });
  expect(await control('GET', '/v20180820/tags/what')).toMatchObject({ status: 400 });
});

test("the account must be named, be the caller's, and be signed for", async () => {
  expect(await control('GET', BLOCK, { headers: { 'x-amz-account-id': '' } })).toMatchObject({ status: 400 });
  const other = { 'x-amz-account-id': '999999999999' };
  expect(await control('GET', BLOCK, { headers: other })).toMatchObject({ status: 403 });
  expect(await control('PUT', BLOCK, { headers: other, body: block('BlockPublicAcls') })).toMatchObject({
    status: 403,
  });
  expect(await control('GET', TAGS, { headers: other })).toMatchObject({ status: 403 });
  const unsigned = await fetch(`${server.endpoint}${BLOCK}`, { headers: { 'x-amz-account-id': accountId } });
  expect(unsigned.status).toBe(403);
});

test('other paths are MethodNotAllowed, and no bucket can be called so', async () => {
  for (const path of ['/v20180820/jobs', '/v20180820/bucket/x', '/v20180820/']) {
    const { status, text } = await control('GET', path);
    expect([status, /<Code>(\w+)/.exec(text)?.[1]]).toEqual([405, 'MethodNotAllowed']);
  }
  expect(await control('POST', BLOCK)).toMatchObject({ status: 405 });
  const create = client.send(new CreateBucketCommand({ Bucket: 'v20180820' }));
  await expect(create).rejects.toMatchObject({ name: 'MethodNotAllowed' });
});
