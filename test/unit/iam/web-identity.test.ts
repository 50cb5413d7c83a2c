import { type CryptoKey, exportSPKI, importJWK } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { inline } from '../../support/identities-fixture.ts';
import {
  ACCOUNT,
  type Answer,
  credentialsIn,
  OTHER_ACCOUNT,
  signerOf,
  StsFixture,
  trusting,
} from '../../support/sts-fixture.ts';
import { CLIENT_ID, forgedToken, TestIssuer } from '../../support/test-issuer.ts';

const HOST = 'login.example.org/realms/main';
const issuer = new TestIssuer(`https://${HOST}`);
const evil = new TestIssuer('https://evil.example.net');
const fetchJson = (url: string): Promise<unknown> => (url.startsWith(evil.url) ? evil : issuer).fetchJson(url);
const sts = new StsFixture({ fetchJson });
const PROVIDER = `arn:aws:iam::${ACCOUNT}:oidc-provider/${HOST}`;
const FEDERATED = { Principal: { Federated: PROVIDER }, Action: 'sts:AssumeRoleWithWebIdentity' };
const ROOT = signerOf('AKROOT');
let role: string;

beforeAll(async () => {
  await sts.start();
  await issuer.addKey('first');
  await evil.addKey('evil');
  role = await sts.putRole('AROAWEB', 'web', {
    trustPolicy: trusting(FEDERATED),
    inlinePolicies: [inline({ Action: 's3:*' })],
  });
});
afterAll(() => sts.stop());
beforeEach(async () => {
  // A record of its own: keys are fetched anew.
  issuer.isDown = false;
  const provider = { id: 'OIDC1', accountId: ACCOUNT, name: HOST, createdAtMs: 0, thumbprints: [], tags: [] };
  await sts.access.identities.change(({ oidcProviders }) => oidcProviders.put({ ...provider, clientIds: [CLIENT_ID] }));
});

function assume(token: string, parameters: Record<string, string> = {}): Promise<Answer> {
  const all = { RoleArn: role, RoleSessionName: 'web', WebIdentityToken: token, ...parameters };
  return sts.call('sts', 'AssumeRoleWithWebIdentity', all);
}

test('a token of a registered issuer gives the role’s credentials, without any signature', async () => {
  const answer = await assume(await issuer.token());
  expect(answer.body).toContain('<SubjectFromWebIdentityToken>user-1</SubjectFromWebIdentityToken>');
  expect(answer.body).toContain(`<Audience>${CLIENT_ID}</Audience>`);
  expect(answer.body).toContain(`<Provider>${PROVIDER}</Provider>`);
  expect(await sts.may(credentialsIn(answer), 'any')).toBe(true);
});

describe('tokens that are refused', () => {
  const CLAIMS: [claim: string, claims: Record<string, unknown>, code: string][] = [
    ['sec_jwt_without_exp__CVE_2026_33322: without exp', { exp: undefined }, 'InvalidIdentityToken'],
    ['without sub', { sub: undefined }, 'InvalidIdentityToken'],
    ['without aud', { aud: undefined }, 'InvalidIdentityToken'],
    ['without iat', { iat: undefined }, 'InvalidIdentityToken'],
    ['an empty sub', { sub: '' }, 'InvalidIdentityToken'],
    ['sec_jwt_wrong_audience: for another client', { aud: 'another' }, 'InvalidIdentityToken'],
    ['for another authorized party', { aud: CLIENT_ID, azp: 'another' }, 'InvalidIdentityToken'],
    ['of another issuer', { iss: 'https://login.example.org/realms/other' }, 'InvalidIdentityToken'],
    [
      'of an issuer that is spelled otherwise',
      { iss: `https://LOGIN.example.org/realms/main` },
      'InvalidIdentityToken',
    ],
    ['not yet valid', { nbf: Math.floor(Date.now() / 1000) + 3600 }, 'InvalidIdentityToken'],
    ['expired', { exp: Math.floor(Date.now() / 1000) - 1 }, 'ExpiredTokenException'],
    ['an exp that is no number', { exp: '9999999999' }, 'InvalidIdentityToken'],
  ];
  test.each(CLAIMS)('%s', async (_claim, claims, code) => {
    const answer = await assume(await issuer.token(claims));
    expect([answer.status, answer.code]).toEqual([400, code]);
  });

  test('sec_jwt_alg_none: alg none, in whatever case, and no signature', async () => {
    for (const alg of ['none', 'None', 'NONE', '']) {
      expect((await assume(forgedToken({ alg, kid: 'first' }, issuer.claims({})))).code).toBe('InvalidIdentityToken');
    }
  });

  test('sec_jwt_alg_confusion: HMAC with the issuer’s public key as the secret', async () => {
    const { publicJwk } = issuer.keys[0]!;
    const pem = await exportSPKI((await importJWK(publicJwk, 'ES256')) as CryptoKey);
    for (const secret of [pem, JSON.stringify(publicJwk), Buffer.from(publicJwk.x!, 'base64url')]) {
      const token = forgedToken({ alg: 'HS256', kid: 'first' }, issuer.claims({}), secret);
      expect((await assume(token)).code).toBe('InvalidIdentityToken');
    }
  });

  test('sec_jwt_own_key: a key that the token brings along or points to is not used', async () => {
    const own = evil.keys[0]!;
    for (const extra of [{ jwk: own.publicJwk }, { jku: `${evil.url}/keys` }, { x5u: `${evil.url}/keys` }]) {
      const { SignJWT } = await import('jose');
      const header = { alg: own.alg, kid: 'first', ...extra } as const;
      const token = await new SignJWT(issuer.claims({})).setProtectedHeader(header).sign(own.privateKey);
      expect((await assume(token)).code).toBe('InvalidIdentityToken');
    }
    expect(evil.asked).toEqual([]);
  });

  test('sec_jwt_self_signed_by_tenant: an issuer that another account has registered vouches for nobody here', async () => {
    const provider = {
      id: 'OIDC2',
      accountId: OTHER_ACCOUNT,
      name: 'evil.example.net',
      createdAtMs: 0,
      thumbprints: [],
    };
    await sts.access.identities.change(({ oidcProviders }) =>
      oidcProviders.put({ ...provider, clientIds: [CLIENT_ID], tags: [] }),
    );
    const answer = await assume(await evil.token());
    expect([answer.code, evil.asked]).toEqual(['InvalidIdentityToken', []]);
  });

  test('one letter changed, and what is no token', async () => {
    const token = await issuer.token();
    const [head, body, signature] = token.split('.') as [string, string, string];
    const changed = `${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    for (const text of [changed, `${head}.${body}`, 'xxxx', '....', `${token}.x`, '{"iss":"x"}']) {
      expect((await assume(text)).code).toBe('InvalidIdentityToken');
    }
  });
});

describe('the trust policy', () => {
  const codeWith = async (claims: Record<string, unknown>, ...statements: Record<string, unknown>[]) => {
    const name = `trust-${Math.random().toString(36).slice(2)}`;
    const RoleArn = await sts.putRole(`AROA${name}`, name, { trustPolicy: trusting(...statements) });
    return (await assume(await issuer.token(claims), { RoleArn })).code;
  };

  test('must name the provider: everybody, the account or another provider are not it', async () => {
    const Action = 'sts:AssumeRoleWithWebIdentity';
    const other = `arn:aws:iam::${ACCOUNT}:oidc-provider/other.example`;
    expect(await codeWith({}, { Principal: '*', Action })).toBe('AccessDenied');
    expect(await codeWith({}, { Principal: { AWS: '*' }, Action })).toBe('AccessDenied');
    expect(await codeWith({}, { Principal: { AWS: ACCOUNT }, Action })).toBe('AccessDenied');
    expect(await codeWith({}, { Principal: { Federated: other }, Action })).toBe('AccessDenied');
    expect(await codeWith({}, { ...FEDERATED, Action: 'sts:AssumeRole' })).toBe('AccessDenied');
    expect(await codeWith({}, FEDERATED, { ...FEDERATED, Effect: 'Deny' })).toBe('AccessDenied');
    expect(await codeWith({}, FEDERATED)).toBe('');
  });

  test('can ask for subject and audience', async () => {
    const Condition = { StringEquals: { [`${HOST}:sub`]: 'user-1', [`${HOST}:aud`]: CLIENT_ID } };
    expect(await codeWith({}, { ...FEDERATED, Condition })).toBe('');
    expect(await codeWith({ sub: 'user-2' }, { ...FEDERATED, Condition })).toBe('AccessDenied');
  });

  test('must allow sts:TagSession for tags of the token, which then are the session’s', async () => {
    const tags = {
      'https://aws.amazon.com/tags': { principal_tags: { team: ['blue'] }, transitive_tag_keys: ['team'] },
    };
    expect(await codeWith(tags, FEDERATED)).toBe('AccessDenied');
    const Action = ['sts:AssumeRoleWithWebIdentity', 'sts:TagSession'];
    const RoleArn = await sts.putRole('AROAWEBTAG', 'web-tagged', {
      trustPolicy: trusting({ ...FEDERATED, Action }),
      inlinePolicies: [inline({ Action: 's3:*', Resource: 'arn:aws:s3:::${aws:PrincipalTag/team}-*' })],
    });
    const session = credentialsIn(await assume(await issuer.token(tags), { RoleArn }));
    expect([await sts.may(session, 'blue-1'), await sts.may(session, 'red-1')]).toEqual([true, false]);
    expect(
      await codeWith({ 'https://aws.amazon.com/tags': { principal_tags: { team: 'x'.repeat(300) } } }, FEDERATED),
    ).toBe('InvalidIdentityToken');
  });

  test('sec_role_enumeration: a role that does not exist is refused like one that trusts nobody', async () => {
    const token = await issuer.token();
    const missing = await assume(token, { RoleArn: `arn:aws:iam::${ACCOUNT}:role/no-such-role` });
    expect([missing.status, missing.code]).toEqual([403, 'AccessDenied']);
    const noToken = await assume('xxxx', { RoleArn: `arn:aws:iam::${ACCOUNT}:role/no-such-role` });
    expect(noToken.code).toBe('InvalidIdentityToken');
  });
});

describe('keys of the issuer', () => {
  test('are fetched once, and again for a key that is not among them: rotation holds at once', async () => {
    issuer.asked.length = 0;
    const statuses = [];
    for (let index = 0; index < 3; index += 1) statuses.push((await assume(await issuer.token())).status);
    expect([statuses, issuer.asked.length]).toEqual([[200, 200, 200], 2]);
    sts.nowMs += 11_000;
    const [old] = issuer.keys;
    await issuer.addKey('second', 'RS256');
    const timed = { nowMs: sts.nowMs };
    expect((await assume(await issuer.token({}, timed))).status).toBe(200);
    expect((await assume(await issuer.token({}, { ...timed, key: old! }))).status).toBe(200);
    // Withdrawn: believed until what was fetched is ten minutes old.
    issuer.keys = issuer.keys.filter(({ kid }) => kid === 'second');
    sts.nowMs += 11 * 60_000;
    expect((await assume(await issuer.token({}, { nowMs: sts.nowMs, key: old! }))).code).toBe('InvalidIdentityToken');
  });

  test('sec_jwks_flood: tokens with unknown keys make no request each', async () => {
    issuer.asked.length = 0;
    const stranger = { ...issuer.keys.at(-1)!, kid: 'unknown' };
    for (let index = 0; index < 20; index += 1) {
      const token = await issuer.token({}, { key: stranger, nowMs: sts.nowMs });
      expect((await assume(token)).code).toBe('InvalidIdentityToken');
    }
    expect(issuer.asked.length).toBeLessThanOrEqual(2);
  });

  test('an issuer that cannot be reached is IDPCommunicationError, and asked again later', async () => {
    issuer.isDown = true;
    expect((await assume(await issuer.token({}, { nowMs: sts.nowMs }))).code).toBe('IDPCommunicationError');
    issuer.isDown = false;
    expect((await assume(await issuer.token({}, { nowMs: sts.nowMs }))).code).toBe('IDPCommunicationError');
    sts.nowMs += 11_000;
    expect((await assume(await issuer.token({}, { nowMs: sts.nowMs }))).status).toBe(200);
  });
});

describe('the API of providers', () => {
  const call = (action: string, parameters: Record<string, string> = {}, signer = ROOT): Promise<Answer> =>
    sts.call('iam', action, parameters, signer);

  test('makes, shows, changes and deletes them; errors are IAM’s', async () => {
    const Url = 'https://accounts.example.com';
    const OpenIDConnectProviderArn = `arn:aws:iam::${ACCOUNT}:oidc-provider/accounts.example.com`;
    const named = { OpenIDConnectProviderArn };
    const made = { Url, 'ClientIDList.member.1': 'one', 'ThumbprintList.member.1': 'A'.repeat(40) };
    expect((await call('CreateOpenIDConnectProvider', made)).body).toContain(OpenIDConnectProviderArn);
    expect((await call('CreateOpenIDConnectProvider', made)).code).toBe('EntityAlreadyExists');
    await call('AddClientIDToOpenIDConnectProvider', { ...named, ClientID: 'two' });
    await call('RemoveClientIDFromOpenIDConnectProvider', { ...named, ClientID: 'one' });
    await call('UpdateOpenIDConnectProviderThumbprint', { ...named, 'ThumbprintList.member.1': 'b'.repeat(40) });
    await call('TagOpenIDConnectProvider', { ...named, 'Tags.member.1.Key': 'k', 'Tags.member.1.Value': 'v' });
    const shown = (await call('GetOpenIDConnectProvider', named)).body;
    expect(shown).toContain('<Url>accounts.example.com</Url><ClientIDList><member>two</member></ClientIDList>');
    expect(shown).toContain(`<ThumbprintList><member>${'b'.repeat(40)}</member></ThumbprintList>`);
    expect(shown).toContain('<Tags><member><Key>k</Key><Value>v</Value></member></Tags>');
    expect((await call('ListOpenIDConnectProviders')).body).toContain(`<Arn>${OpenIDConnectProviderArn}</Arn>`);
    await call('UntagOpenIDConnectProvider', { ...named, 'TagKeys.member.1': 'K' });
    expect((await call('ListOpenIDConnectProviderTags', named)).body).toContain('<Tags></Tags>');
    expect((await call('DeleteOpenIDConnectProvider', named)).status).toBe(200);
    expect((await call('GetOpenIDConnectProvider', named)).code).toBe('NoSuchEntity');
  });

  test.each(['http://a.example', 'https://a.example/?q=1', 'https://u:p@a.example', 'https://a.example/../b', 'x'])(
    'the URL %s is refused',
    async (Url) => {
      expect((await call('CreateOpenIDConnectProvider', { Url })).code).toBe('ValidationError');
    },
  );

  test('needs permission, and another account’s is not found', async () => {
    const named = { OpenIDConnectProviderArn: PROVIDER };
    for (const action of ['GetOpenIDConnectProvider', 'DeleteOpenIDConnectProvider']) {
      expect((await call(action, named, signerOf('AKALICE'))).code).toBe('AccessDenied');
    }
    expect((await call('GetOpenIDConnectProvider', named, signerOf('AKOTHERROOT'))).code).toBe('NoSuchEntity');
    expect((await call('GetOpenIDConnectProvider', named)).status).toBe(200);
  });
});
