import { X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import { exportJWK, generateKeyPair } from 'jose';
import OidcServer from 'oidc-provider';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchJson } from '../../src/access/web-identity/fetch-json.ts';
import { makeSelfSignedCertificate } from '../../src/cli/self-signed-certificate.ts';
import { inline } from '../support/identities-fixture.ts';
import { ACCOUNT, credentialsIn, signerOf, StsFixture, trusting } from '../support/sts-fixture.ts';

const sts = new StsFixture();
const HOUR_MS = 3_600_000;
let issuerServer: Server;
let issuer: string;
let thumbprint: string;
const ROOT = signerOf('AKROOT');

beforeAll(async () => {
  const nowMs = Date.now();
  const { certificatePem, keyPem } = makeSelfSignedCertificate({
    hosts: ['127.0.0.1', 'localhost'],
    notBefore: new Date(nowMs - HOUR_MS),
    notAfter: new Date(nowMs + HOUR_MS),
    serialNumber: Buffer.alloc(16, 5),
  });
  thumbprint = new X509Certificate(certificatePem).fingerprint.replaceAll(':', '');
  issuerServer = createServer({ cert: certificatePem, key: keyPem });
  await new Promise<void>((resolve) => issuerServer.listen(0, '127.0.0.1', resolve));
  issuer = `https://127.0.0.1:${(issuerServer.address() as { port: number }).port}`;
  issuerServer.on('request', (await makeProvider()).callback());
  await sts.start();
});
afterAll(async () => {
  await sts.stop();
  issuerServer.closeAllConnections();
  await new Promise((resolve) => issuerServer.close(resolve));
});

/** A real provider: its client `runner` gets JWTs for the audience `holdfast`. */
async function makeProvider(): Promise<OidcServer> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const resourceServer = {
    scope: '',
    audience: 'holdfast',
    accessTokenTTL: 300,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  } as const;
  return new OidcServer(issuer, {
    clients: [
      {
        client_id: 'runner',
        client_secret: 'runner-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'one', alg: 'RS256', use: 'sig' }] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:holdfast',
        getResourceServerInfo: () => resourceServer,
      },
    },
  });
}

async function tokenOfRunner(): Promise<string> {
  const { request } = await import('node:https');
  return new Promise((resolve, reject) => {
    const sent = request(`${issuer}/token`, {
      method: 'POST',
      auth: 'runner:runner-secret',
      rejectUnauthorized: false,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let body = '';
      response.on('data', (piece) => (body += String(piece)));
      response.on('end', () => resolve((JSON.parse(body) as { access_token: string }).access_token));
    });
    sent.end('grant_type=client_credentials');
  });
}

test('a real provider over TLS: registered with its thumbprint its tokens give credentials, without it they do not', async () => {
  const name = issuer.slice('https://'.length);
  const arn = `arn:aws:iam::${ACCOUNT}:oidc-provider/${name}`;
  const made = await sts.call(
    'iam',
    'CreateOpenIDConnectProvider',
    { Url: issuer, 'ClientIDList.member.1': 'holdfast' },
    ROOT,
  );
  expect(made.status).toBe(200);
  const Condition = { StringEquals: { [`${name}:sub`]: 'runner', [`${name}:aud`]: 'holdfast' } };
  const Statement = { Principal: { Federated: arn }, Action: 'sts:AssumeRoleWithWebIdentity', Condition };
  const created = { RoleName: 'runner', AssumeRolePolicyDocument: trusting(Statement) };
  expect((await sts.call('iam', 'CreateRole', created, ROOT)).status).toBe(200);
  const role = sts.access.identities.roles.find(ACCOUNT, 'runner')!;
  await sts.putRole(role.id, role.name, { ...role, inlinePolicies: [inline({ Action: 's3:*' })] });
  const request = async () => ({
    RoleArn: `arn:aws:iam::${ACCOUNT}:role/runner`,
    RoleSessionName: 'job-7',
    WebIdentityToken: await tokenOfRunner(),
  });
  expect((await sts.call('sts', 'AssumeRoleWithWebIdentity', await request())).code).toBe('IDPCommunicationError');
  const pinned = { OpenIDConnectProviderArn: arn, 'ThumbprintList.member.1': thumbprint };
  expect((await sts.call('iam', 'UpdateOpenIDConnectProviderThumbprint', pinned, ROOT)).status).toBe(200);
  const session = credentialsIn(await sts.call('sts', 'AssumeRoleWithWebIdentity', await request()));
  expect(await sts.may(session, 'any')).toBe(true);
  const { body } = await sts.call('sts', 'GetCallerIdentity', {}, session);
  expect(body).toContain(`assumed-role/runner/job-7`);
});

const OPTIONS = { allowsPrivate: true, nowMs: Date.now() };

test('sec_ssrf_oidc__CVE_2026_73080: loopback is refused unless the operator allows it, and link-local always', async () => {
  const url = `${issuer}/.well-known/openid-configuration`;
  const thumbprints = [thumbprint.toLowerCase()];
  await expect(fetchJson(url, { ...OPTIONS, thumbprints })).resolves.toMatchObject({ issuer });
  await expect(fetchJson(url, { ...OPTIONS, thumbprints, allowsPrivate: false })).rejects.toThrow(
    'not one that issuers',
  );
  for (const host of ['169.254.169.254', '[fe80::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433', '0x7f.1']) {
    const asked = fetchJson(`https://${host}/`, { ...OPTIONS, thumbprints, allowsPrivate: host.startsWith('1') });
    await expect(asked).rejects.toThrow('not one that issuers');
  }
  await expect(fetchJson(url.replace('https', 'http'), { ...OPTIONS, thumbprints })).rejects.toThrow('only https');
});

test('sec_dns_rebinding: the address that is connected to is the one that was looked at', async () => {
  const port = new URL(issuer).port;
  let lookups = 0;
  const answers = (...addresses: string[]) => ({
    ...OPTIONS,
    thumbprints: [thumbprint.toLowerCase()],
    resolver: ((_host, _options, callback) => {
      lookups += 1;
      const list = lookups > 1 ? ['127.0.0.1'] : addresses;
      callback(
        null,
        list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    }) as NonNullable<Parameters<typeof fetchJson>[1]['resolver']>,
  });
  const url = `https://localhost:${port}/.well-known/openid-configuration`;
  await expect(fetchJson(url, answers('127.0.0.1'))).resolves.toMatchObject({ issuer });
  expect(lookups).toBe(1);
  for (const addresses of [['169.254.169.254'], ['93.184.216.34', '169.254.169.254'], []]) {
    lookups = 0;
    await expect(fetchJson(url, answers(...addresses))).rejects.toThrow(/not one that issuers|no address/);
    expect(lookups).toBe(1);
  }
});

test('a certificate for another host is refused, pinned or not', async () => {
  const port = new URL(issuer).port;
  const resolver: NonNullable<Parameters<typeof fetchJson>[1]['resolver']> = (_host, _options, callback) =>
    callback(null, [{ address: '127.0.0.1', family: 4 }]);
  const options = { ...OPTIONS, thumbprints: [thumbprint.toLowerCase()], resolver };
  await expect(fetchJson(`https://login.example:${port}/`, options)).rejects.toThrow(/login\.example/);
});
