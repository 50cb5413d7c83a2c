/** PutBucketEncryption's rule. */
export interface BucketEncryption {
  /** For what nobody says how to encrypt. Absent: the server's default. */
  readonly default?:
    | { readonly algorithm: 'AES256' }
    /** `keyId` as the client wrote it; absent: the default key. */
    | { readonly algorithm: 'aws:kms'; readonly keyId?: string };
  /** For SSE-KMS that does not say itself. */
  readonly bucketKeyEnabled: boolean;
  /** Uploads with SSE-C are refused. */
  readonly blocksCustomerKeys: boolean;
}
