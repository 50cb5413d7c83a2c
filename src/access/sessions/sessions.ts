import { IamError } from '../../errors/iam-error.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { Clock, Randomness } from '../../model/clock.ts';
import { parseStored } from '../identities/credential-of.ts';
import { randomLetters } from '../identities/identifiers.ts';
import type { Identities } from '../identities/identities.ts';
import { findManagedPolicy } from '../identities/policy-library.ts';
import type { MasterKey } from '../master-key.ts';
import type { Policy } from '../policy/policy-document.ts';
import type { Credential, CredentialSource, Principal } from '../principal.ts';
import { LARGEST_SESSION_BYTES, type SessionClaims, SessionTokens, sizeOfSession } from './session-token.ts';

/** AWS's, so that tools know temporary keys; permanent ones never begin with it. */
const TEMPORARY_PREFIX = 'ASIA';
const REMEMBERED_TOKENS = 1024;

export interface SessionsOptions {
  readonly identities: Pick<Identities, 'ownerOf' | 'policies' | 'revision' | 'roles' | 'users'>;
  /** Of permanent keys. */
  readonly findPermanent: (accessKeyId: string) => Credential | undefined;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly randomness: Randomness;
}

/** What is to be put into a session; key, secret and times are made here. */
export type SessionRequest = Omit<SessionClaims, 'accessKeyId' | 'secretAccessKey' | 'issuedAtMs' | 'expiresAtMs'> & {
  readonly durationSeconds: number;
};

export interface IssuedSession {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAtMs: number;
  /** Of what fits into a token, in percent. */
  readonly packedSizePercent: number;
}

interface KnownSession {
  readonly claims: SessionClaims;
  /** Of the identities when `credential` was made. */
  revision: number;
  credential: Credential | undefined;
}

/**
 * Temporary credentials. Nothing of them is stored: the token holds all, and every request asks whether who they stand
 * for still exists and has not ended its sessions. What that user or role may do is looked up by the authorizer, as for
 * anybody, at each decision.
 */
export class Sessions implements CredentialSource {
  readonly #options: SessionsOptions;
  #tokens: SessionTokens | undefined;
  /** What a token holds never changes; opening one costs some microseconds. */
  readonly #known = new Map<string, KnownSession>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Until then, and without a master key, there are no sessions. */
  open({ masterKey, clusterId }: { masterKey: MasterKey | undefined; clusterId: string }): void {
    const { randomness } = this.#options;
    this.#tokens = masterKey === undefined ? undefined : new SessionTokens({ masterKey, clusterId, randomness });
  }

  /** @throws IamError PackedPolicyTooLarge | ServiceUnavailable (there is no master key) */
  issue({ durationSeconds, ...what }: SessionRequest): IssuedSession {
    const tokens = this.#tokens;
    if (tokens === undefined) {
      throw new IamError('ServiceUnavailable', 'Temporary credentials need the master key, which is missing.');
    }
    const { clock, randomness } = this.#options;
    const issuedAtMs = clock.nowMs();
    const accessKeyId = `${TEMPORARY_PREFIX}${randomLetters(randomness, 16)}`;
    const secretAccessKey = randomLetters(randomness, 40).toLowerCase();
    const expiresAtMs = (Math.floor(issuedAtMs / 1000) + durationSeconds) * 1000;
    const claims: SessionClaims = { ...what, accessKeyId, secretAccessKey, issuedAtMs, expiresAtMs };
    const packedSizePercent = Math.ceil((100 * sizeOfSession(claims)) / LARGEST_SESSION_BYTES);
    if (packedSizePercent > 100) throw new IamError('PackedPolicyTooLarge');
    return { accessKeyId, secretAccessKey, sessionToken: tokens.seal(claims), expiresAtMs, packedSizePercent };
  }

  /** @throws S3Error InvalidToken when the token is none of ours, or not of this key, or who it stands for is gone */
  find(accessKeyId: string, sessionToken?: string): Credential | undefined {
    if (sessionToken === undefined) return undefined;
    const known = this.#knownSession(sessionToken);
    if (known.claims.accessKeyId !== accessKeyId) throw new S3Error('InvalidToken');
    const { parentKeyId } = known.claims;
    // The key of root is not among the identities.
    if (parentKeyId !== undefined && this.#options.findPermanent(parentKeyId) === undefined) {
      throw new S3Error('InvalidToken', { hint: 'the key that the session was begun with is gone or disabled' });
    }
    const { revision } = this.#options.identities;
    if (known.revision !== revision) {
      known.credential = this.#credentialOf(known.claims);
      known.revision = revision;
    }
    if (known.credential === undefined) {
      throw new S3Error('InvalidToken', { hint: 'the user or role is gone, or its sessions were ended' });
    }
    return known.credential;
  }

  #knownSession(sessionToken: string): KnownSession {
    let known = this.#known.get(sessionToken);
    if (known === undefined) {
      if (this.#tokens === undefined) throw new S3Error('InvalidToken');
      known = { claims: this.#tokens.open(sessionToken), revision: -1, credential: undefined };
      if (this.#known.size >= REMEMBERED_TOKENS) this.#known.clear();
      this.#known.set(sessionToken, known);
    }
    return known;
  }

  #credentialOf(claims: SessionClaims): Credential | undefined {
    const { identities } = this.#options;
    const { accessKeyId, secretAccessKey, accountId, entityId = '', type, issuedAtMs, expiresAtMs } = claims;
    const owner = identities.ownerOf(accountId);
    if (owner === undefined) return undefined;
    if (type !== 'root') {
      const entity = type === 'user' ? identities.users.get(entityId) : identities.roles.get(entityId);
      if (entity?.accountId !== accountId || issuedAtMs < (entity.notBeforeMs ?? 0)) return undefined;
    }
    const narrowing = this.#narrowing(claims);
    const principal: Principal = {
      type,
      accessKeyId,
      owner,
      ...(type === 'root' ? {} : { entityId }),
      ...(narrowing === undefined ? {} : { narrowedBy: [narrowing] }),
      session: {
        name: claims.name,
        issuedAtMs,
        tags: claims.tags ?? [],
        transitiveTagKeys: claims.transitiveTagKeys ?? [],
        facts: new Map([
          ...Object.entries(claims.facts ?? {}),
          ...(claims.sourceIdentity === undefined ? [] : ([['aws:sourceidentity', [claims.sourceIdentity]]] as const)),
        ]),
      },
    };
    return Object.freeze({ accessKeyId, secretAccessKey, principal: Object.freeze(principal), expiresAtMs });
  }

  /**
   * The session may do what any of its policies allows and none denies, within what its user or role may. When one of
   * them is gone or cannot be read it may do nothing: what that one denied is not known.
   */
  #narrowing({ policy, policyArns = [] }: SessionClaims): Policy | undefined {
    if (policy === undefined && policyArns.length === 0) return undefined;
    const managed = policyArns.map((arn) => {
      const found = findManagedPolicy(this.#options.identities, arn);
      return found?.versions.find(({ id }) => id === found.defaultVersionId)?.document;
    });
    const documents = [policy, ...managed].filter((document) => document !== undefined);
    const policies = documents.map((document) => parseStored(document));
    if (policies.includes(undefined) || documents.length < managed.length + (policy === undefined ? 0 : 1)) {
      return { version: '2012-10-17', id: undefined, statements: [] };
    }
    const statements = policies.flatMap((parsed) => parsed?.statements ?? []);
    return { version: '2012-10-17', id: undefined, statements };
  }
}
