import type { EncryptionContext } from '../../keys/key-service.ts';

/** The 256-bit key that a client sends along, and what S3 shows of it. Never stored, never logged. */
export interface CustomerKey {
  readonly key: Buffer;
  /** Base64 of its MD5, as in `x-amz-server-side-encryption-customer-key-MD5`. */
  readonly keyMd5: string;
}

/** What an upload asks for. */
export type RequestedEncryption =
  | { readonly mode: 'AES256' }
  | {
      readonly mode: 'aws:kms';
      /** As the client wrote it; `undefined`: the default key. */
      readonly keyId: string | undefined;
      readonly context: EncryptionContext;
    }
  | { readonly mode: 'SSE-C'; readonly customerKey: CustomerKey };

/** What answers show of an encrypted version. */
export type EncryptionFacts =
  | { readonly mode: 'AES256' }
  | { readonly mode: 'aws:kms'; readonly keyArn: string; readonly bucketKeyEnabled: boolean }
  | { readonly mode: 'SSE-C'; readonly keyMd5: string };

export type KeyAction = 'kms:GenerateDataKey' | 'kms:Decrypt' | 'kms:Encrypt' | 'kms:ReEncryptFrom' | 'kms:ReEncryptTo';

/** May the caller of the request use this key? @throws S3Error AccessDenied */
export type AuthorizeKey = (action: KeyAction, keyArn: string) => Promise<void>;

/** How an upload asks to be encrypted, and whether its caller may use the key for that. */
export interface EncryptionWish {
  /** `undefined`: as the bucket, or else the server, says. */
  requested: RequestedEncryption | undefined;
  /** For SSE-KMS, also by default; absent: as the bucket says. */
  bucketKeyEnabled?: boolean;
  authorizeKey: AuthorizeKey;
}
