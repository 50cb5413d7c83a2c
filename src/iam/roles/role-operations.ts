import { roleArn } from '../../access/identities/arns.ts';
import type { Role } from '../../access/identities/entities.ts';
import { makeEntityId } from '../../access/identities/identifiers.ts';
import { PolicyError } from '../../access/policy/policy-error.ts';
import { parseTrustPolicy, TRUST_POLICY_LIMIT } from '../../access/sessions/trust-policy.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { integer, optional, text } from '../parameter.ts';
import { queryOperation, type QueryOperationRow, type QueryTarget, type TargetRequest } from '../query-operation.ts';
import { describeBoundary, describeRole, describeTags } from '../rules/describe.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { requirePolicy, requireRole, roleResource } from '../rules/find-entities.ts';
import { ARN, mergeTags, PATH, PATH_PREFIX, POLICY_DOCUMENT, ROLE_NAME, TAGS } from '../rules/parameters.ts';
import { policySizeOf } from '../rules/policy-documents.ts';
import type { AnswerStructure } from '../query-operation.ts';

const DESCRIPTION = optional(text({ max: 1000, pattern: /^[\t\n\r\u0020-\u007e\u00a1-\u00ff]*$/ }));
const MAX_SESSION_DURATION = optional(integer({ min: 3600, max: 43_200 }));
const DEFAULT_SESSION_SECONDS = 3600;
const NAMED = { RoleName: ROLE_NAME };

const createRole = queryOperation({
  name: 'CreateRole',
  service: 'iam',
  parameters: {
    ...NAMED,
    AssumeRolePolicyDocument: POLICY_DOCUMENT,
    Path: optional(PATH),
    Description: DESCRIPTION,
    MaxSessionDuration: MAX_SESSION_DURATION,
    PermissionsBoundary: optional(ARN),
    Tags: TAGS,
  },
  target: ({ parameters, principal }) => {
    const { Path: path = '/', RoleName: name, PermissionsBoundary: boundaryArn, Tags } = parameters;
    const arn = roleArn({ accountId: principal.owner.accountId, path, name });
    return iamTarget(arn, { boundaryArn, requestTags: Tags });
  },
  handler: async ({ parameters, principal, services: { identities, randomness }, nowMs }) => {
    const { RoleName: name, PermissionsBoundary: boundaryArn, Description: description } = parameters;
    const { accountId } = principal.owner;
    const trustPolicy = checkTrustPolicy(parameters.AssumeRolePolicyDocument);
    const tags = mergeTags([], parameters.Tags);
    const role = await identities.change(async ({ roles }) => {
      if (identities.roles.find(accountId, name) !== undefined) {
        throw new IamError('EntityAlreadyExists', `Role with name ${name} already exists.`);
      }
      if (boundaryArn !== undefined) requirePolicy(identities, principal, boundaryArn);
      const made: Role = {
        id: makeEntityId('roles', randomness),
        accountId,
        name,
        path: parameters.Path ?? '/',
        createdAtMs: nowMs,
        trustPolicy,
        ...(description === undefined ? {} : { description }),
        maxSessionDurationSeconds: parameters.MaxSessionDuration ?? DEFAULT_SESSION_SECONDS,
        ...(boundaryArn === undefined ? {} : { boundaryArn }),
        inlinePolicies: [],
        attachedPolicyArns: [],
        tags,
      };
      await roles.put(made);
      return made;
    });
    return { Role: describeWholeRole(role) };
  },
});

const getRole = queryOperation({
  name: 'GetRole',
  service: 'iam',
  parameters: NAMED,
  target: roleTarget,
  handler: async ({ parameters, principal, services }) => ({
    Role: describeWholeRole(requireRole(services.identities, principal, parameters.RoleName)),
  }),
});

const listRoles = queryOperation({
  name: 'ListRoles',
  service: 'iam',
  parameters: { PathPrefix: PATH_PREFIX, ...PAGING_PARAMETERS },
  target: ({ parameters, principal }) =>
    iamTarget(`arn:aws:iam::${principal.owner.accountId}:role${parameters.PathPrefix ?? '/'}`),
  handler: async ({ parameters, principal, services }) => {
    const { PathPrefix = '/' } = parameters;
    const roles = services.identities.roles.list(principal.owner.accountId);
    const page = pageOf(
      roles.filter(({ path }) => path.startsWith(PathPrefix)),
      parameters,
      ({ name }) => name.toLowerCase(),
    );
    const { items, IsTruncated, Marker } = page;
    return { Roles: items.map(describeRole), IsTruncated, Marker };
  },
});

const deleteRole = queryOperation({
  name: 'DeleteRole',
  service: 'iam',
  parameters: NAMED,
  target: roleTarget,
  handler: async ({ parameters, principal, services: { identities } }) => {
    await identities.change(async ({ roles }) => {
      const role = requireRole(identities, principal, parameters.RoleName);
      if (role.inlinePolicies.length > 0) {
        throw new IamError('DeleteConflict', 'Cannot delete entity, must delete policies first.');
      }
      if (role.attachedPolicyArns.length > 0) {
        throw new IamError('DeleteConflict', 'Cannot delete entity, must detach all policies first.');
      }
      await roles.delete(role.id);
    });
    return undefined;
  },
});

const updateRole = queryOperation({
  name: 'UpdateRole',
  service: 'iam',
  parameters: { ...NAMED, Description: DESCRIPTION, MaxSessionDuration: MAX_SESSION_DURATION },
  target: roleTarget,
  handler: async (request) => {
    const { Description: description, MaxSessionDuration: seconds } = request.parameters;
    await changeRole(request, (role) => ({
      ...role,
      ...(description === undefined ? {} : { description }),
      // Without it the role gets the default again, as on AWS.
      maxSessionDurationSeconds: seconds ?? DEFAULT_SESSION_SECONDS,
    }));
    return {};
  },
});

const updateRoleDescription = queryOperation({
  name: 'UpdateRoleDescription',
  service: 'iam',
  parameters: { ...NAMED, Description: text({ max: 1000 }) },
  target: roleTarget,
  handler: async (request) => {
    const { Description: description } = request.parameters;
    return { Role: describeWholeRole(await changeRole(request, (role) => ({ ...role, description }))) };
  },
});

const updateAssumeRolePolicy = queryOperation({
  name: 'UpdateAssumeRolePolicy',
  service: 'iam',
  parameters: { ...NAMED, PolicyDocument: POLICY_DOCUMENT },
  target: roleTarget,
  handler: async (request) => {
    const trustPolicy = checkTrustPolicy(request.parameters.PolicyDocument);
    await changeRole(request, (role) => ({ ...role, trustPolicy }));
    return undefined;
  },
});

/** There are none; tools ask before they delete a role. */
const listInstanceProfilesForRole = queryOperation({
  name: 'ListInstanceProfilesForRole',
  service: 'iam',
  parameters: { ...NAMED, ...PAGING_PARAMETERS },
  target: roleTarget,
  handler: async ({ parameters, principal, services }) => {
    requireRole(services.identities, principal, parameters.RoleName);
    return { InstanceProfiles: [], IsTruncated: false };
  },
});

type RoleRequest = TargetRequest<typeof NAMED>;

function roleTarget({ parameters, principal, services: { identities } }: RoleRequest): QueryTarget {
  const role = identities.roles.find(principal.owner.accountId, parameters.RoleName);
  const arn = roleResource(identities, principal, parameters.RoleName);
  return iamTarget(arn, { resourceTags: role?.tags, boundaryArn: role?.boundaryArn });
}

/** @throws IamError NoSuchEntity */
function changeRole(
  { parameters, principal, services: { identities } }: RoleRequest,
  change: (role: Role) => Role,
): Promise<Role> {
  return identities.change(async ({ roles }) => {
    const changed = change(requireRole(identities, principal, parameters.RoleName));
    await roles.put(changed);
    return changed;
  });
}

/** @throws IamError MalformedPolicyDocument | LimitExceeded */
function checkTrustPolicy(document: string): string {
  if (policySizeOf(document) > TRUST_POLICY_LIMIT) {
    throw new IamError('LimitExceeded', `Cannot exceed quota for ACLSizePerRole: ${TRUST_POLICY_LIMIT}`);
  }
  try {
    parseTrustPolicy(document);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new IamError('MalformedPolicyDocument', error.message, { cause: error });
  }
  return document;
}

/** As answers about one role show it. */
function describeWholeRole(role: Role): AnswerStructure {
  return { ...describeRole(role), PermissionsBoundary: describeBoundary(role), Tags: describeTags(role.tags) };
}

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html */
export const ROLE_OPERATIONS: readonly QueryOperationRow[] = [
  createRole,
  deleteRole,
  getRole,
  listInstanceProfilesForRole,
  listRoles,
  updateAssumeRolePolicy,
  updateRole,
  updateRoleDescription,
];
