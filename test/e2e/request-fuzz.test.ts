import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATION_INPUTS } from '../../src/s3/model/operation-inputs.ts';
import { OPERATION_TABLE } from '../../src/s3/operation-table.ts';
import { FORM_BOUNDARY, formBody, signForm } from '../support/post-form.ts';
import { TestServer } from '../support/server-process.ts';
import { RawConnection, signRequest } from '../support/signed-client.ts';

/** `npm run fuzz:requests` sends 100,000 from a random seed, which it prints; FUZZ_SEED repeats a run. */
const COUNT = Number(process.env['FUZZ_REQUESTS'] ?? 600);
const IS_CAMPAIGN = process.env['FUZZ_REQUESTS'] !== undefined;
const SEED = Number(process.env['FUZZ_SEED'] ?? (IS_CAMPAIGN ? Math.floor(Math.random() * 2 ** 31) : 1));
const AT_ONCE = 8;

let server: TestServer;
let client: S3Client;

beforeAll(async () => {
  server = await TestServer.create({
    diskCount: 1,
    code: '1+0',
    environment: { HOLDFAST_OBJECT_OWNERSHIP: 'ObjectWriter', HOLDFAST_BLOCK_PUBLIC_ACCESS: 'false' },
  });
  client = server.client();
  await client.send(new CreateBucketCommand({ Bucket: 'fuzz', ACL: 'public-read-write' }));
  await client.send(new PutObjectCommand({ Bucket: 'fuzz', Key: 'k', Body: 'x' }));
}, 60_000);

afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

/** mulberry32: the same numbers for the same seed. */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const METHODS = [...new Set(OPERATION_TABLE.map(({ method }) => method)), 'PATCH', 'TRACE'];
const PATHS = [
  '/',
  '/fuzz',
  '/fuzz/',
  '/fuzz/k',
  '/fuzz/k%2f..%2fx',
  '/fuzz/%00',
  '/fuzz/%',
  '/missing/k',
  '//',
  '/v20180820/tags/x',
  '/v20180820/configuration/publicAccessBlock',
];
const QUERIES = [
  ...new Set(Object.values(OPERATION_INPUTS).flatMap(({ query }) => [...query])),
  ...new Set(OPERATION_TABLE.flatMap(({ selectors }) => [...selectors])),
];
const HEADERS = [
  ...new Set(Object.values(OPERATION_INPUTS).flatMap(({ headers }) => [...headers])),
  'range',
  'origin',
  'expect',
  'content-md5',
  'x-amz-tagging',
  'authorization',
  'x-amz-account-id',
].map((name) => (name.endsWith('-') ? `${name}a` : name));
const VALUES = [
  '',
  '0',
  '-1',
  '1e9',
  '99999999999999999999',
  'true',
  'null',
  'private',
  'public-read',
  'id="x"',
  'uri="x',
  '/fuzz/k',
  'fuzz/k?versionId=null',
  '%',
  '=',
  'a=b&a=c',
  'COPY',
  'REPLACE',
  'aws:kms',
  'AES256',
  'AAAA',
  '*',
  '"x"',
  'bytes=-',
  'bytes=0-0,5-6',
  'Thu, 01 Jan 1970 00:00:00 GMT',
  '2020-01-01T00:00:00Z',
  'GOVERNANCE',
  'http://x',
  '\u00e9\u00ff',
  'x'.repeat(3000),
  '__proto__',
  'constructor',
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
];
const BODIES = [
  '',
  'x',
  '<',
  '<a/>',
  '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
  '<Delete><Object><Key>k</Key></Object></Delete>',
  '<Delete><Object><Key>\u0000</Key></Object></Delete>',
  '<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList><Grant><Grantee><ID/></Grantee></Grant></AccessControlList></AccessControlPolicy>',
  '<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>',
  '<CompleteMultipartUpload><Part><PartNumber>-1</PartNumber></Part></CompleteMultipartUpload>',
  '<LifecycleConfiguration><Rule><Expiration><Days>1e9</Days></Expiration></Rule></LifecycleConfiguration>',
  '<VersioningConfiguration><Status>x</Status></VersioningConfiguration>',
  `<a>${'<b>'.repeat(100)}`,
  '{',
  '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::fuzz/*","Condition":{"__proto__":{"a":"b"}}}]}',
  '5;chunk-signature=0\r\nhello\r\n0\r\n\r\n',
];

class Fuzzer {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = makeRandom(seed);
  }

  pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!;
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: Math.floor(this.#random() * (most + 1)) }, make);
  }

  request(endpoint: { host: string; port: number }): Buffer {
    const bytes = this.chance(0.2) ? this.#form(endpoint) : this.#plain(endpoint);
    return this.chance(0.3) ? this.#mutated(bytes) : bytes;
  }

  #plain(endpoint: { host: string; port: number }): Buffer {
    const query = this.some(3, () => {
      const name = this.pick(QUERIES);
      return this.chance(0.5) ? name : `${name.split('=')[0]}=${encodeURIComponent(this.pick(VALUES))}`;
    });
    const path = this.pick(PATHS) + (query.length === 0 ? '' : `?${query.join('&')}`);
    const method = this.pick(METHODS);
    const body = this.chance(0.5) ? this.pick(BODIES) : '';
    const headers = Object.fromEntries(this.some(4, () => [this.pick(HEADERS), this.pick(VALUES)]));
    // The signer of the test refuses a lone percent sign.
    if (!this.chance(0.7) || 'authorization' in headers || path.startsWith('/fuzz/%'))
      return message(method, path, { host: endpoint.host, ...headers }, body);
    const signed = signRequest(endpoint, server, { method, path, headers, body });
    return message(method, signed.path, signed.headers, body);
  }

  #form(endpoint: { host: string; port: number }): Buffer {
    const fields = this.some(3, (): [string, string] => [
      this.pick([
        'key',
        'acl',
        'tagging',
        'x-amz-meta-a',
        'success_action_redirect',
        'success_action_status',
        ...HEADERS,
      ]),
      this.pick([...VALUES, ...BODIES]),
    ]);
    const names = ['bucket', 'key', ...fields.map(([name]) => name)];
    const conditions = names.map((name) => ['starts-with', `$${name}`, '']);
    const signature = this.chance(0.7) ? signForm({ credential: server, conditions }) : [];
    const body = formBody([['key', 'form'], ...fields, ...signature, ['file', this.pick(BODIES), this.pick(VALUES)]]);
    return message(
      'POST',
      '/fuzz',
      { host: endpoint.host, 'content-type': `multipart/form-data; boundary=${FORM_BOUNDARY}` },
      body,
    );
  }

  #mutated(bytes: Buffer): Buffer {
    const at = Math.floor(this.#random() * bytes.length);
    switch (this.pick(['cut', 'flip', 'drop', 'insert'] as const)) {
      case 'cut':
        return bytes.subarray(0, at);
      case 'flip': {
        const changed = Buffer.from(bytes);
        changed[at] = Math.floor(this.#random() * 256);
        return changed;
      }
      case 'drop':
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + Math.floor(this.#random() * 8))]);
      case 'insert':
        return Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(this.pick([...VALUES, '\r\n', '\0'])),
          bytes.subarray(at),
        ]);
    }
  }
}

function message(method: string, path: string, headers: Record<string, string>, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body);
  const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const all = {
    ...headers,
    connection: 'close',
    ...(names.has('content-length') ? {} : { 'content-length': String(bytes.length) }),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), bytes]);
}

test(`sec_fuzz_requests: whatever is asked, no answer is a 500 and the server goes on (seed ${SEED})`, async () => {
  const { hostname, port } = new URL(server.endpoint);
  const endpoint = { host: hostname, port: Number(port) };
  const fuzzer = new Fuzzer(SEED);
  const statuses = new Map<string, number>();
  for (let sent = 0; sent < COUNT; sent += AT_ONCE) {
    const requests = Array.from({ length: AT_ONCE }, () => fuzzer.request(endpoint));
    await Promise.all(
      requests.map(async (bytes) => {
        const connection = await RawConnection.open(endpoint);
        connection.write(bytes);
        connection.socket.end();
        const answer = await connection.closed(60_000);
        connection.close();
        const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'closed';
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status === '500') expect.fail(`500 for ${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}`);
      }),
    );
  }
  expect((await fetch(`${server.endpoint}/-/live`)).status).toBe(200);
  expect(server.output).not.toContain('a request met a bug');
  // What reaches handlers and what is refused must both be there, or nothing was tried.
  expect(statuses.get('200') ?? 0).toBeGreaterThan(0);
  expect(statuses.get('400') ?? 0).toBeGreaterThan(0);
}, 3_600_000);
