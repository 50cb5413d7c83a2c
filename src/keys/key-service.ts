/** What the owner of a key says along with it: the same pairs open what was sealed with them. */
export type EncryptionContext = Readonly<Record<string, string>>;

export interface GeneratedDataKey {
  /** 32 bytes, the caller's own: to be zeroed after use. */
  readonly plain: Buffer;
  /** The same under the named key, for `decryptDataKey`. */
  readonly sealed: Buffer;
}

/**
 * A service that keeps named keys and gives data keys sealed under them, as AWS KMS does. The named keys never leave it.
 * Keys are named by ARN here; what clients write is resolved by key-arn.ts.
 *
 * @throws S3Error KMS.NotFoundException | KMS.DisabledException | KMS.KMSInvalidStateException (400, as S3 answers)
 * @throws StoreError KeysUnavailable: the service cannot be asked; nothing was done
 */
export interface KeyService {
  /** A new random data key under the newest version of the key. */
  generateDataKey(request: { keyArn: string; context: EncryptionContext }): Promise<GeneratedDataKey>;
  /**
   * Throws as the others where the key may not be used now, so that nobody uses it who keeps a data key of it. Absent: a
   * remote service that is asked again when a kept key has served its time.
   */
  requireUsable?(keyArn: string): void;
  /** Also under older versions of the key. */
  decryptDataKey(request: { keyArn: string; sealed: Buffer; context: EncryptionContext }): Promise<Buffer>;
}

/** One form for the same pairs, whatever their order. */
export function canonicalContext(context: EncryptionContext): string {
  const pairs = Object.entries(context).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(pairs);
}
