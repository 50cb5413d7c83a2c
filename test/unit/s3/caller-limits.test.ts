import aws4 from 'aws4';
import { afterEach, expect, test } from 'vitest';
import { TrustedProxies } from '../../../src/http/trusted-proxies.ts';
import { makeTestLimits } from '../../support/caller-gate-fixture.ts';
import { ACCESS_KEY, S3TestServer } from '../../support/s3-test-server.ts';

let server: S3TestServer | undefined;
afterEach(() => server?.stop());

async function serverWith(overrides: Parameters<S3TestServer['start']>[0]): Promise<S3TestServer> {
  server = await new S3TestServer().start(overrides);
  return server;
}

test('a key beyond its rate gets 503 SlowDown and Retry-After; what it asks for is not reached', async () => {
  const limited = await serverWith({ limits: makeTestLimits({ keyRequests: 1 }) });
  expect((await limited.request('GET', '/')).status).toBe(200);
  const before = limited.authorizations.length;
  const { status, headers, body } = await limited.request('GET', '/');
  expect([status, headers['retry-after']]).toEqual([503, '1']);
  expect(body).toContain('<Code>SlowDown</Code>');
  expect(limited.authorizations).toHaveLength(before);
});

test('an address beyond its rate is refused before its signature is looked at', async () => {
  const limited = await serverWith({ limits: makeTestLimits({ addressRequests: 1 }) });
  await limited.request('GET', '/', { isSigned: false });
  const { status, body } = await limited.request('GET', '/');
  expect(status).toBe(503);
  expect(body).toContain('<Code>SlowDown</Code>');
});

test('an address behind a trusted proxy has a rate of its own', async () => {
  const proxies = new TrustedProxies(['127.0.0.1']);
  const limits = makeTestLimits({ addressRequests: 1 });
  const limited = await serverWith({ limits, proxies });
  const from = (address: string) => limited.request('GET', '/', { headers: { 'x-forwarded-for': address } });
  expect((await from('203.0.113.1')).status).toBe(200);
  expect((await from('203.0.113.2')).status).toBe(200);
  expect((await from('203.0.113.1')).status).toBe(503);
});

test('failed signatures are counted by address, and the log names the client that a trusted proxy named', async () => {
  const limits = makeTestLimits();
  const limited = await serverWith({ limits, proxies: new TrustedProxies(['127.0.0.1']) });
  const { status } = await limited.request('GET', '/', {
    isSigned: false,
    headers: forgedHeaders(limited, '203.0.113.9'),
  });
  expect(status).toBe(403);
  expect(limits.failures.failureCount).toBe(1);
  expect(limited.lines.at(-1)?.fields).toMatchObject({ remoteAddress: '203.0.113.9', code: 'SignatureDoesNotMatch' });
});

test('sec_lock_out: an unlisted proxy is warned about once, and its failures are not held against its address', async () => {
  const limits = makeTestLimits();
  const limited = await serverWith({ limits });
  const headers = forgedHeaders(limited, '203.0.113.9');
  for (let index = 0; index < 3; index++) await limited.request('GET', '/', { isSigned: false, headers });
  expect(limits.failures.failureCount).toBe(0);
  const warnings = limited.lines.filter(({ message }) => message.includes('s3.trusted_proxies'));
  expect(warnings).toHaveLength(1);
});

test('callers leave when their request is over, also when it failed', async () => {
  const limits = makeTestLimits({ fairFrom: 1 });
  const limited = await serverWith({ limits });
  for (let index = 0; index < 5; index++) {
    await limited.request('GET', '/');
    await limited.request('GET', '/no-such-bucket?location');
    await limited.request('GET', '/', { isSigned: false });
  }
  expect(limits.enter('somebody else')).toBeUndefined();
  expect(limits.waitingCount).toBe(0);
});

/** Of a request in the name of a key, signed by somebody who does not know its secret. */
function forgedHeaders({ port }: S3TestServer, forwardedFor: string): Record<string, string> {
  const request: object = { host: `127.0.0.1:${port}`, method: 'GET', path: '/', service: 's3', region: 'us-east-1' };
  const { headers } = aws4.sign(request, { ...ACCESS_KEY, secretAccessKey: 'guessed-secret-access-key' });
  return { ...(headers as Record<string, string>), 'x-forwarded-for': forwardedFor };
}
