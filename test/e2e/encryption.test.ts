import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetBucketEncryptionCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutBucketEncryptionCommand,
  PutObjectCommand,
  type CopyObjectCommandInput,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestServer } from '../support/server-process.ts';

/** The real server over TLS, as the SDK encrypts: without any key that allows what TLS forbids. */
const Bucket = 'bucket';
const PACKAGE_BYTES = 65_536;
const PART_BYTES = 5 * 1024 * 1024;
/** In encrypted bodies, many times: it must be nowhere on the disks. */
const MARKER = 'plain-text-that-must-not-be-found ';
/** Is copied to where nothing is encrypted, too: it must be found. */
const COPIED = 'this is also copied ';

let server: TestServer;
let client: S3Client;
let agent: Agent;

type Customer = Pick<PutObjectCommandInput, 'SSECustomerAlgorithm' | 'SSECustomerKey' | 'SSECustomerKeyMD5'>;

const KEYS = [Buffer.from('customer-key-number-one-32-bytes'), Buffer.from('customer-key-number-two-32-bytes')];

function customer(index: number): Customer {
  const key = KEYS[index]!;
  return {
    SSECustomerAlgorithm: 'AES256',
    SSECustomerKey: key.toString('base64'),
    SSECustomerKeyMD5: createHash('md5').update(key).digest('base64'),
  };
}

interface Mode {
  name: string;
  write: Partial<PutObjectCommandInput>;
  read: Customer;
  /** Of answers. */
  shown: Record<string, unknown>;
}

const MODES: readonly Mode[] = [
  { name: 'SSE-S3', write: { ServerSideEncryption: 'AES256' }, read: {}, shown: { ServerSideEncryption: 'AES256' } },
  {
    name: 'SSE-KMS',
    write: { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'alias/named' },
    read: {},
    shown: { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: expect.stringMatching(/^arn:aws:kms:.*:key\/named$/) },
  },
  {
    name: 'SSE-KMS with a bucket key',
    write: { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true },
    read: {},
    shown: { ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true },
  },
  {
    name: 'SSE-C',
    write: customer(0),
    read: customer(0),
    shown: { SSECustomerAlgorithm: 'AES256', SSECustomerKeyMD5: customer(0).SSECustomerKeyMD5 },
  },
];

beforeAll(async () => {
  server = await TestServer.create({ diskCount: 3, code: '2+1' });
  await server.stop();
  const made = await server.command('tls', 'self-signed', '--hosts', '127.0.0.1', '--state', server.stateDirectory);
  if (made.status !== 0) throw new Error(made.output);
  const certificate = join(server.stateDirectory, 'tls/certificate.pem');
  const HOLDFAST_TLS_CERTIFICATES = `${certificate}:${join(server.stateDirectory, 'tls/key.pem')}`;
  await server.start({ environment: { HOLDFAST_TLS_CERTIFICATES } });
  agent = new Agent({ ca: readFileSync(certificate) });
  client = server.client({ requestHandler: { httpsAgent: agent } });
  const key = await server.command('kms', 'key', 'create', 'named', '--state', server.stateDirectory);
  if (key.status !== 0) throw new Error(key.output);
  await client.send(new CreateBucketCommand({ Bucket }));
}, 60_000);
afterAll(async () => {
  client?.destroy();
  agent?.destroy();
  await server?.destroy();
});

function textOf(name: string, sizeBytes: number): Buffer {
  return Buffer.from(`${name} ${MARKER}`.repeat(Math.ceil(sizeBytes / MARKER.length))).subarray(0, sizeBytes);
}

async function bytesOf(input: { Key: string; Range?: string; PartNumber?: number } & Customer): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, ...input }));
  return Buffer.from(await Body!.transformToByteArray());
}

describe.each(MODES)('$name over TLS', ({ name, write, read, shown }) => {
  test('objects come back whole, in ranges and by their headers', { timeout: 60_000 }, async () => {
    for (const size of [0, 1, PACKAGE_BYTES, 3 * PACKAGE_BYTES + 1]) {
      const [Key, Body] = [`${name}/${size}`, textOf(name, size)];
      expect(await client.send(new PutObjectCommand({ Bucket, Key, Body, ...write }))).toMatchObject(shown);
      expect((await bytesOf({ Key, ...read })).equals(Body)).toBe(true);
      const head = await client.send(new HeadObjectCommand({ Bucket, Key, ...read }));
      expect(head).toMatchObject({ ContentLength: size, ...shown });
    }
    const Key = `${name}/${3 * PACKAGE_BYTES + 1}`;
    const whole = textOf(name, 3 * PACKAGE_BYTES + 1);
    const edges = [0, PACKAGE_BYTES - 1, PACKAGE_BYTES, PACKAGE_BYTES + 1, 3 * PACKAGE_BYTES];
    for (const start of edges) {
      for (const end of edges.filter((edge) => edge >= start)) {
        const got = await bytesOf({ Key, Range: `bytes=${start}-${end}`, ...read });
        expect(got.equals(whole.subarray(start, end + 1)), `${start}-${end}`).toBe(true);
      }
    }
  });

  test('uploads in parts come back whole, in parts and over their borders', { timeout: 60_000 }, async () => {
    const [Key, Body] = [`${name}/parts`, textOf(name, PART_BYTES + 200_000)];
    await new Upload({ client, partSize: PART_BYTES, params: { Bucket, Key, Body, ...write } }).done();
    expect((await bytesOf({ Key, ...read })).equals(Body)).toBe(true);
    expect((await bytesOf({ Key, PartNumber: 2, ...read })).equals(Body.subarray(PART_BYTES))).toBe(true);
    const Range = `bytes=${PART_BYTES - 70_000}-${PART_BYTES + 70_000}`;
    const got = await bytesOf({ Key, Range, ...read });
    expect(got.equals(Body.subarray(PART_BYTES - 70_000, PART_BYTES + 70_001))).toBe(true);
  });

  test('copies to every mode keep the bytes', { timeout: 60_000 }, async () => {
    const [source, Body] = [`${name}/source`, Buffer.from(COPIED.repeat(5000))];
    await client.send(new PutObjectCommand({ Bucket, Key: source, Body, ...write }));
    const others = { name: 'SSE-C, another key', write: customer(1), read: customer(1), shown: {} };
    for (const to of [{ name: 'plain', write: {}, read: {}, shown: {} }, ...MODES, others]) {
      const Key = `${name}/copy to ${to.name}`;
      const copy: CopyObjectCommandInput = { Bucket, Key, CopySource: encodeURI(`${Bucket}/${source}`) };
      const { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 } = read;
      const own =
        SSECustomerKey === undefined
          ? {}
          : {
              CopySourceSSECustomerAlgorithm: SSECustomerAlgorithm,
              CopySourceSSECustomerKey: SSECustomerKey,
              CopySourceSSECustomerKeyMD5: SSECustomerKeyMD5,
            };
      const written = to.write as Partial<CopyObjectCommandInput>;
      expect(await client.send(new CopyObjectCommand({ ...copy, ...own, ...written }))).toMatchObject(to.shown);
      expect((await bytesOf({ Key, ...to.read })).equals(Body), Key).toBe(true);
    }
  });

  test('presigned URLs write and read', { timeout: 60_000 }, async () => {
    const Key = `${name}/presigned`;
    const header = 'x-amz-server-side-encryption';
    const headers: Record<string, string> = {
      ...(write.ServerSideEncryption === undefined ? {} : { [header]: write.ServerSideEncryption }),
      ...(write.SSEKMSKeyId === undefined ? {} : { [`${header}-aws-kms-key-id`]: write.SSEKMSKeyId }),
      ...(write.BucketKeyEnabled === undefined ? {} : { [`${header}-bucket-key-enabled`]: 'true' }),
      ...customerHeaders(read),
    };
    const signing = { expiresIn: 60, unhoistableHeaders: new Set(Object.keys(headers)) };
    const put = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key, ...write }), signing);
    expect(await send('PUT', put, headers, 'presigned body')).toMatchObject({ status: 200 });
    const get = await getSignedUrl(client, new GetObjectCommand({ Bucket, Key, ...read }), signing);
    expect(await send('GET', get, customerHeaders(read))).toEqual({ status: 200, text: 'presigned body' });
    if (Object.keys(read).length > 0) expect(await send('GET', get, {})).toMatchObject({ status: 403 });
  });
});

function customerHeaders({ SSECustomerKey, SSECustomerKeyMD5 }: Customer): Record<string, string> {
  if (SSECustomerKey === undefined || SSECustomerKeyMD5 === undefined) return {};
  const header = 'x-amz-server-side-encryption-customer';
  return {
    [`${header}-algorithm`]: 'AES256',
    [`${header}-key`]: SSECustomerKey,
    [`${header}-key-md5`]: SSECustomerKeyMD5,
  };
}

async function send(method: string, url: string, headers: Record<string, string>, body?: string) {
  return await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    request(url, { method, headers, agent }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve({ status: answer.statusCode, text }));
    })
      .on('error', reject)
      .end(body);
  });
}

test('a wrong customer key and none are refused, and nothing of the object is told', async () => {
  const Key = 'refused';
  await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', ...customer(0) }));
  const status = (httpStatusCode: number) => ({ $metadata: { httpStatusCode } });
  await expect(client.send(new GetObjectCommand({ Bucket, Key, ...customer(1) }))).rejects.toMatchObject(status(403));
  await expect(client.send(new GetObjectCommand({ Bucket, Key }))).rejects.toMatchObject(status(400));
  await expect(client.send(new HeadObjectCommand({ Bucket, Key, ...customer(1) }))).rejects.toMatchObject(status(403));
});

test('the default of a bucket encrypts what says nothing', async () => {
  const byDefault = { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: 'alias/named' } as const;
  const Rules = [{ ApplyServerSideEncryptionByDefault: byDefault, BucketKeyEnabled: true }];
  await client.send(new CreateBucketCommand({ Bucket: 'by-default' }));
  await client.send(
    new PutBucketEncryptionCommand({ Bucket: 'by-default', ServerSideEncryptionConfiguration: { Rules } }),
  );
  const told = await client.send(new GetBucketEncryptionCommand({ Bucket: 'by-default' }));
  expect(told.ServerSideEncryptionConfiguration?.Rules).toMatchObject(Rules);
  const put = await client.send(new PutObjectCommand({ Bucket: 'by-default', Key: 'k', Body: MARKER }));
  expect(put).toMatchObject({ ServerSideEncryption: 'aws:kms', BucketKeyEnabled: true });
  expect(await server.statusReport()).toMatchObject({
    encryption: {
      keyService: 'local',
      byDefault: 'none',
      buckets: [{ name: 'by-default', algorithm: 'aws:kms', keyId: 'alias/named' }],
    },
  });
  const text = await server.command('status', '--state', server.stateDirectory);
  expect(text.stdout).toContain('by default in by-default: aws:kms with alias/named');
});

test('sec_plaintext_on_disks__GHSA_xrrf: no plain byte and no customer key lies in volumes, journals, index or log', async () => {
  client.destroy();
  await server.stop();
  const keys = KEYS.flatMap((key) => [key.toString(), key.toString('base64'), key.toString('hex')]);
  const found = textsFound([...server.diskPaths, server.stateDirectory], [COPIED, MARKER, ...keys]);
  expect([...found]).toEqual([COPIED]);
  for (const secret of [MARKER, ...keys]) expect(server.output).not.toContain(secret);
}, 60_000);

/** Which of the texts any file below these directories holds. */
function textsFound(directories: readonly string[], texts: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const directory of directories) {
    for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      const file = join(directory, name);
      if (!lstatSync(file).isFile()) continue;
      const content = readFileSync(file);
      for (const text of texts) if (content.includes(text)) found.add(text);
    }
  }
  return found;
}
