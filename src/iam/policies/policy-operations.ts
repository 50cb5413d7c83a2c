import { policyArn } from '../../access/identities/arns.ts';
import { BUILT_IN_POLICIES } from '../../access/identities/built-in-policies.ts';
import type { ManagedPolicy } from '../../access/identities/entities.ts';
import { makeEntityId } from '../../access/identities/identifiers.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { flag, optional, text } from '../parameter.ts';
import { queryOperation, type QueryOperationRow, type QueryTarget, type TargetRequest } from '../query-operation.ts';
import { boundedBy, carriersOf, describePolicy, describeTags } from '../rules/describe.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { policyTarget } from '../rules/entity-targets.ts';
import { requireOwnPolicy, requirePolicy } from '../rules/find-entities.ts';
import { ARN, mergeTags, PATH, PATH_PREFIX, POLICY_DOCUMENT, POLICY_NAME, TAGS } from '../rules/parameters.ts';
import { checkPolicyDocument, policySizeOf } from '../rules/policy-documents.ts';

export const MANAGED_POLICY_LIMIT = 6144;
export const POLICY = { PolicyArn: ARN };

/** The policy that is named. */
export function onPolicy({ parameters, principal, services }: TargetRequest<typeof POLICY>): QueryTarget {
  return policyTarget(services.identities, principal, parameters.PolicyArn);
}

/** @throws IamError LimitExceeded | MalformedPolicyDocument */
export function checkManagedPolicy(document: string): void {
  if (policySizeOf(document) > MANAGED_POLICY_LIMIT) {
    throw new IamError('LimitExceeded', `Cannot exceed quota for PolicySize: ${MANAGED_POLICY_LIMIT}`);
  }
  checkPolicyDocument(document, 'identity');
}

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html */
const createPolicy = queryOperation({
  name: 'CreatePolicy',
  service: 'iam',
  parameters: {
    PolicyName: POLICY_NAME,
    PolicyDocument: POLICY_DOCUMENT,
    Path: optional(PATH),
    Description: optional(text({ max: 1000 })),
    Tags: TAGS,
  },
  target: ({ parameters: { PolicyName, Path, Tags }, principal }) =>
    iamTarget(policyArn({ accountId: principal.owner.accountId, path: Path ?? '/', name: PolicyName }), {
      requestTags: Tags,
    }),
  handler: async ({ parameters, principal, services: { identities, randomness }, nowMs }) => {
    const { PolicyName, PolicyDocument, Path, Description, Tags } = parameters;
    const { accountId } = principal.owner;
    checkManagedPolicy(PolicyDocument);
    const tags = mergeTags([], Tags);
    const policy = await identities.change(async (writer) => {
      if (identities.policies.find(accountId, PolicyName) !== undefined) {
        const message = `A policy called ${PolicyName} already exists. Duplicate names are not allowed.`;
        throw new IamError('EntityAlreadyExists', message);
      }
      const made: ManagedPolicy = {
        id: makeEntityId('policies', randomness),
        accountId,
        name: PolicyName,
        path: Path ?? '/',
        createdAtMs: nowMs,
        updatedAtMs: nowMs,
        versions: [{ id: 'v1', document: PolicyDocument, createdAtMs: nowMs }],
        defaultVersionId: 'v1',
        nextVersion: 2,
        tags,
        ...(Description === undefined ? {} : { description: Description }),
      };
      await writer.policies.put(made);
      return made;
    });
    return { Policy: { ...describePolicy(policy, identities, accountId), Tags: describeTags(policy.tags) } };
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicy.html */
const getPolicy = queryOperation({
  name: 'GetPolicy',
  service: 'iam',
  parameters: { PolicyArn: ARN },
  target: onPolicy,
  handler: async ({ parameters: { PolicyArn }, principal, services: { identities } }) => {
    const policy = requirePolicy(identities, principal, PolicyArn);
    const { description, tags } = policy;
    const described = describePolicy(policy, identities, principal.owner.accountId);
    return { Policy: { ...described, Description: description, Tags: describeTags(tags) } };
  },
});

/** The account's and AWS's. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicies.html */
const listPolicies = queryOperation({
  name: 'ListPolicies',
  service: 'iam',
  parameters: {
    Scope: optional(text({ oneOf: ['All', 'AWS', 'Local'] })),
    OnlyAttached: optional(flag()),
    PathPrefix: PATH_PREFIX,
    PolicyUsageFilter: optional(text({ oneOf: ['PermissionsPolicy', 'PermissionsBoundary'] })),
    ...PAGING_PARAMETERS,
  },
  target: ({ parameters: { PathPrefix }, principal }) =>
    iamTarget(`arn:aws:iam::${principal.owner.accountId}:policy${PathPrefix ?? '/'}`),
  handler: async ({ parameters, principal, services: { identities } }) => {
    const { Scope = 'All', OnlyAttached = false, PathPrefix = '/', PolicyUsageFilter } = parameters;
    const { accountId } = principal.owner;
    const isUsed = (policy: ManagedPolicy): boolean => {
      const arn = policyArn(policy);
      const isAttached =
        PolicyUsageFilter !== 'PermissionsBoundary' && carriersOf(identities, accountId, arn).length > 0;
      return (
        isAttached || (PolicyUsageFilter !== 'PermissionsPolicy' && boundedBy(identities, accountId, arn).length > 0)
      );
    };
    const all = [
      ...(Scope === 'Local' ? [] : BUILT_IN_POLICIES.values()),
      ...(Scope === 'AWS' ? [] : identities.policies.list(accountId)),
    ]
      .filter(({ path }) => path.startsWith(PathPrefix))
      .filter((policy) => (!OnlyAttached && PolicyUsageFilter === undefined) || isUsed(policy))
      .toSorted((a, b) => (policyArn(a) < policyArn(b) ? -1 : 1));
    const { items, IsTruncated, Marker } = pageOf(all, parameters, policyArn);
    return { Policies: items.map((policy) => describePolicy(policy, identities, accountId)), IsTruncated, Marker };
  },
});

/** Nothing may carry it, and only its default version may be left. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html */
const deletePolicy = queryOperation({
  name: 'DeletePolicy',
  service: 'iam',
  parameters: { PolicyArn: ARN },
  target: onPolicy,
  handler: async ({ parameters: { PolicyArn }, principal, services: { identities } }) => {
    await identities.change(async (writer) => {
      const policy = requireOwnPolicy(identities, principal, PolicyArn);
      const { accountId } = policy;
      const isUsed =
        carriersOf(identities, accountId, PolicyArn).length + boundedBy(identities, accountId, PolicyArn).length > 0;
      if (isUsed) throw new IamError('DeleteConflict', 'Cannot delete a policy attached to entities.');
      if (policy.versions.length > 1) {
        throw new IamError(
          'DeleteConflict',
          "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        );
      }
      await writer.policies.delete(policy.id);
    });
    return undefined;
  },
});

/** Who carries it. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html */
const listEntitiesForPolicy = queryOperation({
  name: 'ListEntitiesForPolicy',
  service: 'iam',
  parameters: {
    PolicyArn: ARN,
    EntityFilter: optional(text({ oneOf: ['User', 'Role', 'Group', 'LocalManagedPolicy', 'AWSManagedPolicy'] })),
    PathPrefix: PATH_PREFIX,
    PolicyUsageFilter: optional(text({ oneOf: ['PermissionsPolicy', 'PermissionsBoundary'] })),
    ...PAGING_PARAMETERS,
  },
  target: onPolicy,
  handler: async ({ parameters, principal, services: { identities } }) => {
    const { PolicyArn, EntityFilter, PathPrefix = '/', PolicyUsageFilter } = parameters;
    requirePolicy(identities, principal, PolicyArn);
    const { accountId } = principal.owner;
    const using = new Set([
      ...(PolicyUsageFilter === 'PermissionsBoundary' ? [] : carriersOf(identities, accountId, PolicyArn)),
      ...(PolicyUsageFilter === 'PermissionsPolicy' ? [] : boundedBy(identities, accountId, PolicyArn)),
    ]);
    const all = [...using]
      .filter(({ path }) => path.startsWith(PathPrefix))
      .filter(({ id }) => EntityFilter === undefined || id.startsWith(ENTITY_PREFIXES[EntityFilter] ?? '-'))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const { items, IsTruncated, Marker } = pageOf(all, parameters, ({ id }) => id);
    const of = (kind: string): typeof items => items.filter(({ id }) => id.startsWith(ENTITY_PREFIXES[kind]!));
    return {
      PolicyGroups: of('Group').map(({ name, id }) => ({ GroupName: name, GroupId: id })),
      PolicyUsers: of('User').map(({ name, id }) => ({ UserName: name, UserId: id })),
      PolicyRoles: of('Role').map(({ name, id }) => ({ RoleName: name, RoleId: id })),
      IsTruncated,
      Marker,
    };
  },
});

const ENTITY_PREFIXES: Readonly<Record<string, string>> = { User: 'AIDA', Group: 'AGPA', Role: 'AROA' };

export const POLICY_OPERATIONS: readonly QueryOperationRow[] = [
  createPolicy,
  getPolicy,
  listPolicies,
  deletePolicy,
  listEntitiesForPolicy,
];
