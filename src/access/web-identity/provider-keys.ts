import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../../model/clock.ts';
import type { OidcProvider } from '../identities/entities.ts';

export interface ProviderKeysOptions {
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  /** A JSON document from the issuer. Rejects with what was wrong. */
  readonly fetchJson: (url: string, provider: OidcProvider) => Promise<unknown>;
}

interface KnownKeys {
  readonly find: JWTVerifyGetKey;
  readonly fetchedAtMs: number;
}

interface ProviderState {
  keys: KnownKeys | undefined;
  /** The last attempt, whether it worked or not. Monotonic. */
  triedAtMs: number;
  fetching: Promise<KnownKeys> | undefined;
}

const FRESH_MS = 10 * 60 * 1000;
/** Anybody can send a token with an unknown key: not each of them makes a request to the issuer. */
const BETWEEN_ATTEMPTS_MS = 10_000;

/** The issuer's keys cannot be had now. */
export class ProviderUnreachableError extends Error {}

/**
 * Keys of registered issuers, by discovery. Fetched when they are first needed, again after ten minutes, and when a token
 * names a key that is not among them: an issuer that changes its keys is believed at once.
 */
export class ProviderKeys {
  readonly #options: ProviderKeysOptions;
  /** A provider that is changed is another record: everything begins anew. */
  readonly #states = new WeakMap<OidcProvider, ProviderState>();

  constructor(options: ProviderKeysOptions) {
    this.#options = options;
  }

  /** For `jwtVerify`. @throws ProviderUnreachableError; JOSEError when there is no such key */
  finder(provider: OidcProvider): JWTVerifyGetKey {
    return async (header, token) => {
      const keys = await this.#keysOf(provider, (known) => this.#isFresh(known));
      try {
        return await keys.find(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        const newer = await this.#keysOf(provider, (known) => known !== keys);
        return await newer.find(header, token);
      }
    };
  }

  #isFresh({ fetchedAtMs }: KnownKeys): boolean {
    return this.#options.clock.monotonicMs() - fetchedAtMs < FRESH_MS;
  }

  async #keysOf(provider: OidcProvider, isGood: (known: KnownKeys) => boolean): Promise<KnownKeys> {
    let state = this.#states.get(provider);
    if (state === undefined) {
      state = { keys: undefined, triedAtMs: Number.NEGATIVE_INFINITY, fetching: undefined };
      this.#states.set(provider, state);
    }
    if (state.keys !== undefined && isGood(state.keys)) return state.keys;
    if (state.fetching === undefined) {
      const nowMs = this.#options.clock.monotonicMs();
      if (nowMs - state.triedAtMs < BETWEEN_ATTEMPTS_MS) {
        if (state.keys !== undefined && this.#isFresh(state.keys)) return state.keys;
        throw new ProviderUnreachableError('the issuer was asked a moment ago');
      }
      state.triedAtMs = nowMs;
      state.fetching = this.#fetch(provider, state);
    }
    return await state.fetching;
  }

  async #fetch(provider: OidcProvider, state: ProviderState): Promise<KnownKeys> {
    try {
      const issuer = `https://${provider.name}`;
      const discovery = await this.#document(provider, `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
      if (discovery['issuer'] !== issuer) throw new Error('the discovery document is of another issuer');
      const { jwks_uri: jwksUri } = discovery;
      if (typeof jwksUri !== 'string') throw new Error('the discovery document has no jwks_uri');
      const keySet = await this.#document(provider, jwksUri);
      const find = createLocalJWKSet(keySet as unknown as JSONWebKeySet);
      state.keys = { find, fetchedAtMs: this.#options.clock.monotonicMs() };
      return state.keys;
    } catch (cause) {
      throw new ProviderUnreachableError(`the keys of ${provider.name} could not be fetched`, { cause });
    } finally {
      state.fetching = undefined;
    }
  }

  async #document(provider: OidcProvider, url: string): Promise<Record<string, unknown>> {
    const document = await this.#options.fetchJson(url, provider);
    if (typeof document !== 'object' || document === null) throw new Error('the answer is no JSON object');
    return document as Record<string, unknown>;
  }
}
