import { createHmac } from 'node:crypto';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

export const CLIENT_ID = 'holdfast-console';

interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

/** An OpenID Connect issuer without a network: its documents are handed out as the server would fetch them. */
export class TestIssuer {
  readonly url: string;
  readonly asked: string[] = [];
  /** Set: nothing of it can be fetched. */
  isDown = false;
  keys: IssuerKey[] = [];

  constructor(url: string) {
    this.url = url;
  }

  async addKey(kid: string, alg = 'ES256'): Promise<IssuerKey> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const key = { kid, alg, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
    this.keys.push(key);
    return key;
  }

  readonly fetchJson = async (url: string): Promise<unknown> => {
    this.asked.push(url);
    if (this.isDown) throw new Error('connection refused');
    if (url === `${this.url}/.well-known/openid-configuration`) {
      return { issuer: this.url, jwks_uri: `${this.url}/keys` };
    }
    return { keys: this.keys.map(({ publicJwk }) => publicJwk) };
  };

  /** Signed with its newest key unless told otherwise; `undefined` leaves a claim out. */
  async token(
    claims: Record<string, unknown> = {},
    { key = this.keys.at(-1)!, nowMs = Date.now() }: { key?: IssuerKey; nowMs?: number } = {},
  ): Promise<string> {
    return new SignJWT(this.claims(claims, nowMs))
      .setProtectedHeader({ alg: key.alg, kid: key.kid })
      .sign(key.privateKey);
  }

  claims(claims: Record<string, unknown>, nowMs = Date.now()): JWTPayload {
    const iat = Math.floor(nowMs / 1000);
    const all = { iss: this.url, sub: 'user-1', aud: CLIENT_ID, iat, exp: iat + 300, ...claims };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  }
}

/** A token in whatever form an attacker likes. */
export function forgedToken(header: object, claims: object, secret?: string | Buffer): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const text = `${encode(header)}.${encode(claims)}`;
  const signature = secret === undefined ? '' : createHmac('sha256', secret).update(text).digest('base64url');
  return `${text}.${signature}`;
}
