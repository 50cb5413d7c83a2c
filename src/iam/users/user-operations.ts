import { rootArn, userArn } from '../../access/identities/arns.ts';
import type { User } from '../../access/identities/entities.ts';
import { makeEntityId } from '../../access/identities/identifiers.ts';
import type { Identities } from '../../access/identities/identities.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { optional } from '../parameter.ts';
import { queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { describeUser, describeWholeUser } from '../rules/describe.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { userTarget } from '../rules/entity-targets.ts';
import { callerAsUser, requirePolicy, requireUser } from '../rules/find-entities.ts';
import { ARN, mergeTags, NEW_USER_NAME, PATH, PATH_PREFIX, TAGS, USER_NAME } from '../rules/parameters.ts';

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html */
const createUser = queryOperation({
  name: 'CreateUser',
  service: 'iam',
  parameters: {
    UserName: NEW_USER_NAME,
    Path: optional(PATH),
    PermissionsBoundary: optional(ARN),
    Tags: TAGS,
  },
  target: ({ parameters: { UserName, Path, Tags, PermissionsBoundary }, principal }) =>
    iamTarget(userArn({ accountId: principal.owner.accountId, path: Path ?? '/', name: UserName }), {
      requestTags: Tags,
      boundaryArn: PermissionsBoundary,
    }),
  handler: async ({ parameters, principal, services: { identities, randomness }, nowMs }) => {
    const { UserName, Path, PermissionsBoundary, Tags } = parameters;
    const { accountId } = principal.owner;
    const tags = mergeTags([], Tags);
    const user = await identities.change(async (writer) => {
      refuseTaken(identities, accountId, UserName);
      if (PermissionsBoundary !== undefined) requirePolicy(identities, principal, PermissionsBoundary);
      const made: User = {
        id: makeEntityId('users', randomness),
        accountId,
        name: UserName,
        path: Path ?? '/',
        createdAtMs: nowMs,
        inlinePolicies: [],
        attachedPolicyArns: [],
        groupIds: [],
        tags,
        ...(PermissionsBoundary === undefined ? {} : { boundaryArn: PermissionsBoundary }),
      };
      await writer.users.put(made);
      return made;
    });
    return { User: describeWholeUser(user) };
  },
});

/** Without a name: the caller, root too. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUser.html */
const getUser = queryOperation({
  name: 'GetUser',
  service: 'iam',
  parameters: { UserName: optional(USER_NAME) },
  target: ({ parameters: { UserName }, principal, services: { identities } }) =>
    userTarget(identities, principal, UserName),
  handler: async ({ parameters: { UserName }, principal, services: { identities } }) => {
    const { accountId } = principal.owner;
    const user =
      UserName === undefined ? callerAsUser(identities, principal) : requireUser(identities, principal, UserName);
    if (user !== 'root') return { User: describeWholeUser(user) };
    const createdAtMs = identities.furtherAccounts.get(accountId)?.createdAtMs;
    const CreateDate = createdAtMs === undefined ? undefined : new Date(createdAtMs);
    return { User: { UserId: accountId, Arn: rootArn(accountId), CreateDate } };
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUsers.html */
const listUsers = queryOperation({
  name: 'ListUsers',
  service: 'iam',
  parameters: { PathPrefix: PATH_PREFIX, ...PAGING_PARAMETERS },
  target: ({ parameters: { PathPrefix }, principal }) =>
    iamTarget(`arn:aws:iam::${principal.owner.accountId}:user${PathPrefix ?? '/'}`),
  handler: async ({ parameters, principal, services: { identities } }) => {
    const all = identities.users
      .list(principal.owner.accountId)
      .filter(({ path }) => path.startsWith(parameters.PathPrefix ?? '/'));
    const { items, IsTruncated, Marker } = pageOf(all, parameters, ({ name }) => name.toLowerCase());
    return { Users: items.map(describeUser), IsTruncated, Marker };
  },
});

/** Its id, keys and policies stay. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html */
const updateUser = queryOperation({
  name: 'UpdateUser',
  service: 'iam',
  parameters: { UserName: USER_NAME, NewUserName: optional(NEW_USER_NAME), NewPath: optional(PATH) },
  target: 'handler',
  handler: async (request) => {
    const { principal, services } = request;
    const { UserName, NewUserName, NewPath } = request.parameters;
    const { identities } = services;
    const { accountId } = principal.owner;
    const before = identities.users.find(accountId, UserName);
    // On both: what it is, and what it becomes.
    await request.authorize('iam:UpdateUser', userTarget(identities, principal, UserName));
    const becomes = { accountId, path: NewPath ?? before?.path ?? '/', name: NewUserName ?? UserName };
    await request.authorize('iam:UpdateUser', iamTarget(userArn(becomes)));
    await identities.change(async (writer) => {
      const user = requireUser(identities, principal, UserName);
      const isRenamed = NewUserName !== undefined && NewUserName.toLowerCase() !== user.name.toLowerCase();
      if (isRenamed) refuseTaken(identities, accountId, NewUserName);
      await writer.users.put({ ...user, name: NewUserName ?? user.name, path: NewPath ?? user.path });
    });
    return undefined;
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html */
const deleteUser = queryOperation({
  name: 'DeleteUser',
  service: 'iam',
  parameters: { UserName: USER_NAME },
  target: ({ parameters: { UserName }, principal, services: { identities } }) =>
    userTarget(identities, principal, UserName),
  handler: async ({ parameters: { UserName }, principal, services: { identities } }) => {
    await identities.change(async (writer) => {
      const user = requireUser(identities, principal, UserName);
      const hasKeys = identities.accessKeys.list(user.accountId).some(({ userId }) => userId === user.id);
      if (hasKeys) throw inUse('must delete access keys first');
      if (user.inlinePolicies.length > 0) throw inUse('must delete policies first');
      if (user.attachedPolicyArns.length > 0) throw inUse('must detach all policies first');
      if (user.groupIds.length > 0) throw inUse('must remove users from group first');
      await writer.users.delete(user.id);
    });
    return undefined;
  },
});

function inUse(what: string): IamError {
  return new IamError('DeleteConflict', `Cannot delete entity, ${what}.`);
}

function refuseTaken(identities: Identities, accountId: string, name: string): void {
  if (identities.users.find(accountId, name) === undefined) return;
  throw new IamError('EntityAlreadyExists', `User with name ${name} already exists.`);
}

export const USER_OPERATIONS: readonly QueryOperationRow[] = [createUser, getUser, listUsers, updateUser, deleteUser];
