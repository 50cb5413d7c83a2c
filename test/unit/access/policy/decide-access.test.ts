import { expect, test } from 'vitest';
import { decideAccess, type CallerPolicies, type ResourceRules } from '../../../../src/access/policy/decide-access.ts';
import type { PolicyPrincipal, PolicyRequest } from '../../../../src/access/policy/evaluate-policy.ts';
import { parsePolicy, type PolicyKind } from '../../../../src/access/policy/parse-policy.ts';
import type { Policy } from '../../../../src/access/policy/policy-document.ts';

const vocabulary = { actions: ['s3:getobject'], isConditionKey: () => true };
const OWN = '111111111111';
const OTHER = '222222222222';

function policy(kind: PolicyKind, effect: 'Allow' | 'Deny', principal: unknown = '*'): Policy {
  const statement = { Sid: effect, Effect: effect, Action: 's3:GetObject', Resource: '*' };
  return parsePolicy(
    JSON.stringify({ Statement: kind === 'identity' ? statement : { ...statement, Principal: principal } }),
    kind,
    vocabulary,
  );
}
const ALLOW = policy('identity', 'Allow');
const DENY = policy('identity', 'Deny');
const NOTHING = parsePolicy(
  JSON.stringify({ Statement: { Effect: 'Allow', Action: 's3:GetObject', Resource: 'arn:aws:s3:::other' } }),
  'identity',
  vocabulary,
);

const USER: PolicyPrincipal = {
  type: 'aws',
  accountId: OWN,
  canonicalId: 'a'.repeat(64),
  arns: [`arn:aws:iam::${OWN}:user/ann`],
  federated: [],
  service: '',
};
const STRANGER: PolicyPrincipal = {
  ...USER,
  accountId: OTHER,
  canonicalId: 'b'.repeat(64),
  arns: [`arn:aws:iam::${OTHER}:user/ann`],
};
const ANONYMOUS: PolicyPrincipal = {
  type: 'anonymous',
  accountId: '',
  canonicalId: '',
  arns: [],
  federated: [],
  service: '',
};
const SERVICE: PolicyPrincipal = { ...ANONYMOUS, type: 'service', service: 'logging.s3.amazonaws.com' };

function decide(principal: PolicyPrincipal, caller: Partial<CallerPolicies>, resource: Partial<ResourceRules>): string {
  const request: PolicyRequest = {
    principal,
    action: 's3:GetObject',
    resource: 'arn:aws:s3:::b/k',
    context: () => undefined,
  };
  const { isAllowed, reason } = decideAccess(
    request,
    { isRoot: false, identity: [], boundary: undefined, session: [], ...caller },
    { accountId: OWN, policy: undefined, isGrantedByAcl: false, isPublicPolicyRestricted: false, ...resource },
  );
  return `${isAllowed ? 'yes' : 'no'}: ${reason}`;
}

const toAll = { policy: policy('resource', 'Allow') };
const toOwnAccount = { policy: policy('resource', 'Allow', { AWS: OWN }) };
const toStranger = { policy: policy('resource', 'Allow', { AWS: `arn:aws:iam::${OTHER}:user/ann` }) };
const toOtherAccount = { policy: policy('resource', 'Allow', { AWS: OTHER }) };
const toNobody = { policy: policy('resource', 'Deny') };

const CASES: [string, PolicyPrincipal, Partial<CallerPolicies>, Partial<ResourceRules>, string][] = [
  ['nothing said', USER, {}, {}, 'no: no-allow'],
  ['root of the account', USER, { isRoot: true }, {}, 'yes: root'],
  ['root, denied by the bucket', USER, { isRoot: true }, toNobody, 'no: explicit-deny'],
  ['own policy', USER, { identity: [NOTHING, ALLOW] }, {}, 'yes: identity-policy'],
  ['own policy against a Deny of its own', USER, { identity: [ALLOW, DENY] }, {}, 'no: explicit-deny'],
  ['own policy against a Deny of the bucket', USER, { identity: [ALLOW] }, toNobody, 'no: explicit-deny'],
  ['bucket policy for all', USER, {}, toAll, 'yes: resource-policy'],
  ['bucket policy for the account leaves it to the account', USER, {}, toOwnAccount, 'no: no-allow'],
  ['bucket policy for the account and own policy', USER, { identity: [ALLOW] }, toOwnAccount, 'yes: identity-policy'],
  ['ACL', USER, {}, { isGrantedByAcl: true }, 'yes: acl'],
  ['beyond the boundary', USER, { identity: [ALLOW], boundary: NOTHING }, {}, 'no: boundary'],
  ['a boundary alone gives nothing', USER, { boundary: ALLOW }, {}, 'no: no-allow'],
  ['within the boundary', USER, { identity: [ALLOW], boundary: ALLOW }, {}, 'yes: identity-policy'],
  ['what a bucket gives stays within the boundary', USER, { boundary: NOTHING }, toAll, 'no: boundary'],
  ['beyond the session policy', USER, { identity: [ALLOW], session: [ALLOW, NOTHING] }, {}, 'no: session-policy'],
  ['a session policy alone gives nothing', USER, { session: [ALLOW] }, {}, 'no: no-allow'],
  ['a Deny of the session', USER, { identity: [ALLOW], session: [DENY] }, {}, 'no: explicit-deny'],
  ['root within a session policy', USER, { isRoot: true, session: [NOTHING] }, {}, 'no: session-policy'],
  ['another account, its own policy only', STRANGER, { identity: [ALLOW] }, {}, 'no: no-allow'],
  ['another account, the bucket only', STRANGER, {}, toStranger, 'no: no-allow'],
  ['another account, both', STRANGER, { identity: [ALLOW] }, toStranger, 'yes: both-accounts'],
  ['another account by its number, both', STRANGER, { identity: [ALLOW] }, toOtherAccount, 'yes: both-accounts'],
  ['root of another account is not root here', STRANGER, { isRoot: true }, {}, 'no: no-allow'],
  ['root of another account, named', STRANGER, { isRoot: true }, toOtherAccount, 'yes: both-accounts'],
  ['anonymous', ANONYMOUS, {}, {}, 'no: no-allow'],
  ['anonymous, bucket policy for all', ANONYMOUS, {}, toAll, 'yes: resource-policy'],
  [
    'anonymous, public policies restricted',
    ANONYMOUS,
    {},
    { ...toAll, isPublicPolicyRestricted: true },
    'no: public-access-block',
  ],
  [
    'another account, public policies restricted',
    STRANGER,
    { identity: [ALLOW] },
    { ...toAll, isPublicPolicyRestricted: true },
    'no: public-access-block',
  ],
  [
    'own account, public policies restricted',
    USER,
    {},
    { ...toAll, isPublicPolicyRestricted: true },
    'yes: resource-policy',
  ],
  ['anonymous, ACL', ANONYMOUS, {}, { isGrantedByAcl: true }, 'yes: acl'],
  ['anonymous, ACL against a Deny', ANONYMOUS, {}, { ...toNobody, isGrantedByAcl: true }, 'no: explicit-deny'],
  ['a service that nobody lets in', SERVICE, {}, {}, 'no: no-allow'],
];

test.each(CASES)('%s', (_, principal, caller, resource, expected) => {
  expect(decide(principal, caller, resource)).toBe(expected);
});
