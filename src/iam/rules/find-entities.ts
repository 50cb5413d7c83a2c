import { BUILT_IN_POLICIES } from '../../access/identities/built-in-policies.ts';
import { groupArn, rootArn, roleArn, userArn } from '../../access/identities/arns.ts';
import type { Group, ManagedPolicy, Role, User } from '../../access/identities/entities.ts';
import type { Identities } from '../../access/identities/identities.ts';
import { findManagedPolicy } from '../../access/identities/policy-library.ts';
import type { Principal } from '../../access/principal.ts';
import { IamError } from '../../errors/iam-error.ts';

/** @throws IamError NoSuchEntity */
export function requireUser(identities: Identities, { owner }: Principal, name: string): User {
  return found(identities.users.find(owner.accountId, name), 'user', name);
}

/** @throws IamError NoSuchEntity */
export function requireGroup(identities: Identities, { owner }: Principal, name: string): Group {
  return found(identities.groups.find(owner.accountId, name), 'group', name);
}

/** @throws IamError NoSuchEntity */
export function requireRole(identities: Identities, { owner }: Principal, name: string): Role {
  return found(identities.roles.find(owner.accountId, name), 'role', name);
}

function found<T>(entity: T | undefined, kind: string, name: string): T {
  if (entity === undefined) throw new IamError('NoSuchEntity', `The ${kind} with name ${name} cannot be found.`);
  return entity;
}

/**
 * Of the caller's account, or AWS's.
 * @throws IamError NoSuchEntity
 */
export function requirePolicy(identities: Identities, { owner }: Principal, arn: string): ManagedPolicy {
  const policy = findManagedPolicy(identities, arn);
  if (policy === undefined || (policy.accountId !== owner.accountId && !BUILT_IN_POLICIES.has(arn))) {
    throw new IamError('NoSuchEntity', `Policy ${arn} does not exist or is not attachable.`);
  }
  return policy;
}

/** As `requirePolicy`, for changes. @throws IamError NoSuchEntity | AccessDenied (one of AWS's) */
export function requireOwnPolicy(identities: Identities, principal: Principal, arn: string): ManagedPolicy {
  if (BUILT_IN_POLICIES.has(arn)) throw new IamError('AccessDenied', `${arn} is managed by AWS and cannot be changed.`);
  return requirePolicy(identities, principal, arn);
}

/** The caller itself; a role is no user. @throws IamError ValidationError */
export function callerAsUser(identities: Identities, { type, entityId }: Principal): User | 'root' {
  if (type === 'root') return 'root';
  const user = type === 'user' ? identities.users.get(entityId ?? '') : undefined;
  if (user === undefined) {
    throw new IamError('ValidationError', 'Must specify userName when calling with non-User credentials');
  }
  return user;
}

/** What policies are asked about: with its path when it exists. */
export function userResource(identities: Identities, { owner }: Principal, name: string): string {
  const { accountId } = owner;
  return userArn(identities.users.find(accountId, name) ?? { accountId, path: '/', name });
}

export function groupResource(identities: Identities, { owner }: Principal, name: string): string {
  const { accountId } = owner;
  return groupArn(identities.groups.find(accountId, name) ?? { accountId, path: '/', name });
}

export function roleResource(identities: Identities, { owner }: Principal, name: string): string {
  const { accountId } = owner;
  return roleArn(identities.roles.find(accountId, name) ?? { accountId, path: '/', name });
}

/** Without a name it is the caller. */
export function userOrCallerResource(identities: Identities, principal: Principal, name: string | undefined): string {
  if (name !== undefined) return userResource(identities, principal, name);
  const caller = callerAsUser(identities, principal);
  return caller === 'root' ? rootArn(principal.owner.accountId) : userArn(caller);
}
