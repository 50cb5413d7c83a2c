import { S3Error } from '../errors/s3-error.ts';
import {
  isPublicGrant,
  ownersGrants,
  ownershipOf,
  type AclPermission,
  type Grant,
  type Grantee,
  type GranteeGroup,
  type ObjectOwnership,
} from '../model/access-control.ts';
import { publicAccessBlockOf, type PublicAccessBlock } from '../model/bucket-access.ts';
import type { BucketConfiguration } from '../model/bucket-configuration.ts';
import type { BucketRecord, ObjectRecord, Owner } from '../model/object-record.ts';

/** An ACL as a request states it. */
export type AclWish =
  | { readonly kind: 'canned'; readonly name: CannedAcl }
  /** By headers, or by a document, which also names the owner. */
  | { readonly kind: 'grants'; readonly grants: readonly WishedGrant[]; readonly ownerId?: string };

export interface WishedGrant {
  readonly grantee: { readonly canonicalId: string } | { readonly group: GranteeGroup } | { readonly email: string };
  readonly permission: AclPermission;
}

export const CANNED_ACLS = [
  'authenticated-read',
  'aws-exec-read',
  'bucket-owner-full-control',
  'bucket-owner-read',
  'log-delivery-write',
  'private',
  'public-read',
  'public-read-write',
] as const;
export type CannedAcl = (typeof CANNED_ACLS)[number];

/** Who there is to grant something to. */
export interface AccountDirectory {
  accountOfCanonicalId(canonicalId: string): Owner | undefined;
}

/** What is blocked in all buckets of an account. */
export interface AccountBlocks {
  /** `undefined`: nothing but what buckets block. */
  of(accountId: string): PublicAccessBlock | undefined;
  /** Resolves when it holds; `undefined` removes it. @throws S3Error NotImplemented (format 1) */
  set(accountId: string, block: PublicAccessBlock | undefined): Promise<void>;
}

/** What a new object has. */
export interface ObjectOwnerAndAcl {
  readonly owner: Owner;
  /** `undefined`: full control for the owner. */
  readonly acl: readonly Grant[] | undefined;
}

export interface AccessControlOptions {
  readonly accounts: AccountDirectory;
  /** Of new buckets. */
  readonly defaultOwnership: ObjectOwnership;
  /** What holds in all buckets of an account; `undefined`: nothing. */
  readonly accountBlock: (accountId: string) => PublicAccessBlock | undefined;
}

/** Where ACLs are disabled these say what is so anyway; rclone sends `private` with each upload unless told otherwise. */
const HOLDING: ReadonlySet<string> = new Set(['private', 'bucket-owner-full-control']);

/** S3's rules about who owns objects, and what ACLs may say. */
export class AccessControlService {
  readonly #options: AccessControlOptions;

  constructor(options: AccessControlOptions) {
    this.#options = options;
  }

  /** Public ACLs cannot be put: here, or in all of the account. */
  blocksPublicAcls({ owner, configuration }: BucketRecord): boolean {
    return (
      publicAccessBlockOf(configuration.publicAccessBlock)?.blockPublicAcls === true ||
      this.#options.accountBlock(owner.accountId)?.blockPublicAcls === true
    );
  }

  /** The same for public policies. */
  blocksPublicPolicy({ owner, configuration }: BucketRecord): boolean {
    return (
      publicAccessBlockOf(configuration.publicAccessBlock)?.blockPublicPolicy === true ||
      this.#options.accountBlock(owner.accountId)?.blockPublicPolicy === true
    );
  }

  /**
   * Who owns what is uploaded, and its ACL. What nobody signed belongs to the bucket's owner.
   *
   * @throws S3Error AccessControlListNotSupported | AccessDenied (public ones are blocked) | InvalidArgument |
   *   UnresolvableGrantByEmailAddress | NotImplemented
   */
  ofUpload(
    bucket: BucketRecord,
    writer: { readonly owner: Owner; readonly isAnonymous: boolean },
    wish: AclWish | undefined,
  ): ObjectOwnerAndAcl {
    const ownership = ownershipOf(bucket.configuration.ownershipControls);
    const givesAll = wish?.kind === 'canned' && wish.name === 'bucket-owner-full-control';
    if (ownership === 'BucketOwnerEnforced') {
      if (wish !== undefined) this.#requireHolding(bucket.owner, wish);
      return { owner: bucket.owner, acl: undefined };
    }
    const isBucketOwners = writer.isAnonymous || (ownership === 'BucketOwnerPreferred' && givesAll);
    const owner = isBucketOwners ? bucket.owner : writer.owner;
    return { owner, acl: wish === undefined ? undefined : this.#grantsOf(wish, { owner, bucket, isObject: true }) };
  }

  /** @throws S3Error as `ofUpload`; AccessDenied (of another owner) */
  ofObject(bucket: BucketRecord, object: ObjectRecord, wish: AclWish): readonly Grant[] | undefined {
    if (this.#isEnforced(bucket)) {
      this.#requireHolding(bucket.owner, wish);
      return object.acl;
    }
    return this.#grantsOf(wish, { owner: object.owner, bucket, isObject: true });
  }

  /** @throws S3Error as `ofObject` */
  ofBucket(bucket: BucketRecord, wish: AclWish): readonly Grant[] | undefined {
    if (this.#isEnforced(bucket)) {
      this.#requireHolding(bucket.owner, wish);
      return bucket.configuration.acl;
    }
    return this.#grantsOf(wish, { owner: bucket.owner, bucket, isObject: false });
  }

  /**
   * Ownership and ACL of a bucket to be made.
   * @throws S3Error InvalidBucketAclWithObjectOwnership | InvalidBucketAclWithBlockPublicAccessError and as `ofBucket`
   */
  ofNewBucket(
    owner: Owner,
    ownership: ObjectOwnership | undefined,
    wish: AclWish | undefined,
    block: PublicAccessBlock | undefined,
  ): Pick<BucketConfiguration, 'acl' | 'ownershipControls'> {
    const holding = ownership ?? this.#options.defaultOwnership;
    const controls = ownership === undefined && holding === 'BucketOwnerEnforced' ? {} : { ownershipControls: holding };
    if (wish === undefined) return controls;
    const acl = normalized(this.#expand(wish, { owner, bucketOwner: owner, isObject: false }), owner);
    if (acl === undefined) return controls;
    if (holding === 'BucketOwnerEnforced') throw new S3Error('InvalidBucketAclWithObjectOwnership');
    const isBlocked = block?.blockPublicAcls === true || this.#options.accountBlock(owner.accountId)?.blockPublicAcls;
    if (isBlocked && acl.some(isPublicGrant)) throw new S3Error('InvalidBucketAclWithBlockPublicAccessError');
    return { ...controls, acl };
  }

  /** What is shown: where ACLs are disabled, everything is the bucket owner's. */
  shown(bucket: BucketRecord, object?: ObjectRecord): { owner: Owner; grants: readonly Grant[] } {
    if (this.#isEnforced(bucket)) return { owner: bucket.owner, grants: ownersGrants(bucket.owner) };
    const owner = object?.owner ?? bucket.owner;
    const acl = object === undefined ? bucket.configuration.acl : object.acl;
    return { owner, grants: acl ?? ownersGrants(owner) };
  }

  #isEnforced({ configuration }: BucketRecord): boolean {
    return ownershipOf(configuration.ownershipControls) === 'BucketOwnerEnforced';
  }

  /** ACLs are disabled: one that says what holds anyway is all that can be put. */
  #requireHolding(owner: Owner, wish: AclWish): void {
    if (wish.kind === 'canned' && HOLDING.has(wish.name)) return;
    const isHolding =
      wish.kind === 'grants' &&
      normalized(this.#expand(wish, { owner, bucketOwner: owner, isObject: true }), owner) === undefined;
    if (!isHolding) throw new S3Error('AccessControlListNotSupported');
  }

  #grantsOf(
    wish: AclWish,
    { owner, bucket, isObject }: { owner: Owner; bucket: BucketRecord; isObject: boolean },
  ): readonly Grant[] | undefined {
    if (wish.kind === 'grants' && wish.ownerId !== undefined && wish.ownerId !== owner.canonicalId) {
      throw new S3Error('AccessDenied');
    }
    const grants = this.#expand(wish, { owner, bucketOwner: bucket.owner, isObject });
    if (this.blocksPublicAcls(bucket) && grants.some(isPublicGrant)) {
      throw new S3Error('AccessDenied', { message: 'Public ACLs are blocked by the BlockPublicAcls setting.' });
    }
    return normalized(grants, owner);
  }

  #expand(
    wish: AclWish,
    { owner, bucketOwner, isObject }: { owner: Owner; bucketOwner: Owner; isObject: boolean },
  ): readonly Grant[] {
    if (wish.kind === 'grants') return wish.grants.map((grant) => this.#resolve(grant));
    if (wish.name === 'aws-exec-read') {
      throw new S3Error('NotImplemented', { details: { Header: 'x-amz-acl' } });
    }
    const others = GROUPS_OF[wish.name].map(([group, permission]): Grant => ({ grantee: { group }, permission }));
    const grants = [...others, ...ownersGrants(owner)];
    if (!isObject || bucketOwner.canonicalId === owner.canonicalId) return grants;
    const { canonicalId, displayName } = bucketOwner;
    if (wish.name === 'bucket-owner-read') grants.push({ grantee: { canonicalId, displayName }, permission: 'READ' });
    if (wish.name === 'bucket-owner-full-control') grants.push(...ownersGrants(bucketOwner));
    return grants;
  }

  /** @throws S3Error InvalidArgument | UnresolvableGrantByEmailAddress */
  #resolve({ grantee, permission }: WishedGrant): Grant {
    if ('group' in grantee) return { grantee, permission };
    if ('email' in grantee) throw new S3Error('UnresolvableGrantByEmailAddress');
    const account = this.#options.accounts.accountOfCanonicalId(grantee.canonicalId);
    if (account === undefined) {
      throw new S3Error('InvalidArgument', {
        message: 'Invalid id',
        details: { ArgumentName: 'CanonicalUser/ID', ArgumentValue: grantee.canonicalId },
      });
    }
    const known: Grantee = { canonicalId: account.canonicalId, displayName: account.displayName };
    return { grantee: known, permission };
  }
}

/** What canned ACLs give to groups; the owner has full control in each. */
const GROUPS_OF: Readonly<Record<CannedAcl, readonly (readonly [GranteeGroup, AclPermission])[]>> = {
  'authenticated-read': [['AuthenticatedUsers', 'READ']],
  'aws-exec-read': [],
  'bucket-owner-full-control': [],
  'bucket-owner-read': [],
  'log-delivery-write': [
    ['LogDelivery', 'WRITE'],
    ['LogDelivery', 'READ_ACP'],
  ],
  private: [],
  'public-read': [['AllUsers', 'READ']],
  'public-read-write': [
    ['AllUsers', 'READ'],
    ['AllUsers', 'WRITE'],
  ],
};

/** `undefined` for what is the default anyway. */
function normalized(grants: readonly Grant[], owner: Owner): readonly Grant[] | undefined {
  const [only] = grants;
  const isDefault =
    grants.length === 1 &&
    only!.permission === 'FULL_CONTROL' &&
    'canonicalId' in only!.grantee &&
    only!.grantee.canonicalId === owner.canonicalId;
  return isDefault ? undefined : grants;
}
