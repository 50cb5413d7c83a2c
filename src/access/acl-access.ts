import { ownersGrants, ownershipOf, type AclPermission, type Grant } from '../model/access-control.ts';
import type { BucketRecord, ObjectRecord } from '../model/object-record.ts';
import type { AuthorizationRequest } from './principal.ts';

/** What an ACL of the bucket gives. @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping */
const BUCKET_RIGHTS: ReadonlyMap<string, AclPermission> = new Map([
  ['s3:ListBucket', 'READ'],
  ['s3:ListBucketMultipartUploads', 'READ'],
  ['s3:ListBucketVersions', 'READ'],
  ['s3:PutObject', 'WRITE'],
  ['s3:GetBucketAcl', 'READ_ACP'],
  ['s3:PutBucketAcl', 'WRITE_ACP'],
]);
const OBJECT_RIGHTS: ReadonlyMap<string, AclPermission> = new Map([
  ['s3:GetObject', 'READ'],
  ['s3:GetObjectTorrent', 'READ'],
  ['s3:GetObjectVersion', 'READ'],
  ['s3:GetObjectVersionTorrent', 'READ'],
  ['s3:GetObjectAcl', 'READ_ACP'],
  ['s3:GetObjectVersionAcl', 'READ_ACP'],
  ['s3:PutObjectAcl', 'WRITE_ACP'],
  ['s3:PutObjectVersionAcl', 'WRITE_ACP'],
]);
/** No ACL gives these, but they are the object owner's to give, not the bucket owner's. */
const OWNERS_ONLY = new Set([
  's3:GetObjectAttributes',
  's3:GetObjectTagging',
  's3:GetObjectVersionAttributes',
  's3:GetObjectVersionTagging',
]);

/** How ownership and ACLs bear on a decision. */
export interface AclFacts {
  /** Whose it is to give. */
  readonly accountId: string;
  readonly isGrantedByAcl: boolean;
  /** The object is of another account than the bucket: the bucket's policy can only deny. */
  readonly policyGivesNothing: boolean;
}

/** False wherever ACLs are disabled: then everything is the bucket owner's, and no object need be looked at. */
export function usesAcls({ configuration }: BucketRecord): boolean {
  return ownershipOf(configuration.ownershipControls) !== 'BucketOwnerEnforced';
}

/** Decided by the object and its owner, where ACLs are in use. */
export function isObjectOwners({ action, isUpload }: AuthorizationRequest): boolean {
  return isUpload !== true && (OBJECT_RIGHTS.has(action) || OWNERS_ONLY.has(action));
}

/**
 * @param object of `isObjectOwners`; `undefined`: there is none
 * @param ignoresPublic IgnorePublicAcls holds, in the bucket or its account
 */
export function aclFacts(
  request: AuthorizationRequest,
  bucket: BucketRecord,
  object: Pick<ObjectRecord, 'acl' | 'owner'> | undefined,
  ignoresPublic: boolean,
): AclFacts {
  const { principal, action, isUpload } = request;
  const bucketAccountId = bucket.owner.accountId;
  const bucketGrants = bucket.configuration.acl ?? ownersGrants(bucket.owner);
  if (isUpload === true) {
    // The ACL of what is about to be written: its writer will own it.
    const accountId = principal.type === 'anonymous' ? bucketAccountId : principal.owner.accountId;
    const isGrantedByAcl = gives(bucketGrants, 'WRITE', request, { accountId: bucketAccountId, ignoresPublic });
    return { accountId, isGrantedByAcl, policyGivesNothing: false };
  }
  if (!isObjectOwners(request)) {
    const right = BUCKET_RIGHTS.get(action);
    const reader = { accountId: bucketAccountId, ignoresPublic };
    const isGrantedByAcl = right !== undefined && gives(bucketGrants, right, request, reader);
    return { accountId: bucketAccountId, isGrantedByAcl, policyGivesNothing: false };
  }
  if (object === undefined) return { accountId: bucketAccountId, isGrantedByAcl: false, policyGivesNothing: false };
  const { accountId } = object.owner;
  const right = OBJECT_RIGHTS.get(action);
  const grants = object.acl ?? ownersGrants(object.owner);
  return {
    accountId,
    isGrantedByAcl: right !== undefined && gives(grants, right, request, { accountId, ignoresPublic }),
    policyGivesNothing: accountId !== bucketAccountId,
  };
}

/** An account's own grants say nothing to its users: what they may is in their policies. */
function gives(
  grants: readonly Grant[],
  right: AclPermission,
  { principal }: AuthorizationRequest,
  { accountId, ignoresPublic }: { accountId: string; ignoresPublic: boolean },
): boolean {
  const isAnonymous = principal.type === 'anonymous';
  return grants.some(({ grantee, permission }) => {
    if (permission !== right && permission !== 'FULL_CONTROL') return false;
    if (!('group' in grantee)) {
      return (
        !isAnonymous && principal.owner.accountId !== accountId && grantee.canonicalId === principal.owner.canonicalId
      );
    }
    if (ignoresPublic || grantee.group === 'LogDelivery') return false;
    return grantee.group === 'AllUsers' || !isAnonymous;
  });
}
