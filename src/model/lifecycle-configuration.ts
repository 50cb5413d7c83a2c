/** A bucket's lifecycle configuration as it is stored: plain JSON, in the form the client chose. */
export interface LifecycleConfiguration {
  rules: readonly LifecycleRule[];
  /** `x-amz-transition-default-minimum-object-size`. */
  transitionMinimumSize: TransitionMinimumSize;
}

/** `all_storage_classes_128K`: objects below 128 KiB stay where they are, unless a rule's filter names a size. */
export type TransitionMinimumSize = 'all_storage_classes_128K' | 'varies_by_storage_class';

export interface LifecycleRule {
  /** At most 255 characters, unique; generated when the client sent none. */
  id: string;
  isEnabled: boolean;
  /** The old form: `Prefix` in the rule itself. Exactly one of this and `filter` is there. */
  prefix?: string;
  filter?: LifecycleFilter;
  expiration?: LifecycleExpiration;
  transitions?: readonly LifecycleTransition[];
  noncurrentVersionExpiration?: { noncurrentDays: number; newerNoncurrentVersions?: number };
  noncurrentVersionTransitions?: readonly NoncurrentVersionTransition[];
  abortIncompleteMultipartUpload?: { daysAfterInitiation: number };
}

/** What all must hold; empty: every object. */
export interface LifecyclePredicates {
  prefix?: string;
  tags?: readonly LifecycleTag[];
  /** Bytes, both exclusive. */
  objectSizeGreaterThan?: number;
  objectSizeLessThan?: number;
}

export type LifecycleFilter = LifecyclePredicates & { and?: LifecyclePredicates };

export interface LifecycleTag {
  key: string;
  value: string;
}

/** `days` or a date, or `expiredObjectDeleteMarker`. */
export interface LifecycleExpiration {
  days?: number;
  /** Midnight UTC. */
  dateMs?: number;
  expiredObjectDeleteMarker?: boolean;
}

/** `days` or a date. */
export interface LifecycleTransition {
  days?: number;
  /** Midnight UTC. */
  dateMs?: number;
  storageClass: string;
}

export interface NoncurrentVersionTransition {
  noncurrentDays: number;
  newerNoncurrentVersions?: number;
  storageClass: string;
}
