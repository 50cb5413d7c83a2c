import { BUILT_IN_POLICIES } from '../../access/identities/built-in-policies.ts';
import { policyArn } from '../../access/identities/arns.ts';
import type { Group, ManagedPolicy, PolicyCarrier, Role, User } from '../../access/identities/entities.ts';
import type { Identities } from '../../access/identities/identities.ts';
import { findManagedPolicy } from '../../access/identities/policy-library.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { members, text } from '../parameter.ts';
import { type AnswerStructure, queryOperation, type QueryOperationRow } from '../query-operation.ts';
import {
  carriersOf,
  describeBoundary,
  describeGroup,
  describePolicy,
  describeRole,
  describeTags,
  describeUser,
} from '../rules/describe.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { answerDocument } from '../rules/policy-documents.ts';

/** What there is, and the limits that hold. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html */
const getAccountSummary = queryOperation({
  name: 'GetAccountSummary',
  service: 'iam',
  parameters: {},
  target: () => iamTarget('*'),
  handler: async ({ principal, services: { identities } }) => {
    const { accountId } = principal.owner;
    const policies = identities.policies.list(accountId);
    const used = [...policies, ...BUILT_IN_POLICIES.values()].filter(
      (policy) => carriersOf(identities, accountId, policyArn(policy)).length > 0,
    );
    const SummaryMap = new Map([
      ['Users', identities.users.list(accountId).length],
      ['Groups', identities.groups.list(accountId).length],
      ['Roles', identities.roles.list(accountId).length],
      ['Providers', identities.oidcProviders.list(accountId).length],
      ['Policies', policies.length],
      ['PolicyVersionsInUse', used.length],
      ['AccessKeysPerUserQuota', 2],
      ['AttachedPoliciesPerGroupQuota', 10],
      ['AttachedPoliciesPerRoleQuota', 10],
      ['AttachedPoliciesPerUserQuota', 10],
      ['GroupPolicySizeQuota', 5120],
      ['GroupsPerUserQuota', 10],
      ['PolicySizeQuota', 6144],
      ['UserPolicySizeQuota', 2048],
      ['VersionsPerPolicyQuota', 5],
    ]);
    return { SummaryMap };
  },
});

const KINDS = ['User', 'Role', 'Group', 'LocalManagedPolicy', 'AWSManagedPolicy'] as const;
type Kind = (typeof KINDS)[number];

/**
 * Everything of the account, in pages; no secret.
 * @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
 */
const getAccountAuthorizationDetails = queryOperation({
  name: 'GetAccountAuthorizationDetails',
  service: 'iam',
  parameters: { Filter: members(text({ oneOf: KINDS }), { max: 5 }), ...PAGING_PARAMETERS },
  target: () => iamTarget('*'),
  handler: async ({ parameters, principal, services: { identities } }) => {
    const { accountId } = principal.owner;
    const wanted = (kind: Kind): boolean => parameters.Filter.length === 0 || parameters.Filter.includes(kind);
    const of = <T extends { id: string }>(kind: Kind, list: Iterable<T>, describe: (one: T) => AnswerStructure) =>
      wanted(kind) ? [...list].map((one) => ({ kind, id: one.id, describe: () => describe(one) })) : [];
    const policy = (one: ManagedPolicy): AnswerStructure => policyDetail(one, identities, accountId);
    const all = [
      ...of('User', identities.users.list(accountId), (user) => userDetail(user, identities)),
      ...of('Group', identities.groups.list(accountId), (group) => groupDetail(group, identities)),
      ...of('Role', identities.roles.list(accountId), (role) => roleDetail(role, identities)),
      ...of('LocalManagedPolicy', identities.policies.list(accountId), policy),
      ...of('AWSManagedPolicy', BUILT_IN_POLICIES.values(), policy),
    ].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const { items, IsTruncated, Marker } = pageOf(all, parameters, ({ id }) => id);
    const shown = (...kinds: Kind[]): AnswerStructure[] =>
      items.filter(({ kind }) => kinds.includes(kind)).map(({ describe }) => describe());
    return {
      UserDetailList: shown('User'),
      GroupDetailList: shown('Group'),
      RoleDetailList: shown('Role'),
      Policies: shown('LocalManagedPolicy', 'AWSManagedPolicy'),
      IsTruncated,
      Marker,
    };
  },
});

function userDetail(user: User, identities: Identities): AnswerStructure {
  return {
    ...describeUser(user),
    UserPolicyList: inlineOf(user),
    GroupList: user.groupIds.map((id) => identities.groups.get(id)?.name),
    AttachedManagedPolicies: attachedTo(user, identities),
    PermissionsBoundary: describeBoundary(user),
    Tags: describeTags(user.tags),
  };
}

function groupDetail(group: Group, identities: Identities): AnswerStructure {
  return {
    ...describeGroup(group),
    GroupPolicyList: inlineOf(group),
    AttachedManagedPolicies: attachedTo(group, identities),
  };
}

function roleDetail(role: Role, identities: Identities): AnswerStructure {
  const { Description: _description, MaxSessionDuration: _duration, ...described } = describeRole(role);
  return {
    ...described,
    InstanceProfileList: [],
    RolePolicyList: inlineOf(role),
    AttachedManagedPolicies: attachedTo(role, identities),
    PermissionsBoundary: describeBoundary(role),
    Tags: describeTags(role.tags),
  };
}

function policyDetail(policy: ManagedPolicy, identities: Identities, accountId: string): AnswerStructure {
  const PolicyVersionList = policy.versions.map(({ id, document, createdAtMs }) => ({
    Document: answerDocument(document),
    VersionId: id,
    IsDefaultVersion: id === policy.defaultVersionId,
    CreateDate: new Date(createdAtMs),
  }));
  return { ...describePolicy(policy, identities, accountId), Description: policy.description, PolicyVersionList };
}

function inlineOf({ inlinePolicies }: PolicyCarrier): AnswerStructure[] {
  return inlinePolicies.map(({ name, document }) => ({ PolicyName: name, PolicyDocument: answerDocument(document) }));
}

function attachedTo({ attachedPolicyArns }: PolicyCarrier, identities: Identities): AnswerStructure[] {
  return attachedPolicyArns.map((arn) => ({
    PolicyName: findManagedPolicy(identities, arn)?.name,
    PolicyArn: arn,
  }));
}

export const ACCOUNT_OPERATIONS: readonly QueryOperationRow[] = [getAccountSummary, getAccountAuthorizationDetails];
