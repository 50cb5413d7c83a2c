import { rootArn, userArn } from '../../access/identities/arns.ts';
import type { AccessKey } from '../../access/identities/entities.ts';
import { makeKeyPair } from '../../access/identities/identifiers.ts';
import type { Identities } from '../../access/identities/identities.ts';
import type { Principal } from '../../access/principal.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { optional, text } from '../parameter.ts';
import { queryOperation, type QueryOperationRow, type QueryTarget, type TargetRequest } from '../query-operation.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { userTarget } from '../rules/entity-targets.ts';
import { callerAsUser, requireUser } from '../rules/find-entities.ts';
import { USER_NAME } from '../rules/parameters.ts';

const MOST_KEYS = 2;
const USER = { UserName: optional(USER_NAME) };
const KEY_ID = text({ min: 16, max: 128, pattern: /^\w+$/ });

function onUser({ parameters, principal, services }: TargetRequest<typeof USER>): QueryTarget {
  return userTarget(services.identities, principal, parameters.UserName);
}

/** Whose keys: of a user, of the caller, or of root. */
function ownerOf(
  identities: Identities,
  principal: Principal,
  name: string | undefined,
): { id?: string; name: string } {
  const user = name === undefined ? callerAsUser(identities, principal) : requireUser(identities, principal, name);
  return user === 'root' ? { name: 'root' } : user;
}

/** Without those of service accounts. */
function keysOf(identities: Identities, accountId: string, userId: string | undefined): AccessKey[] {
  const all = identities.accessKeys.list(accountId);
  return all.filter((key) => key.userId === userId && key.serviceAccount === undefined);
}

/** The secret is shown here and never again. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html */
const createAccessKey = queryOperation({
  name: 'CreateAccessKey',
  service: 'iam',
  parameters: USER,
  target: onUser,
  handler: async ({ parameters: { UserName }, principal, services: { identities, randomness }, nowMs }) => {
    const { accountId } = principal.owner;
    return await identities.change(async (writer) => {
      const owner = ownerOf(identities, principal, UserName);
      if (keysOf(identities, accountId, owner.id).length >= MOST_KEYS) {
        throw new IamError('LimitExceeded', `Cannot exceed quota for AccessKeysPerUser: ${MOST_KEYS}`);
      }
      const { accessKeyId, secretAccessKey } = makeKeyPair(randomness);
      await writer.accessKeys.put({
        id: accessKeyId,
        name: accessKeyId,
        accountId,
        createdAtMs: nowMs,
        status: 'Active',
        secretAccessKey,
        ...(owner.id === undefined ? {} : { userId: owner.id }),
      });
      return {
        AccessKey: {
          UserName: owner.name,
          AccessKeyId: accessKeyId,
          Status: 'Active',
          SecretAccessKey: secretAccessKey,
          CreateDate: new Date(nowMs),
        },
      };
    });
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html */
const listAccessKeys = queryOperation({
  name: 'ListAccessKeys',
  service: 'iam',
  parameters: { ...USER, ...PAGING_PARAMETERS },
  target: onUser,
  handler: async ({ parameters, principal, services: { identities } }) => {
    const owner = ownerOf(identities, principal, parameters.UserName);
    const keys = keysOf(identities, principal.owner.accountId, owner.id);
    const { items, IsTruncated, Marker } = pageOf(keys, parameters, ({ id }) => id);
    const AccessKeyMetadata = items.map(({ id, status, createdAtMs }) => ({
      UserName: owner.name,
      AccessKeyId: id,
      Status: status,
      CreateDate: new Date(createdAtMs),
    }));
    return { AccessKeyMetadata, IsTruncated, Marker };
  },
});

/** An inactive key lets nobody in from the next request on. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html */
const updateAccessKey = queryOperation({
  name: 'UpdateAccessKey',
  service: 'iam',
  parameters: { ...USER, AccessKeyId: KEY_ID, Status: text({ oneOf: ['Active', 'Inactive'] }) },
  target: onUser,
  handler: async ({ parameters: { UserName, AccessKeyId, Status }, principal, services: { identities } }) => {
    await identities.change(async (writer) => {
      const key = requireKey(identities, principal, UserName, AccessKeyId);
      await writer.accessKeys.put({ ...key, status: Status as AccessKey['status'] });
    });
    return undefined;
  },
});

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccessKey.html */
const deleteAccessKey = queryOperation({
  name: 'DeleteAccessKey',
  service: 'iam',
  parameters: { ...USER, AccessKeyId: KEY_ID },
  target: onUser,
  handler: async ({ parameters: { UserName, AccessKeyId }, principal, services: { identities } }) => {
    await identities.change(async (writer) => {
      await writer.accessKeys.delete(requireKey(identities, principal, UserName, AccessKeyId).id);
    });
    return undefined;
  },
});

/** Of a key of the caller's account. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html */
const getAccessKeyLastUsed = queryOperation({
  name: 'GetAccessKeyLastUsed',
  service: 'iam',
  parameters: { AccessKeyId: KEY_ID },
  target: ({ parameters: { AccessKeyId }, principal, services: { identities } }) => {
    const { accountId } = principal.owner;
    const userId = identities.accessKeys.get(AccessKeyId)?.userId;
    const user = userId === undefined ? undefined : identities.users.get(userId);
    if (user?.accountId !== accountId) return iamTarget(rootArn(accountId));
    return iamTarget(userArn(user), { resourceTags: user.tags });
  },
  handler: async ({ parameters: { AccessKeyId }, principal, services: { identities, keyUses } }) => {
    const name = userNameOf(identities, principal, AccessKeyId);
    if (name === undefined) throw noSuchKey(AccessKeyId);
    const use = keyUses.of(AccessKeyId);
    return {
      UserName: name,
      AccessKeyLastUsed: {
        LastUsedDate: use === undefined ? undefined : new Date(use.atMs),
        ServiceName: use?.service ?? 'N/A',
        Region: use?.region ?? 'N/A',
      },
    };
  },
});

function userNameOf(identities: Identities, { owner }: Principal, accessKeyId: string): string | undefined {
  const key = identities.accessKeys.get(accessKeyId);
  if (key?.accountId !== owner.accountId) return undefined;
  return key.userId === undefined ? 'root' : identities.users.get(key.userId)?.name;
}

/** @throws IamError NoSuchEntity: there is none, or it is somebody else's */
function requireKey(
  identities: Identities,
  principal: Principal,
  userName: string | undefined,
  accessKeyId: string,
): AccessKey {
  const owner = ownerOf(identities, principal, userName);
  const key = identities.accessKeys.get(accessKeyId);
  if (key?.accountId !== principal.owner.accountId || key.userId !== owner.id) throw noSuchKey(accessKeyId);
  return key;
}

function noSuchKey(accessKeyId: string): IamError {
  return new IamError('NoSuchEntity', `The Access Key with id ${accessKeyId} cannot be found.`);
}

export const ACCESS_KEY_OPERATIONS: readonly QueryOperationRow[] = [
  createAccessKey,
  listAccessKeys,
  updateAccessKey,
  deleteAccessKey,
  getAccessKeyLastUsed,
];
