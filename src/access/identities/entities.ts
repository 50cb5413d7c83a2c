import type { Tag } from '../../model/object-record.ts';

/**
 * What the access layer keeps, one document for each. Records are immutable: a change makes a new one. Everything is
 * linked by ids, which are never used again: what is deleted and made again under the same name inherits nothing.
 */
export interface Entity {
  /** `AIDA…`, `AGPA…`, `AROA…`, `ANPA…`; an access key's own id. */
  readonly id: string;
  readonly accountId: string;
  /** Unique in its account and kind, whatever the case. */
  readonly name: string;
  readonly createdAtMs: number;
}

/** An account beside the first one, which is the cluster's owner. Its id is `accountId`. */
export interface Account extends Entity {
  /** 64 hex digits. */
  readonly canonicalId: string;
}

export interface InlinePolicy {
  readonly name: string;
  /** As it was put. */
  readonly document: string;
}

/** What users, groups and roles have in common. */
export interface PolicyCarrier extends Entity {
  /** `/` or `/team/`. */
  readonly path: string;
  readonly inlinePolicies: readonly InlinePolicy[];
  readonly attachedPolicyArns: readonly string[];
}

/** Users and roles: they act. */
interface Actor extends PolicyCarrier {
  /** The most that its policies can give. */
  readonly boundaryArn?: string;
  readonly tags: readonly Tag[];
  /** Sessions that began before this are over. */
  readonly notBeforeMs?: number;
}

export interface User extends Actor {
  readonly groupIds: readonly string[];
}

export type Group = PolicyCarrier;

export interface Role extends Actor {
  /** Who may assume it, as it was put. */
  readonly trustPolicy: string;
  readonly description?: string;
  /** 3,600 to 43,200. */
  readonly maxSessionDurationSeconds: number;
}

export interface PolicyVersion {
  /** `v1`. */
  readonly id: string;
  readonly document: string;
  readonly createdAtMs: number;
}

export interface ManagedPolicy extends Entity {
  readonly path: string;
  readonly description?: string;
  /** Ascending; one to five. */
  readonly versions: readonly PolicyVersion[];
  readonly defaultVersionId: string;
  /** Numbers are not used again. */
  readonly nextVersion: number;
  readonly updatedAtMs: number;
  readonly tags: readonly Tag[];
}

/** Its name is the issuer's URL without `https://`. */
export interface OidcProvider extends Entity {
  readonly clientIds: readonly string[];
  readonly thumbprints: readonly string[];
  readonly tags: readonly Tag[];
}

/** Of a user, or of an account's root. The whole document is sealed. */
export interface AccessKey extends Entity {
  readonly secretAccessKey: string;
  /** `undefined`: the account's root. */
  readonly userId?: string;
  readonly status: 'Active' | 'Inactive';
  /** A service account: it can do what its user can do and this policy allows, and never change identities. */
  readonly serviceAccount?: { readonly description: string; readonly policy: string };
}

/** AWS's own policies belong to no account; their ARNs name this one. */
export const AWS_ACCOUNT = 'aws';
