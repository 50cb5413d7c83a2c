import { afterAll, beforeAll, expect, test } from 'vitest';
import { IamFixture } from '../../support/iam-fixture.ts';

const iam = new IamFixture();
beforeAll(() => iam.start());
afterAll(() => iam.stop());

const statements = (Condition: object): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 'iam:*', Resource: '*' },
      { Effect: 'Deny', Action: 'iam:*', Resource: '*', Condition },
    ],
  });

test('sec_deny_by_resource_tag: nothing is done to a tagged user or policy whose tag is denied', async () => {
  const helper = await iam.makeUser('helper');
  const PolicyDocument = statements({ StringEquals: { 'aws:ResourceTag/guarded': 'yes' } });
  await iam.call('PutUserPolicy', { UserName: 'helper', PolicyName: 'p', PolicyDocument });
  const tags = { 'Tags.member.1.Key': 'guarded', 'Tags.member.1.Value': 'yes' };
  await iam.call('CreateUser', { UserName: 'guarded', ...tags });
  await iam.call('CreateUser', { UserName: 'plain' });
  const made = (await iam.call('CreateAccessKey', { UserName: 'guarded' })).all('AccessKeyId')[0]!;
  const policy = await iam.call('CreatePolicy', { PolicyName: 'guarded', PolicyDocument, ...tags });
  const PolicyArn = policy.all('Arn')[0]!;
  const asked: [string, Record<string, string>][] = [
    ['CreateAccessKey', { UserName: 'guarded' }],
    ['ListAccessKeys', { UserName: 'guarded' }],
    ['UpdateAccessKey', { UserName: 'guarded', AccessKeyId: made, Status: 'Inactive' }],
    ['DeleteAccessKey', { UserName: 'guarded', AccessKeyId: made }],
    ['GetAccessKeyLastUsed', { AccessKeyId: made }],
    ['GetUser', { UserName: 'guarded' }],
    ['UpdateUser', { UserName: 'guarded', NewUserName: 'mine' }],
    ['ListGroupsForUser', { UserName: 'guarded' }],
    ['DeleteUser', { UserName: 'guarded' }],
    ['GetPolicy', { PolicyArn }],
    ['CreatePolicyVersion', { PolicyArn, PolicyDocument, SetAsDefault: 'true' }],
    ['DeletePolicy', { PolicyArn }],
  ];
  for (const [action, parameters] of asked) {
    expect([action, (await iam.call(action, parameters, helper)).code]).toEqual([action, 'AccessDenied']);
  }
  expect((await iam.call('CreateAccessKey', { UserName: 'plain' }, helper)).status).toBe(200);
});
