import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inline } from '../../support/identities-fixture.ts';
import { ACCOUNT, credentialsIn, OTHER_ACCOUNT, signerOf, StsFixture, trusting } from '../../support/sts-fixture.ts';

const sts = new StsFixture();
beforeAll(() => sts.start());
afterAll(() => sts.stop());

const ALICE = signerOf('AKALICE');
const BOB = signerOf('AKBOB');
const MALLORY = signerOf('AKMALLORY');
const ROOT = signerOf('AKROOT');
const AWS_ALICE = { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/alice` } };
const AWS_BOB = { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/bob` } };
const AWS_ACCOUNT = { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` } };
const EVERYTHING = { inlinePolicies: [inline({ Action: 's3:*' })] };

describe('AssumeRole', () => {
  test('gives whom the trust policy names credentials that are the role’s', async () => {
    const role = await sts.putRole('AROAOWN', 'own', { path: '/', trustPolicy: trusting(AWS_BOB), ...EVERYTHING });
    const answer = await sts.assume(BOB, role);
    expect(answer.body).toContain('<AssumedRoleId>AROAOWN:work</AssumedRoleId>');
    const session = credentialsIn(answer);
    expect(session.accessKeyId).toMatch(/^ASIA[A-Z2-9]{16}$/);
    const { body } = await sts.call('sts', 'GetCallerIdentity', {}, session);
    expect(body).toContain(`<Arn>arn:aws:sts::${ACCOUNT}:assumed-role/own/work</Arn>`);
    expect(body).toContain('<UserId>AROAOWN:work</UserId>');
    expect([await sts.may(session, 'any'), await sts.may(BOB, 'any')]).toEqual([true, false]);
  });

  test('where the trust policy names the account, the caller’s own policies must allow it too', async () => {
    const role = await sts.putRole('AROAACC', 'by-account', { trustPolicy: trusting(AWS_ACCOUNT) });
    expect((await sts.assume(ALICE, role)).status).toBe(200);
    expect((await sts.assume(BOB, role)).code).toBe('AccessDenied');
  });

  test('sec_role_without_trust: a policy of the caller that allows everything is not enough', async () => {
    const role = await sts.putRole('AROANOT', 'not-trusting', { trustPolicy: trusting(AWS_BOB) });
    const { status, code, body } = await sts.assume(ALICE, role);
    expect([status, code]).toEqual([403, 'AccessDenied']);
    expect(body).toContain(`User: arn:aws:iam::${ACCOUNT}:user/alice is not authorized to perform: sts:AssumeRole`);
  });

  test('sec_role_enumeration: a role that does not exist is refused like one that does', async () => {
    const there = await sts.putRole('AROATHERE', 'there', { trustPolicy: trusting(AWS_BOB) });
    const refused = (await sts.assume(ALICE, there)).body.replaceAll('there', 'gone').replace(/<RequestId>.*/, '');
    const missing = (await sts.assume(ALICE, there.replace('there', 'gone'))).body.replace(/<RequestId>.*/, '');
    expect(missing).toBe(refused);
  });

  test('root, nobody and a wrong path are refused', async () => {
    const role = await sts.putRole('AROAROOT', 'for-root', { trustPolicy: trusting(AWS_ACCOUNT) });
    expect((await sts.assume(ROOT, role)).code).toBe('AccessDenied');
    const parameters = { RoleArn: role, RoleSessionName: 'work' };
    expect((await sts.call('sts', 'AssumeRole', parameters)).code).toBe('MissingAuthenticationToken');
    expect((await sts.assume(ALICE, role.replace('role/', 'role/path/'))).code).toBe('AccessDenied');
  });

  test('across accounts both sides must allow', async () => {
    const named = { Principal: { AWS: `arn:aws:iam::${OTHER_ACCOUNT}:user/mallory` } };
    const role = await sts.putRole('AROACROSS', 'cross', { trustPolicy: trusting(named) });
    expect((await sts.assume(MALLORY, role)).status).toBe(200);
    const own = await sts.putRole('AROACROSS2', 'cross-not', { trustPolicy: trusting(AWS_ACCOUNT) });
    expect((await sts.assume(MALLORY, own)).code).toBe('AccessDenied');
    await sts.changeUser('AIDAMALLORY', { inlinePolicies: [] });
    expect((await sts.assume(MALLORY, role)).code).toBe('AccessDenied');
  });

  test('ExternalId and RoleSessionName are conditions that the request alone meets', async () => {
    const Condition = { StringEquals: { 'sts:ExternalId': 'secret-7' }, StringLike: { 'sts:RoleSessionName': 'ci-*' } };
    const role = await sts.putRole('AROAEXT', 'external', { trustPolicy: trusting({ ...AWS_BOB, Condition }) });
    const codes = [];
    for (const parameters of [
      { ExternalId: 'secret-7', RoleSessionName: 'ci-1' },
      { ExternalId: 'other', RoleSessionName: 'ci-1' },
      { RoleSessionName: 'ci-1' },
      { ExternalId: 'secret-7' },
    ]) {
      codes.push((await sts.assume(BOB, role, parameters)).code);
    }
    expect(codes).toEqual(['', 'AccessDenied', 'AccessDenied', 'AccessDenied']);
  });

  test('an explicit Deny in the trust policy decides', async () => {
    const trustPolicy = trusting(AWS_ACCOUNT, { ...AWS_ALICE, Effect: 'Deny' });
    const role = await sts.putRole('AROADENY', 'denying', { trustPolicy });
    expect((await sts.assume(ALICE, role)).code).toBe('AccessDenied');
  });

  test('DurationSeconds is at most the role’s, and an hour where a session begins another', async () => {
    const chained = { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:role/long` } };
    const long = { trustPolicy: trusting(AWS_BOB, chained), maxSessionDurationSeconds: 7200 };
    const role = await sts.putRole('AROALONG', 'long', { ...long, inlinePolicies: [inline({ Action: 'sts:*' })] });
    const codeFor = async (DurationSeconds: string, signer = BOB) =>
      (await sts.assume(signer, role, { DurationSeconds })).code;
    expect([await codeFor('7200'), await codeFor('7201'), await codeFor('899'), await codeFor('1e3')]).toEqual([
      '',
      'ValidationError',
      'ValidationError',
      'ValidationError',
    ]);
    const session = await sts.session(BOB, role);
    expect([await codeFor('3600', session), await codeFor('3601', session)]).toEqual(['', 'ValidationError']);
  });

  test('what AWS knows and this server does not is said, not ignored', async () => {
    const role = await sts.putRole('AROAMFA', 'mfa', { trustPolicy: trusting(AWS_BOB) });
    const { status, code } = await sts.assume(BOB, role, { SerialNumber: 'arn:aws:iam::1:mfa/x', TokenCode: '123456' });
    expect([status, code]).toEqual([501, 'NotImplemented']);
  });
});

describe('session policies', () => {
  test('sec_session_policy_widens__CVE_2025_62506: a session policy only narrows', async () => {
    const onlyA = { inlinePolicies: [inline({ Action: 's3:*', Resource: 'arn:aws:s3:::a*' })] };
    const role = await sts.putRole('AROANARROW', 'narrow', { trustPolicy: trusting(AWS_BOB), ...onlyA });
    const Policy = inline({ Action: 's3:*', Resource: ['arn:aws:s3:::a1', 'arn:aws:s3:::b*'] }).document;
    const session = await sts.session(BOB, role, { Policy });
    expect([await sts.may(session, 'a1'), await sts.may(session, 'a2'), await sts.may(session, 'b1')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('sec_deny_only_session_policy__CVE_2023_27589: a policy that only denies allows nothing', async () => {
    const role = await sts.putRole('AROADENYONLY', 'deny-only', { trustPolicy: trusting(AWS_BOB), ...EVERYTHING });
    const Policy = inline({ Effect: 'Deny', Action: 's3:DeleteBucket' }).document;
    expect(await sts.may(await sts.session(BOB, role, { Policy }), 'any')).toBe(false);
  });

  test('PolicyArns and Policy together allow what either does; one that is gone allows nothing any more', async () => {
    const role = await sts.putRole('AROAARNS', 'arns', { trustPolicy: trusting(AWS_BOB), ...EVERYTHING });
    const managed = {
      id: 'ANPAB',
      accountId: ACCOUNT,
      name: 'only-b',
      path: '/',
      createdAtMs: 0,
      updatedAtMs: 0,
      tags: [],
      defaultVersionId: 'v1',
      nextVersion: 2,
    };
    const version = { id: 'v1', createdAtMs: 0, ...inline({ Action: 's3:*', Resource: 'arn:aws:s3:::b*' }) };
    await sts.access.identities.change(({ policies }) => policies.put({ ...managed, versions: [version] }));
    const parameters = {
      Policy: inline({ Action: 's3:*', Resource: 'arn:aws:s3:::a*' }).document,
      'PolicyArns.member.1.arn': `arn:aws:iam::${ACCOUNT}:policy/only-b`,
    };
    const session = await sts.session(BOB, role, parameters);
    const mayAll = async () => [
      await sts.may(session, 'a1'),
      await sts.may(session, 'b1'),
      await sts.may(session, 'c1'),
    ];
    expect(await mayAll()).toEqual([true, true, false]);
    await sts.access.identities.change(({ policies }) => policies.delete('ANPAB'));
    expect(await mayAll()).toEqual([false, false, false]);
    expect((await sts.assume(BOB, role, parameters)).code).toBe('ValidationError');
  });

  test('one that is no policy is refused, and one that is too large for a token', async () => {
    const role = await sts.putRole('AROABAD', 'bad', {
      trustPolicy: trusting({ ...AWS_BOB, Action: ['sts:AssumeRole', 'sts:TagSession'] }),
    });
    expect((await sts.assume(BOB, role, { Policy: '{"Version":"2012-10-17"}' })).code).toBe('MalformedPolicyDocument');
    const tags = Array.from({ length: 40 }, (_, index) => [
      [`Tags.member.${index + 1}.Key`, `${index}${'k'.repeat(100)}`],
      [`Tags.member.${index + 1}.Value`, 'v'.repeat(200)],
    ]);
    expect((await sts.assume(BOB, role, Object.fromEntries(tags.flat()))).code).toBe('PackedPolicyTooLarge');
  });
});

describe('session tags', () => {
  const TAGGED = { 'Tags.member.1.Key': 'Team', 'Tags.member.1.Value': 'blue' };
  const byTeam = inline({ Action: 's3:*', Resource: 'arn:aws:s3:::${aws:PrincipalTag/team}-*' });
  const taggable = trusting({ ...AWS_BOB, Action: ['sts:AssumeRole', 'sts:TagSession'] });

  test('need sts:TagSession, and are what aws:PrincipalTag is', async () => {
    const role = await sts.putRole('AROATAG', 'tagged', { trustPolicy: taggable, inlinePolicies: [byTeam] });
    const session = await sts.session(BOB, role, TAGGED);
    expect([await sts.may(session, 'blue-1'), await sts.may(session, 'red-1')]).toEqual([true, false]);
    const untagged = await sts.putRole('AROAUNTAG', 'untagged', { trustPolicy: trusting(AWS_BOB) });
    expect((await sts.assume(BOB, untagged, TAGGED)).code).toBe('AccessDenied');
  });

  test('come before the tags of the role', async () => {
    const tags = [{ key: 'team', value: 'red' }];
    const role = await sts.putRole('AROATAG2', 'tagged2', { trustPolicy: taggable, inlinePolicies: [byTeam], tags });
    expect(await sts.may(await sts.session(BOB, role, TAGGED), 'blue-1')).toBe(true);
    expect(await sts.may(await sts.session(BOB, role), 'red-1')).toBe(true);
  });

  test('sec_transitive_tags: those that are transitive go on into later sessions and cannot be changed', async () => {
    const next = `arn:aws:iam::${ACCOUNT}:role/first`;
    const first = await sts.putRole('AROAFIRST', 'first', { trustPolicy: taggable });
    const second = await sts.putRole('AROASECOND', 'second', {
      trustPolicy: trusting({ Principal: { AWS: next }, Action: ['sts:AssumeRole', 'sts:TagSession'] }),
      inlinePolicies: [byTeam],
    });
    const session = await sts.session(BOB, first, { ...TAGGED, 'TransitiveTagKeys.member.1': 'Team' });
    expect(await sts.may(await sts.session(session, second), 'blue-1')).toBe(true);
    expect((await sts.assume(session, second, { ...TAGGED, 'Tags.member.1.Value': 'red' })).code).toBe('InvalidInput');
    const notTransitive = await sts.session(BOB, first, TAGGED);
    expect(await sts.may(await sts.session(notTransitive, second), 'blue-1')).toBe(false);
  });

  test('a source identity needs sts:SetSourceIdentity and stays', async () => {
    const Action = ['sts:AssumeRole', 'sts:SetSourceIdentity'];
    const role = await sts.putRole('AROASRC', 'source', {
      trustPolicy: trusting(
        { ...AWS_BOB, Action },
        { Principal: { AWS: `arn:aws:iam::${ACCOUNT}:role/source` }, Action },
      ),
    });
    const plain = await sts.putRole('AROASRC2', 'no-source', { trustPolicy: trusting(AWS_BOB) });
    expect((await sts.assume(BOB, plain, { SourceIdentity: 'bob' })).code).toBe('AccessDenied');
    const session = await sts.session(BOB, role, { SourceIdentity: 'bob' });
    expect((await sts.assume(session, role)).body).toContain('<SourceIdentity>bob</SourceIdentity>');
    expect((await sts.assume(session, role, { SourceIdentity: 'eve' })).code).toBe('AccessDenied');
  });
});

describe('GetSessionToken', () => {
  test('gives the user’s own permissions, and nothing of IAM and STS but AssumeRole and GetCallerIdentity', async () => {
    await sts.changeUser('AIDABOB', { inlinePolicies: [inline({ Action: ['s3:*', 'iam:*'] })] });
    const session = credentialsIn(await sts.call('sts', 'GetSessionToken', {}, BOB));
    expect(await sts.may(session, 'any')).toBe(true);
    const identity = await sts.call('sts', 'GetCallerIdentity', {}, session);
    expect(identity.body).toContain(`<Arn>arn:aws:iam::${ACCOUNT}:user/bob</Arn>`);
    expect((await sts.call('iam', 'ListRoles', {}, BOB)).status).toBe(200);
    expect((await sts.call('iam', 'ListRoles', {}, session)).code).toBe('AccessDenied');
    expect((await sts.call('sts', 'GetSessionToken', {}, session)).code).toBe('AccessDenied');
    await sts.changeUser('AIDABOB', { inlinePolicies: [] });
    expect(await sts.may(session, 'any')).toBe(false);
  });

  test('sec_session_outlives_key: ends when the key that asked for it is disabled', async () => {
    const session = credentialsIn(await sts.call('sts', 'GetSessionToken', {}, BOB));
    await sts.changeKey('AKBOB', { status: 'Inactive' });
    expect((await sts.call('sts', 'GetCallerIdentity', {}, session)).code).toBe('InvalidClientTokenId');
    await sts.changeKey('AKBOB', { status: 'Active' });
    expect((await sts.call('sts', 'GetCallerIdentity', {}, session)).status).toBe(200);
  });

  test('root’s is root’s, for an hour at most', async () => {
    const answer = await sts.call('sts', 'GetSessionToken', { DurationSeconds: '129600' }, ROOT);
    const expires = Date.parse(/<Expiration>(.*)<\/Expiration>/.exec(answer.body)![1]!);
    expect(expires - sts.nowMs).toBeLessThanOrEqual(3_600_000);
    expect(await sts.may(credentialsIn(answer), 'any')).toBe(true);
  });
});

describe('revocation holds from the next request', () => {
  test('sec_role_recreated: sessions of a role that was deleted are not those of a new one of its name', async () => {
    const parts = { trustPolicy: trusting(AWS_BOB), ...EVERYTHING };
    const session = await sts.session(BOB, await sts.putRole('AROAOLD', 'reborn', parts));
    await sts.access.identities.change(({ roles }) => roles.delete('AROAOLD'));
    await sts.putRole('AROANEW', 'reborn', parts);
    expect(await sts.may(session, 'any')).toBe(false);
    expect((await sts.call('sts', 'GetCallerIdentity', {}, session)).code).toBe('InvalidClientTokenId');
  });

  test('sec_role_policy_removed: what the role may no longer do, its sessions may not', async () => {
    const parts = { trustPolicy: trusting(AWS_BOB), ...EVERYTHING };
    const session = await sts.session(BOB, await sts.putRole('AROAPOL', 'policied', parts));
    expect(await sts.may(session, 'any')).toBe(true);
    await sts.putRole('AROAPOL', 'policied', { ...parts, inlinePolicies: [] });
    expect(await sts.may(session, 'any')).toBe(false);
  });

  test('sec_sessions_revoked: those begun before the role’s not-before time are over, later ones are not', async () => {
    const parts = { trustPolicy: trusting(AWS_BOB), ...EVERYTHING };
    const role = await sts.putRole('AROAREV', 'revoked', parts);
    const before = await sts.session(BOB, role);
    sts.nowMs += 1000;
    await sts.putRole('AROAREV', 'revoked', { ...parts, notBeforeMs: sts.nowMs });
    const after = await sts.session(BOB, role);
    expect([await sts.may(before, 'any'), await sts.may(after, 'any')]).toEqual([false, true]);
  });

  test('AWSRevokeOlderSessions works: aws:TokenIssueTime is when the session began', async () => {
    const Condition = { DateLessThan: { 'aws:TokenIssueTime': new Date(sts.nowMs + 1000).toISOString() } };
    const older = inline({ Effect: 'Deny', Action: '*', Condition });
    const role = await sts.putRole('AROAOLDER', 'older', {
      trustPolicy: trusting(AWS_BOB),
      inlinePolicies: [inline({ Action: 's3:*' }), older],
    });
    const before = await sts.session(BOB, role);
    sts.nowMs += 2000;
    const after = await sts.session(BOB, role);
    expect([await sts.may(before, 'any'), await sts.may(after, 'any')]).toEqual([false, true]);
  });
});

describe('tokens', () => {
  const identify = async (signer: Parameters<typeof sts.principal>[0]) =>
    (await sts.call('sts', 'GetCallerIdentity', {}, signer)).code;

  test('sec_token_expired: a token is good until its last second, not at it', async () => {
    const role = await sts.putRole('AROAEXP', 'expiring', { trustPolicy: trusting(AWS_BOB) });
    const answer = await sts.assume(BOB, role, { DurationSeconds: '900' });
    const session = credentialsIn(answer);
    const expiresAtMs = Date.parse(/<Expiration>(.*)<\/Expiration>/.exec(answer.body)![1]!);
    const before = sts.nowMs;
    sts.nowMs = expiresAtMs - 1;
    const last = await identify(session);
    sts.nowMs = expiresAtMs;
    const over = await identify(session);
    sts.nowMs = before;
    expect([last, over]).toEqual(['', 'ExpiredToken']);
  });

  test('sec_token_forged: no byte of a token can be changed, and no key can use another’s', async () => {
    const role = await sts.putRole('AROATOK', 'tokens', { trustPolicy: trusting(AWS_BOB) });
    const session = await sts.session(BOB, role);
    const other = await sts.session(BOB, role);
    const bytes = Buffer.from(session.sessionToken!, 'base64');
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes);
      changed[index]! ^= 1;
      const sessionToken = changed.toString('base64');
      expect(() => sts.principal({ ...session, sessionToken })).toThrow('malformed or otherwise invalid');
    }
    for (const forged of [
      { ...session, sessionToken: other.sessionToken! },
      { ...session, accessKeyId: 'AKALICE' },
      { ...ALICE, sessionToken: session.sessionToken! },
      { ...session, sessionToken: 'AQ==' },
      { accessKeyId: session.accessKeyId, secretAccessKey: session.secretAccessKey },
      { ...session, secretAccessKey: ALICE.secretAccessKey },
    ]) {
      expect(await identify(forged)).toMatch(/^(InvalidClientTokenId|SignatureDoesNotMatch)$/);
    }
    expect(await identify(session)).toBe('');
  });

  test('sec_token_secrets: a token shows neither its secret nor whose it is', async () => {
    const role = await sts.putRole('AROASEC', 'secrets', { trustPolicy: trusting(AWS_BOB) });
    const session = await sts.session(BOB, role);
    const plain = Buffer.from(session.sessionToken!, 'base64').toString('latin1');
    expect(plain).not.toContain(session.secretAccessKey);
    expect(plain).not.toContain('AROASEC');
    const logged = JSON.stringify(sts.server.log.lines);
    for (const secret of [session.secretAccessKey, session.sessionToken!]) expect(logged).not.toContain(secret);
  });
});
