/** A bucket policy, as the client put it. */
export interface BucketPolicyConfiguration {
  readonly document: string;
  /**
   * Put with `x-amz-confirm-remove-self-bucket-access`: a Deny in it holds for the owner's root too, which may else
   * always read, replace and delete the policy.
   */
  readonly bindsOwner: boolean;
}

/** @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html */
export interface PublicAccessBlock {
  readonly blockPublicAcls: boolean;
  readonly ignorePublicAcls: boolean;
  /** Public policies cannot be put. */
  readonly blockPublicPolicy: boolean;
  /** A public policy gives nothing to anonymous callers and other accounts. */
  readonly restrictPublicBuckets: boolean;
}

/** What holds for a bucket of which nothing was said, as AWS gives it to new ones. */
export const ALL_PUBLIC_ACCESS_BLOCKED: PublicAccessBlock = {
  blockPublicAcls: true,
  ignorePublicAcls: true,
  blockPublicPolicy: true,
  restrictPublicBuckets: true,
};

/** `none`: it was deleted. */
export type PublicAccessBlockSetting = PublicAccessBlock | 'none';

/** What holds in a bucket; `undefined`: nothing is blocked, because the configuration was deleted. */
export function publicAccessBlockOf(setting: PublicAccessBlockSetting | undefined): PublicAccessBlock | undefined {
  return setting === 'none' ? undefined : (setting ?? ALL_PUBLIC_ACCESS_BLOCKED);
}
