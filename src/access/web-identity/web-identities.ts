import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { IamError } from '../../errors/iam-error.ts';
import { oidcProviderArn } from '../identities/arns.ts';
import type { OidcProvider } from '../identities/entities.ts';
import type { Identities } from '../identities/identities.ts';
import { ProviderKeys, type ProviderKeysOptions, ProviderUnreachableError } from './provider-keys.ts';

/** What a verified token says. */
export interface WebIdentity {
  readonly providerArn: string;
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  /** Condition keys, lower-case: `issuer.example/realm:sub`, `…:aud`, `aws:federatedprovider`. */
  readonly facts: Readonly<Record<string, readonly string[]>>;
  readonly claims: JWTPayload;
}

/** Signatures that only the issuer can make; who verifies one holds nothing to forge it with. */
const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const REQUIRED_CLAIMS = ['sub', 'aud', 'exp', 'iat'];

/**
 * Verifies tokens of the OpenID Connect providers that an account has registered. A provider of one account vouches for
 * nobody in another.
 */
export class WebIdentities {
  readonly #identities: Pick<Identities, 'oidcProviders'>;
  readonly #keys: ProviderKeys;

  constructor(identities: Pick<Identities, 'oidcProviders'>, options: ProviderKeysOptions) {
    this.#identities = identities;
    this.#keys = new ProviderKeys(options);
  }

  /**
   * @param accountId of the role that is asked for
   * @throws IamError InvalidIdentityToken | ExpiredTokenException | IDPCommunicationError
   */
  async verify(token: string, accountId: string, nowMs: number): Promise<WebIdentity> {
    const provider = this.#providerOf(token, accountId);
    const issuer = `https://${provider.name}`;
    const claims = await this.#verifiedClaims(token, provider, nowMs);
    const { sub: subject } = claims;
    if (typeof subject !== 'string' || subject === '') throw invalid('Missing a required claim: sub');
    const audience = audienceOf(claims, provider);
    const providerArn = oidcProviderArn(provider);
    return { providerArn, issuer, subject, audience, facts: factsOf(provider, providerArn, claims, audience), claims };
  }

  #providerOf(token: string, accountId: string): OidcProvider {
    let issuer: unknown;
    try {
      issuer = decodeJwt(token).iss;
    } catch (cause) {
      throw invalid('The ID Token provided is not a valid JWT.', cause);
    }
    const provider = this.#identities.oidcProviders.list(accountId).find(({ name }) => `https://${name}` === issuer);
    if (provider === undefined) throw invalid(`No OpenIDConnect provider found in your account for ${String(issuer)}`);
    return provider;
  }

  async #verifiedClaims(token: string, provider: OidcProvider, nowMs: number): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, this.#keys.finder(provider), {
        issuer: `https://${provider.name}`,
        algorithms: ASYMMETRIC,
        requiredClaims: REQUIRED_CLAIMS,
        currentDate: new Date(nowMs),
      });
      return payload;
    } catch (error) {
      if (error instanceof ProviderUnreachableError) {
        const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
        throw new IamError('IDPCommunicationError', undefined, { cause: error, hint: `${error.message}${cause}` });
      }
      if (error instanceof errors.JWTExpired) throw new IamError('ExpiredTokenException', undefined, { cause: error });
      if (error instanceof errors.JWTClaimValidationFailed && error.reason === 'missing') {
        throw invalid(`Missing a required claim: ${error.claim}`, error);
      }
      throw invalid('Couldn’t verify the token: its signature, time or claims are not valid.', error);
    }
  }
}

/**
 * Whom the token is for must be registered: the authorized party, when there is one, else one of the audiences.
 * @throws IamError InvalidIdentityToken
 */
function audienceOf({ aud, azp }: JWTPayload, { clientIds }: OidcProvider): string {
  const meant = azp === undefined ? [aud].flat() : [azp];
  const audience = meant.find((each) => typeof each === 'string' && clientIds.includes(each));
  if (typeof audience !== 'string') throw invalid('Incorrect token audience');
  return audience;
}

function factsOf(
  { name }: OidcProvider,
  providerArn: string,
  { sub, aud, azp, amr }: JWTPayload,
  audience: string,
): Record<string, readonly string[]> {
  const prefix = name.toLowerCase();
  const texts = (value: unknown): string[] => [value].flat().filter((each) => typeof each === 'string');
  return {
    'aws:federatedprovider': [providerArn],
    [`${prefix}:sub`]: [sub!],
    [`${prefix}:aud`]: [audience],
    ...(azp === undefined ? {} : { [`${prefix}:azp`]: texts(azp), [`${prefix}:oaud`]: texts(aud) }),
    ...(amr === undefined ? {} : { [`${prefix}:amr`]: texts(amr) }),
  };
}

function invalid(message: string, cause?: unknown): IamError {
  return new IamError('InvalidIdentityToken', message, { cause });
}
