import aws4 from 'aws4';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StoreError } from '../../../src/errors/store-error.ts';
import { isQueryRequest } from '../../../src/iam/handle-query-request.ts';
import type { IamServices } from '../../../src/iam/iam-services.ts';
import { ALICE } from '../../support/metadata-fixtures.ts';
import { form, QueryTestServer } from '../../support/query-test-server.ts';
import { ACCESS_KEY } from '../../support/s3-test-server.ts';
import { StsFixture } from '../../support/sts-fixture.ts';

const server = new QueryTestServer();
let services: IamServices | undefined = new StsFixture().access;
let storeError: Error | undefined;

beforeAll(async () => {
  const find = (accessKeyId: string) => {
    if (storeError !== undefined) throw storeError;
    const principal = { type: 'root', accessKeyId, owner: ALICE } as const;
    return accessKeyId === ACCESS_KEY.accessKeyId ? { ...ACCESS_KEY, principal } : undefined;
  };
  await server.start({ find }, () => services);
});
afterAll(() => server.stop());

const IDENTITY = form('sts', 'GetCallerIdentity');
const codeOf = (body: string): string | undefined => /<Code>(.*)<\/Code>/.exec(body)?.[1];

test('GetCallerIdentity answers in the namespace of STS, with ResponseMetadata', async () => {
  const { status, headers, body } = await server.request({ body: IDENTITY, signer: ACCESS_KEY });
  const requestId = String(headers['x-amzn-requestid']);
  expect([status, headers['content-type']]).toEqual([200, 'text/xml']);
  expect(body).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
      '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' +
      `<UserId>${ALICE.accountId}</UserId><Account>${ALICE.accountId}</Account>` +
      `<Arn>arn:aws:iam::${ALICE.accountId}:root</Arn></GetCallerIdentityResult>` +
      `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
  );
});

test.each(['us-east-1', 'eu-nowhere-9', ''])('any region in the scope is accepted: %j', async (region) => {
  // aws4 puts its own default in place of an empty region, so the header is made of one that it signs.
  const { status } =
    region === ''
      ? await server.request({ ...signedForRegion(''), body: IDENTITY })
      : await server.request({ body: IDENTITY, signer: ACCESS_KEY, region });
  expect(status).toBe(200);
});

function signedForRegion(region: string) {
  const signer = new aws4.RequestSigner(
    {
      host: '127.0.0.1',
      port: server.port,
      method: 'POST',
      path: '/',
      body: IDENTITY,
      service: 'sts',
      region: 'placeholder',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' },
    },
    ACCESS_KEY,
  );
  (signer as unknown as { region: string }).region = region;
  return { headers: signer.sign().headers as Record<string, string> };
}

test('GET with the parameters in a presigned query is answered', async () => {
  const path = `/?${IDENTITY}&X-Amz-Expires=60`;
  const request = {
    host: `127.0.0.1:${server.port}`,
    method: 'GET',
    path,
    service: 'sts',
    region: 'x',
    signQuery: true,
  };
  const signed = aws4.sign(request, ACCESS_KEY);
  const { status, body } = await server.request({ method: 'GET', path: signed.path! });
  expect([status, body.includes('<GetCallerIdentityResult>')]).toEqual([200, true]);
});

const DENIED: readonly [
  claim: string,
  request: Parameters<QueryTestServer['request']>[0],
  status: number,
  code: string,
][] = [
  ['no signature', { body: IDENTITY }, 403, 'MissingAuthenticationToken'],
  ['no Action', { body: 'Version=2011-06-15', signer: ACCESS_KEY }, 400, 'MissingAction'],
  ['an unknown Action', { body: form('sts', 'GetEverything'), signer: ACCESS_KEY }, 400, 'InvalidAction'],
  ['the Action of another API', { body: form('iam', 'GetCallerIdentity'), signer: ACCESS_KEY }, 400, 'InvalidAction'],
  ['no Version', { body: 'Action=GetCallerIdentity', signer: ACCESS_KEY }, 400, 'InvalidAction'],
  ['a name of an object', { body: form('sts', '__proto__'), signer: ACCESS_KEY }, 400, 'InvalidAction'],
  ['a signature for s3', { body: IDENTITY, signer: ACCESS_KEY, service: 's3' }, 400, 'IncompleteSignature'],
  ['a signature for the other API', { body: IDENTITY, signer: ACCESS_KEY, service: 'iam' }, 400, 'IncompleteSignature'],
  [
    'a wrong secret',
    { body: IDENTITY, signer: { ...ACCESS_KEY, secretAccessKey: 'wrong' } },
    403,
    'SignatureDoesNotMatch',
  ],
  [
    'an unknown access key',
    { body: IDENTITY, signer: { ...ACCESS_KEY, accessKeyId: 'AKNOBODY' } },
    403,
    'InvalidClientTokenId',
  ],
  ['an unknown parameter', { body: `${IDENTITY}&Extra=1`, signer: ACCESS_KEY }, 400, 'ValidationError'],
  ['a parameter twice', { body: `${IDENTITY}&Action=x`, signer: ACCESS_KEY }, 400, 'MalformedQueryString'],
  [
    'a parameter in query and body',
    { path: '/?Action=GetCallerIdentity', body: IDENTITY, signer: ACCESS_KEY },
    400,
    'MalformedQueryString',
  ],
  ['a broken escape', { body: `${IDENTITY}&a=%zz`, signer: ACCESS_KEY }, 400, 'MalformedQueryString'],
  [
    'a body that is no form',
    { body: '{}', headers: { 'Content-Type': 'application/x-amz-json-1.1' }, signer: ACCESS_KEY },
    400,
    'InvalidInput',
  ],
  ['a large body, unsigned', { body: `${IDENTITY}&a=${'x'.repeat(200_000)}` }, 413, 'RequestEntityTooLarge'],
  ['two thousand parameters', { body: `${IDENTITY}${parametersOf(2100)}` }, 400, 'MalformedQueryString'],
];

function parametersOf(count: number): string {
  return Array.from({ length: count }, (_, index) => `&p${index}=`).join('');
}

test.each(DENIED)('%s is refused in the form of IAM', async (_claim, request, status, code) => {
  const answer = await server.request(request);
  expect([answer.status, codeOf(answer.body)]).toEqual([status, code]);
  expect(answer.body).toMatch(/^<\?xml[^>]*>\n<ErrorResponse xmlns="https:\/\/(iam|sts)\.amazonaws\.com\//);
  expect(answer.body).toContain('<Error><Type>Sender</Type>');
  expect(answer.body).toContain(`<RequestId>${String(answer.headers['x-amzn-requestid'])}</RequestId></ErrorResponse>`);
});

test('a body that was changed after it was signed is refused', async () => {
  const body = form('sts', 'GetCallerIdentity');
  const signed = aws4.sign(
    {
      host: '127.0.0.1',
      port: server.port,
      method: 'POST',
      path: '/',
      service: 'sts',
      body,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    },
    ACCESS_KEY,
  );
  const headers = { ...(signed.headers as Record<string, string>) };
  delete headers['Content-Length'];
  const answer = await server.request({ body: body.replace('2011', '%32011'), headers });
  expect([answer.status, codeOf(answer.body)]).toEqual([403, 'SignatureDoesNotMatch']);
});

test('before recovery is over the answer is 503 with Retry-After', async () => {
  const before = services;
  services = undefined;
  const { status, headers, body } = await server.request({ body: IDENTITY, signer: ACCESS_KEY });
  services = before;
  expect([status, headers['retry-after'], codeOf(body)]).toEqual([503, '2', 'ServiceUnavailable']);
  expect(body).toContain('<Type>Receiver</Type>');
});

test('a store that fails is 503, a bug is 500 InternalFailure, and neither tells why', async () => {
  for (const [error, status, code] of [
    [new StoreError('QuorumLost', 'disk /secret/path is gone'), 503, 'ServiceUnavailable'],
    [new TypeError('x is not a function'), 500, 'InternalFailure'],
  ] as const) {
    storeError = error;
    const answer = await server.request({ body: IDENTITY, signer: ACCESS_KEY });
    storeError = undefined;
    expect([answer.status, codeOf(answer.body)]).toEqual([status, code]);
    expect(answer.body).not.toMatch(/secret|not a function/);
  }
});

test('what is S3’s stays with S3: other methods, other paths, hosts of buckets, GET without Action', () => {
  const asked = (method: string, url: string, host = 'localhost'): boolean =>
    isQueryRequest({ method, url, headers: { host } } as never, ['s3.example.org']);
  expect([asked('POST', '/'), asked('POST', '/?x=1'), asked('GET', '/?Action=x')]).toEqual([true, true, true]);
  expect([asked('GET', '/'), asked('GET', '/?prefix=Action='), asked('PUT', '/?Action=x')]).toEqual([
    false,
    false,
    false,
  ]);
  expect([asked('POST', '/bucket'), asked('POST', '/', 'bucket.s3.example.org')]).toEqual([false, false]);
});
