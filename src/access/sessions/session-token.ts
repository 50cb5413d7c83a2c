import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { S3Error } from '../../errors/s3-error.ts';
import type { Randomness } from '../../model/clock.ts';
import type { Tag } from '../../model/object-record.ts';
import type { MasterKey } from '../master-key.ts';

/** Everything about a session; nothing of it is kept on the server. */
export interface SessionClaims {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of whom: a role, or the user or root that asked for it. */
  readonly type: 'assumed-role' | 'user' | 'root';
  readonly accountId: string;
  /** Id of the role or user. */
  readonly entityId?: string;
  /** Of GetSessionToken: the key that was used. The session ends with it. */
  readonly parentKeyId?: string;
  /** RoleSessionName; empty for a session of the user itself. */
  readonly name: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** As it was passed. */
  readonly policy?: string;
  /** Managed policies that narrow the session, as they are at each request. */
  readonly policyArns?: readonly string[];
  readonly tags?: readonly Tag[];
  /** Of `tags`: these go on into sessions that are begun with this one. */
  readonly transitiveTagKeys?: readonly string[];
  readonly sourceIdentity?: string;
  /** More condition keys, lower-case: what an identity provider said. */
  readonly facts?: Readonly<Record<string, readonly string[]>>;
}

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_PURPOSE = 'holdfast session tokens v1';
/** Base64 of this many bytes fits into the headers of a request, with everything else. */
export const LARGEST_SESSION_BYTES = 6 * 1024;

/**
 * Makes and opens session tokens: AES-256-GCM under a key derived from the master key for this cluster and this purpose.
 * Who holds a token can neither read nor change it; without the master key there are none.
 */
export class SessionTokens {
  readonly #key: Buffer;
  readonly #additionalData: Buffer;
  readonly #randomness: Randomness;

  constructor({
    masterKey,
    clusterId,
    randomness,
  }: {
    masterKey: MasterKey;
    clusterId: string;
    randomness: Randomness;
  }) {
    this.#key = Buffer.from(hkdfSync('sha256', masterKey, clusterId, KEY_PURPOSE, 32));
    this.#additionalData = Buffer.from(JSON.stringify(['holdfast session', VERSION, clusterId]));
    this.#randomness = randomness;
  }

  /** Base64. @param claims at most LARGEST_SESSION_BYTES of JSON; the caller's to check with `sizeOf` */
  seal(claims: SessionClaims): string {
    const nonce = this.#randomness.bytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(this.#additionalData);
    const sealed = [cipher.update(JSON.stringify(claims), 'utf8'), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat([Buffer.from([VERSION]), nonce, ...sealed]).toString('base64');
  }

  /** @throws S3Error InvalidToken: it was not sealed here, or changed */
  open(token: string): SessionClaims {
    const bytes = Buffer.from(token, 'base64');
    // The text must be the one that was handed out: base64 is read with a tolerance that signatures are not.
    const isOurs = bytes[0] === VERSION && bytes.length > 1 + NONCE_BYTES + TAG_BYTES;
    if (!isOurs || bytes.toString('base64') !== token) throw new S3Error('InvalidToken');
    const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(this.#additionalData);
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    try {
      const plain = decipher.update(bytes.subarray(1 + NONCE_BYTES, bytes.length - TAG_BYTES));
      return JSON.parse(Buffer.concat([plain, decipher.final()]).toString()) as SessionClaims;
    } catch (cause) {
      throw new S3Error('InvalidToken', { cause });
    }
  }
}

export function sizeOfSession(claims: SessionClaims): number {
  return Buffer.byteLength(JSON.stringify(claims));
}
