import fastify, { type FastifyInstance } from 'fastify';
import { sign } from 'aws4';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Readiness } from '../../../src/admin/readiness.ts';
import { addRemoteStatusRoute, REMOTE_STATUS_PATH } from '../../../src/admin/remote-status.ts';
import { Callers } from '../../../src/access/callers.ts';
import { PolicyAuthorizer } from '../../../src/access/policy-authorizer.ts';
import { signedGet } from '../../../src/cli/signed-get.ts';
import { parseRawRequest } from '../../../src/s3/sigv4/raw-request.ts';
import { RequestAuthenticator } from '../../../src/s3/sigv4/request-authenticator.ts';
import { openTestIdentities } from '../../support/identities-fixture.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { statusExample } from './status-example.ts';

const KEY = { accessKeyId: 'ROOTKEY', secretAccessKey: 'root-secret-of-this-test' };
const OWNER = { accountId: '123456789012', canonicalId: 'a'.repeat(64), displayName: 'root' };
let app: FastifyInstance;
let endpoint: string;
let statusCount = 0;
let readiness: Readiness;

beforeEach(async () => {
  statusCount = 0;
  readiness = new Readiness(new ManualClock());
  readiness.ready();
  const authenticator = new RequestAuthenticator({
    credentials: {
      find: (accessKeyId) =>
        accessKeyId === KEY.accessKeyId
          ? { ...KEY, principal: { type: 'root', accessKeyId, owner: OWNER } }
          : undefined,
    },
    region: 'us-east-1',
    allowSignatureV2: true,
    allowUnsignedPayloadOverHttp: true,
  });
  app = fastify();
  addRemoteStatusRoute(app, {
    authenticate: ({ method = '', url = '', rawHeaders }) => {
      const raw = parseRawRequest({ method, rawTarget: url, rawHeaders, isSecure: false }, []);
      return authenticator.authenticate(raw, Date.now()).principal;
    },
    authorizer: new PolicyAuthorizer(
      () => {
        throw new Error('the status is of no bucket');
      },
      new Callers(await openTestIdentities(OWNER)),
    ),
    readiness,
    status: async () => {
      statusCount += 1;
      return statusExample();
    },
  });
  endpoint = await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => await app.close());

function get(key: typeof KEY, region = 'us-east-1'): Promise<unknown> {
  return signedGet({ endpoint, path: REMOTE_STATUS_PATH, key, region, nowMs: Date.now() });
}

test('the root key gets the report', async () => {
  expect(await get(KEY)).toMatchObject({ marginDiskCount: 1 });
});

test('a request signed by aws4 is accepted as well', async () => {
  const { headers } = sign(
    { service: 's3', region: 'us-east-1', host: new URL(endpoint).host, path: REMOTE_STATUS_PATH },
    KEY,
  );
  const { Host: _host, ...rest } = headers as Record<string, string>;
  expect((await fetch(endpoint + REMOTE_STATUS_PATH, { headers: rest })).status).toBe(200);
});

test('sec_admin_default_deny: anonymous, wrong secret, unknown key and wrong region get nothing', async () => {
  expect((await fetch(endpoint + REMOTE_STATUS_PATH)).status).toBe(403);
  await expect(get({ ...KEY, secretAccessKey: 'wrong-secret' })).rejects.toThrow('SignatureDoesNotMatch');
  await expect(get({ ...KEY, accessKeyId: 'NOBODY' })).rejects.toThrow('InvalidAccessKeyId');
  await expect(get(KEY, 'eu-west-1')).rejects.toThrow('400');
  expect(statusCount).toBe(0);
});

test('while the server recovers anybody learns how far it is, as from /-/ready, and nothing more', async () => {
  readiness.enter('replaying', 0.5);
  const answer = await fetch(endpoint + REMOTE_STATUS_PATH);
  expect(answer.status).toBe(503);
  expect(Object.keys((await answer.json()) as object)).toEqual(['message', 'readiness']);
  await expect(get(KEY)).rejects.toThrow('replaying 50 %');
  expect(statusCount).toBe(0);
});
