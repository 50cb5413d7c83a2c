import { groupArn } from '../../access/identities/arns.ts';
import type { Group, User } from '../../access/identities/entities.ts';
import { makeEntityId } from '../../access/identities/identifiers.ts';
import type { Identities } from '../../access/identities/identities.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { optional, type ParameterSpecs } from '../parameter.ts';
import { type QueryOperation, queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { describeGroup, describeUser } from '../rules/describe.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { userTarget } from '../rules/entity-targets.ts';
import { groupResource, requireGroup, requireUser } from '../rules/find-entities.ts';
import { GROUP_NAME, PATH, PATH_PREFIX, USER_NAME } from '../rules/parameters.ts';

const MOST_GROUPS_OF_USER = 10;

const onGroup: QueryOperation<{ GroupName: typeof GROUP_NAME } & ParameterSpecs>['target'] = ({
  parameters: { GroupName },
  principal,
  services: { identities },
}) => iamTarget(groupResource(identities, principal, GroupName));

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateGroup.html */
const createGroup = queryOperation({
  name: 'CreateGroup',
  service: 'iam',
  parameters: { GroupName: GROUP_NAME, Path: optional(PATH) },
  target: ({ parameters: { GroupName, Path }, principal }) =>
    iamTarget(groupArn({ accountId: principal.owner.accountId, path: Path ?? '/', name: GroupName })),
  handler: async ({ parameters: { GroupName, Path }, principal, services: { identities, randomness }, nowMs }) => {
    const { accountId } = principal.owner;
    const group = await identities.change(async (writer) => {
      refuseTaken(identities, accountId, GroupName);
      const made: Group = {
        id: makeEntityId('groups', randomness),
        accountId,
        name: GroupName,
        path: Path ?? '/',
        createdAtMs: nowMs,
        inlinePolicies: [],
        attachedPolicyArns: [],
      };
      await writer.groups.put(made);
      return made;
    });
    return { Group: describeGroup(group) };
  },
});

/** With its users, in pages. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetGroup.html */
const getGroup = queryOperation({
  name: 'GetGroup',
  service: 'iam',
  parameters: { GroupName: GROUP_NAME, ...PAGING_PARAMETERS },
  target: onGroup,
  handler: async ({ parameters, principal, services: { identities } }) => {
    const group = requireGroup(identities, principal, parameters.GroupName);
    const page = pageOf(membersOf(identities, group), parameters, ({ name }) => name.toLowerCase());
    const { items, IsTruncated, Marker } = page;
    return { Group: describeGroup(group), Users: items.map(describeUser), IsTruncated, Marker };
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroups.html */
const listGroups = queryOperation({
  name: 'ListGroups',
  service: 'iam',
  parameters: { PathPrefix: PATH_PREFIX, ...PAGING_PARAMETERS },
  target: ({ parameters: { PathPrefix }, principal }) =>
    iamTarget(`arn:aws:iam::${principal.owner.accountId}:group${PathPrefix ?? '/'}`),
  handler: async ({ parameters, principal, services: { identities } }) => {
    const all = identities.groups
      .list(principal.owner.accountId)
      .filter(({ path }) => path.startsWith(parameters.PathPrefix ?? '/'));
    const { items, IsTruncated, Marker } = pageOf(all, parameters, ({ name }) => name.toLowerCase());
    return { Groups: items.map(describeGroup), IsTruncated, Marker };
  },
});

/** Its users and policies stay. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateGroup.html */
const updateGroup = queryOperation({
  name: 'UpdateGroup',
  service: 'iam',
  parameters: { GroupName: GROUP_NAME, NewGroupName: optional(GROUP_NAME), NewPath: optional(PATH) },
  target: 'handler',
  handler: async (request) => {
    const { principal, services } = request;
    const { GroupName, NewGroupName, NewPath } = request.parameters;
    const { identities } = services;
    const { accountId } = principal.owner;
    const before = identities.groups.find(accountId, GroupName);
    await request.authorize('iam:UpdateGroup', iamTarget(groupResource(identities, principal, GroupName)));
    const becomes = { accountId, path: NewPath ?? before?.path ?? '/', name: NewGroupName ?? GroupName };
    await request.authorize('iam:UpdateGroup', iamTarget(groupArn(becomes)));
    await identities.change(async (writer) => {
      const group = requireGroup(identities, principal, GroupName);
      const isRenamed = NewGroupName !== undefined && NewGroupName.toLowerCase() !== group.name.toLowerCase();
      if (isRenamed) refuseTaken(identities, accountId, NewGroupName);
      await writer.groups.put({ ...group, name: NewGroupName ?? group.name, path: NewPath ?? group.path });
    });
    return undefined;
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroup.html */
const deleteGroup = queryOperation({
  name: 'DeleteGroup',
  service: 'iam',
  parameters: { GroupName: GROUP_NAME },
  target: onGroup,
  handler: async ({ parameters: { GroupName }, principal, services: { identities } }) => {
    await identities.change(async (writer) => {
      const group = requireGroup(identities, principal, GroupName);
      if (membersOf(identities, group).length > 0) throw inUse('must remove users from group first');
      if (group.inlinePolicies.length > 0) throw inUse('must delete policies first');
      if (group.attachedPolicyArns.length > 0) throw inUse('must detach all policies first');
      await writer.groups.delete(group.id);
    });
    return undefined;
  },
});

/** A user who is in it already: succeeds. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html */
const addUserToGroup = queryOperation({
  name: 'AddUserToGroup',
  service: 'iam',
  parameters: { GroupName: GROUP_NAME, UserName: USER_NAME },
  target: onGroup,
  handler: async ({ parameters: { GroupName, UserName }, principal, services: { identities } }) => {
    await identities.change(async (writer) => {
      const group = requireGroup(identities, principal, GroupName);
      const user = requireUser(identities, principal, UserName);
      if (user.groupIds.includes(group.id)) return;
      if (user.groupIds.length >= MOST_GROUPS_OF_USER) {
        throw new IamError('LimitExceeded', `Cannot exceed quota for GroupsPerUser: ${MOST_GROUPS_OF_USER}`);
      }
      await writer.users.put({ ...user, groupIds: [...user.groupIds, group.id] });
    });
    return undefined;
  },
});

/** A user who is not in it: succeeds. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveUserFromGroup.html */
const removeUserFromGroup = queryOperation({
  name: 'RemoveUserFromGroup',
  service: 'iam',
  parameters: { GroupName: GROUP_NAME, UserName: USER_NAME },
  target: onGroup,
  handler: async ({ parameters: { GroupName, UserName }, principal, services: { identities } }) => {
    await identities.change(async (writer) => {
      const group = requireGroup(identities, principal, GroupName);
      const user = requireUser(identities, principal, UserName);
      if (!user.groupIds.includes(group.id)) return;
      await writer.users.put({ ...user, groupIds: user.groupIds.filter((id) => id !== group.id) });
    });
    return undefined;
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupsForUser.html */
const listGroupsForUser = queryOperation({
  name: 'ListGroupsForUser',
  service: 'iam',
  parameters: { UserName: USER_NAME, ...PAGING_PARAMETERS },
  target: ({ parameters: { UserName }, principal, services: { identities } }) =>
    userTarget(identities, principal, UserName),
  handler: async ({ parameters, principal, services: { identities } }) => {
    const { groupIds, accountId } = requireUser(identities, principal, parameters.UserName);
    const all = identities.groups.list(accountId).filter(({ id }) => groupIds.includes(id));
    const { items, IsTruncated, Marker } = pageOf(all, parameters, ({ name }) => name.toLowerCase());
    return { Groups: items.map(describeGroup), IsTruncated, Marker };
  },
});

function membersOf(identities: Identities, { id, accountId }: Group): User[] {
  return identities.users.list(accountId).filter(({ groupIds }) => groupIds.includes(id));
}

function inUse(what: string): IamError {
  return new IamError('DeleteConflict', `Cannot delete entity, ${what}.`);
}

function refuseTaken(identities: Identities, accountId: string, name: string): void {
  if (identities.groups.find(accountId, name) === undefined) return;
  throw new IamError('EntityAlreadyExists', `Group with name ${name} already exists.`);
}

export const GROUP_OPERATIONS: readonly QueryOperationRow[] = [
  createGroup,
  getGroup,
  listGroups,
  updateGroup,
  deleteGroup,
  addUserToGroup,
  removeUserFromGroup,
  listGroupsForUser,
];
