import { createHmac } from 'node:crypto';
import type { Credential } from '../../access/principal.ts';

export interface CredentialScope {
  /** `YYYYMMDD`. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

/** `date/region/service/aws4_request`, as it stands in the string to sign. */
export function scopeText(scope: CredentialScope): string {
  return `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
}

export function hmacSha256(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data, 'utf8').digest();
}

/** Four HMACs. @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function deriveSigningKey(secretAccessKey: string, scope: CredentialScope): Buffer {
  const dateKey = hmacSha256(`AWS4${secretAccessKey}`, scope.date);
  const regionKey = hmacSha256(dateKey, scope.region);
  const serviceKey = hmacSha256(regionKey, scope.service);
  return hmacSha256(serviceKey, 'aws4_request');
}

const MAXIMUM_ENTRIES = 4096;

/** Remembers derived keys. An entry is used only while the credential still has the secret it was derived from. */
export class SigningKeyCache {
  readonly #entries = new Map<string, { secretAccessKey: string; signingKey: Buffer }>();

  get(credential: Pick<Credential, 'accessKeyId' | 'secretAccessKey'>, scope: CredentialScope): Buffer {
    // IAM and STS take any region: nobody may fill the cache with made-up ones, and their requests are few.
    if (scope.service !== 's3') return deriveSigningKey(credential.secretAccessKey, scope);
    const name = `${scope.date}/${scope.region}/${scope.service}/${credential.accessKeyId}`;
    const known = this.#entries.get(name);
    if (known !== undefined && known.secretAccessKey === credential.secretAccessKey) return known.signingKey;
    const signingKey = deriveSigningKey(credential.secretAccessKey, scope);
    if (this.#entries.size >= MAXIMUM_ENTRIES) this.#entries.clear();
    this.#entries.set(name, { secretAccessKey: credential.secretAccessKey, signingKey });
    return signingKey;
  }
}
