import type { LifecycleConfiguration } from './lifecycle-configuration.ts';
import type { BucketEncryption } from './bucket-encryption.ts';
import type { BucketPolicyConfiguration, PublicAccessBlockSetting } from './bucket-access.ts';
import type { Grant, ObjectOwnershipSetting } from './access-control.ts';
import type { CorsRule } from './cors-rule.ts';
import type { Tag } from './object-record.ts';

/**
 * What is configured of a bucket, by S3's sub-resources. Plain JSON data: each member is one document of the metadata
 * store, written as it stands here. An absent member was never set, or was deleted.
 */
export interface BucketConfiguration {
  /** Absent: versioning was never enabled. */
  readonly versioning?: { readonly status: 'Enabled' | 'Suspended' };
  readonly encryption?: BucketEncryption;
  /** Present: Object Lock is enabled, for ever. */
  readonly objectLock?: ObjectLockConfiguration;
  /** In the order in which they were put. */
  readonly tagging?: readonly Tag[];
  readonly lifecycle?: LifecycleConfiguration;
  readonly policy?: BucketPolicyConfiguration;
  /** The first that matches holds. */
  readonly cors?: readonly CorsRule[];
  /** Absent: all four blocks hold. */
  readonly publicAccessBlock?: PublicAccessBlockSetting;
  /** Absent: BucketOwnerEnforced. */
  readonly ownershipControls?: ObjectOwnershipSetting;
  /** Absent: full control for the owner. Empty: for nobody. */
  readonly acl?: readonly Grant[];
  /** Absent: the owner. */
  readonly requestPayment?: 'Requester';
}

export interface ObjectLockConfiguration {
  readonly defaultRetention?: DefaultRetention;
}

/** What a new version is retained for when its upload does not say; one of `days` and `years`. */
export interface DefaultRetention {
  readonly mode: RetentionMode;
  readonly days?: number;
  readonly years?: number;
}

export type RetentionMode = 'GOVERNANCE' | 'COMPLIANCE';

export type BucketConfigurationName = keyof BucketConfiguration;

/** One member with its value. */
export type BucketConfigurationEntry = {
  readonly [Name in BucketConfigurationName]: {
    readonly name: Name;
    readonly value: NonNullable<BucketConfiguration[Name]>;
  };
}[BucketConfigurationName];
