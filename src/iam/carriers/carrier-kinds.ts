import type { Group, Role, User } from '../../access/identities/entities.ts';
import type { EntityKind, Identities, IdentityWriter } from '../../access/identities/identities.ts';
import type { Principal } from '../../access/principal.ts';
import type { Parameter } from '../parameter.ts';
import {
  groupResource,
  requireGroup,
  requireRole,
  requireUser,
  roleResource,
  userResource,
} from '../rules/find-entities.ts';
import { GROUP_NAME, ROLE_NAME, USER_NAME } from '../rules/parameters.ts';

export type Carrier = User | Group | Role;

/** What differs between users, groups and roles in the operations that all three have. */
export interface CarrierKind {
  /** As it stands in the names of operations and parameters: `PutUserPolicy`, `UserName`. */
  readonly name: 'User' | 'Group' | 'Role';
  readonly entities: Extract<EntityKind, 'users' | 'groups' | 'roles'>;
  readonly nameParameter: Parameter<string>;
  /** Characters of all inline policies together, white space not counted. */
  readonly inlineLimit: number;
  readonly require: (identities: Identities, principal: Principal, name: string) => Carrier;
  readonly resource: (identities: Identities, principal: Principal, name: string) => string;
}

const USERS: CarrierKind = {
  name: 'User',
  entities: 'users',
  nameParameter: USER_NAME,
  inlineLimit: 2048,
  require: requireUser,
  resource: userResource,
};
const GROUPS: CarrierKind = {
  name: 'Group',
  entities: 'groups',
  nameParameter: GROUP_NAME,
  inlineLimit: 5120,
  require: requireGroup,
  resource: groupResource,
};
const ROLES: CarrierKind = {
  name: 'Role',
  entities: 'roles',
  nameParameter: ROLE_NAME,
  inlineLimit: 10_240,
  require: requireRole,
  resource: roleResource,
};
export const CARRIER_KINDS: readonly CarrierKind[] = [USERS, GROUPS, ROLES];
/** Those that act, and can be limited and tagged. */
export const ACTOR_KINDS: readonly CarrierKind[] = [USERS, ROLES];

/** Keeps what it was made from as it is. */
export async function putCarrier(writer: IdentityWriter, { entities }: CarrierKind, carrier: Carrier): Promise<void> {
  await writer[entities].put(carrier as never);
}
