import { afterAll, beforeAll, expect, test } from 'vitest';
import { IamFixture } from '../../support/iam-fixture.ts';
import { ALICE } from '../../support/metadata-fixtures.ts';

const iam = new IamFixture();
const policyOf = (statement: Record<string, unknown>): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', Resource: '*', ...statement } });
const arn = `arn:aws:iam::${ALICE.accountId}:user/ann`;
let secret = '';

beforeAll(async () => {
  await iam.start();
  secret = (await iam.makeUser('ann')).secretAccessKey;
  await iam.call('CreateGroup', { GroupName: 'g' });
  await iam.call('AddUserToGroup', { GroupName: 'g', UserName: 'ann' });
  const PolicyDocument = policyOf({ Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/${aws:username}/*' });
  await iam.call('PutUserPolicy', { UserName: 'ann', PolicyName: 'own', PolicyDocument });
  const denying = policyOf({ Effect: 'Deny', Action: 's3:DeleteObject' });
  await iam.call('PutGroupPolicy', { GroupName: 'g', PolicyName: 'no', PolicyDocument: denying });
});
afterAll(() => iam.stop());

test('the summary counts what the account has', async () => {
  const { body } = await iam.call('GetAccountSummary');
  for (const entry of [
    '<key>Users</key><value>1</value>',
    '<key>Groups</key><value>1</value>',
    '<key>Roles</key><value>0</value>',
  ])
    expect(body).toContain(`<entry>${entry}</entry>`);
});

test('the authorization details have users, groups and policies, and no secret', async () => {
  const all = await iam.call('GetAccountAuthorizationDetails');
  expect(all.all('UserName')).toEqual(['ann']);
  expect(all.all('GroupName')).toEqual(['g']);
  expect(all.all('PolicyName')).toEqual(expect.arrayContaining(['own', 'no', 'AdministratorAccess']));
  expect(all.body).toContain('<GroupList><member>g</member></GroupList>');
  expect(all.body).not.toContain(secret);
  const users = await iam.call('GetAccountAuthorizationDetails', { 'Filter.member.1': 'User' });
  expect([users.all('UserName'), users.all('PolicyId')]).toEqual([['ann'], []]);
});

test('a simulation says what a user may do, with its name and its groups', async () => {
  const simulated = await iam.call('SimulatePrincipalPolicy', {
    PolicySourceArn: arn,
    'ActionNames.member.1': 's3:GetObject',
    'ActionNames.member.2': 's3:DeleteObject',
    'ResourceArns.member.1': 'arn:aws:s3:::b/ann/x',
    'ResourceArns.member.2': 'arn:aws:s3:::b/bob/x',
  });
  expect(simulated.all('EvalDecision')).toEqual(['allowed', 'implicitDeny', 'explicitDeny', 'explicitDeny']);
});

test('a simulation takes what conditions ask for, and names what is missing', async () => {
  const PolicyDocument = policyOf({ Action: 's3:ListBucket', Condition: { StringEquals: { 's3:prefix': 'a' } } });
  const asked = { 'PolicyInputList.member.1': PolicyDocument, 'ActionNames.member.1': 's3:ListBucket' };
  const without = await iam.call('SimulateCustomPolicy', asked);
  expect(without.all('EvalDecision')).toEqual(['implicitDeny']);
  expect(without.body).toContain('<MissingContextValues><member>s3:prefix</member></MissingContextValues>');
  const entry = {
    'ContextEntries.member.1.ContextKeyName': 's3:prefix',
    'ContextEntries.member.1.ContextKeyValues.member.1': 'a',
  };
  expect((await iam.call('SimulateCustomPolicy', { ...asked, ...entry })).all('EvalDecision')).toEqual(['allowed']);
});

test('a simulation of nobody, or with a policy that is none, is refused', async () => {
  const asked = { 'ActionNames.member.1': 's3:GetObject' };
  expect((await iam.call('SimulatePrincipalPolicy', { ...asked, PolicySourceArn: `${arn}x` })).code).toBe(
    'NoSuchEntity',
  );
  expect((await iam.call('SimulatePrincipalPolicy', { ...asked, PolicySourceArn: 'arn:aws:s3:::bucket-1' })).code).toBe(
    'InvalidInput',
  );
  expect((await iam.call('SimulateCustomPolicy', { ...asked, 'PolicyInputList.member.1': '{' })).code).toBe(
    'InvalidInput',
  );
});

test('sec_simulation_holds_up_nobody: a simulation that asks for too much is refused', async () => {
  const many = (name: string, count: number, value: string): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}.member.${index + 1}`, value]));
  const PolicyInputList = { 'PolicyInputList.member.1': policyOf({ Action: 's3:GetObject' }) };
  const questions = { ...many('ActionNames', 101, 's3:GetObject'), ...many('ResourceArns', 100, '*') };
  expect((await iam.call('SimulateCustomPolicy', { ...PolicyInputList, ...questions })).code).toBe('InvalidInput');
  const context = {
    'ContextEntries.member.1.ContextKeyName': 's3:prefix',
    'ContextEntries.member.1.ContextKeyValues.member.1': 'a'.repeat(8193),
  };
  const asked = { ...PolicyInputList, 'ActionNames.member.1': 's3:GetObject', ...context };
  expect((await iam.call('SimulateCustomPolicy', asked)).code).toBe('InvalidInput');
});
