/** Who owns what is uploaded, and whether ACLs count. */
export type ObjectOwnership = (typeof OBJECT_OWNERSHIPS)[number];
export const OBJECT_OWNERSHIPS = ['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'] as const;

/** `none`: it was deleted. */
export type ObjectOwnershipSetting = ObjectOwnership | 'none';

/** The order is part of the format on disk, here and below. */
export const ACL_PERMISSIONS = ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP', 'FULL_CONTROL'] as const;
export type AclPermission = (typeof ACL_PERMISSIONS)[number];
export const GRANTEE_GROUPS = ['AllUsers', 'AuthenticatedUsers', 'LogDelivery'] as const;
export type GranteeGroup = (typeof GRANTEE_GROUPS)[number];

/** An account by its canonical id, or a group that S3 defines. */
export type Grantee = { readonly canonicalId: string; readonly displayName: string } | { readonly group: GranteeGroup };

export interface Grant {
  readonly grantee: Grantee;
  readonly permission: AclPermission;
}

/** What holds in a bucket; as AWS gives it to new ones where nothing was said. Without controls, writers own. */
export function ownershipOf(setting: ObjectOwnershipSetting | undefined): ObjectOwnership {
  if (setting === undefined) return 'BucketOwnerEnforced';
  return setting === 'none' ? 'ObjectWriter' : setting;
}

/** The ACL of whatever has none of its own. */
export function ownersGrants({ canonicalId, displayName }: { canonicalId: string; displayName: string }): Grant[] {
  return [{ grantee: { canonicalId, displayName }, permission: 'FULL_CONTROL' }];
}

/** To everybody, or to everybody with credentials, which is no narrower. */
export function isPublicGrant({ grantee }: Grant): boolean {
  return 'group' in grantee && grantee.group !== 'LogDelivery';
}
