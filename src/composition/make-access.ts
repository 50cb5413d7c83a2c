import { AccountPublicAccess } from '../access/account-public-access.ts';
import { Callers } from '../access/callers.ts';
import type { CredentialStore } from '../access/credential-store.ts';
import { Identities } from '../access/identities/identities.ts';
import { KeyUses } from '../access/identities/key-use.ts';
import { PolicyAuthorizer } from '../access/policy-authorizer.ts';
import type { Credential, CredentialSource } from '../access/principal.ts';
import { Sessions } from '../access/sessions/sessions.ts';
import { TrustPolicies } from '../access/sessions/trust-policy.ts';
import { fetchJson } from '../access/web-identity/fetch-json.ts';
import { WebIdentities } from '../access/web-identity/web-identities.ts';
import type { ServerOptions } from '../cli/server-types.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Randomness } from '../model/clock.ts';
import { AccessControlService } from '../service/access-control.ts';

/** Who may do what. Made before the stores are open: until then nobody is known and nothing is allowed. */
export interface Access {
  readonly identities: Identities;
  readonly keyUses: KeyUses;
  readonly randomness: Randomness;
  readonly credentials: CredentialSource;
  readonly authorizer: PolicyAuthorizer;
  readonly sessions: Sessions;
  readonly trustPolicies: TrustPolicies;
  readonly webIdentities: WebIdentities;
  readonly accountPublicAccess: AccountPublicAccess;
}

export interface AccessParts {
  /** @throws StoreError NotReady before the metadata store has started */
  readonly store: () => Pick<MetadataStore, 'getBucket' | 'getObject'>;
  readonly rootCredentials: () => CredentialStore | undefined;
}

export function makeAccess(
  { clock, config, randomness, secrets }: Pick<ServerOptions, 'clock' | 'config' | 'randomness' | 'secrets'>,
  parts: AccessParts,
): Access {
  const accountPublicAccess = new AccountPublicAccess();
  const identities = new Identities({ masterKey: secrets.masterKey, randomness });
  const keyUses = new KeyUses(clock, config.s3.region);
  const onUse = (accessKeyId: string, action: string): void => {
    if (identities.accessKeys.get(accessKeyId) !== undefined) keyUses.note(accessKeyId, action);
  };
  const findPermanent = (accessKeyId: string): Credential | undefined =>
    parts.rootCredentials()?.find(accessKeyId) ?? identities.findCredential(accessKeyId);
  const sessions = new Sessions({ identities, findPermanent, clock, randomness });
  return {
    identities,
    keyUses,
    sessions,
    trustPolicies: new TrustPolicies(),
    webIdentities: new WebIdentities(identities, {
      clock,
      fetchJson: (url, { thumbprints }) =>
        fetchJson(url, { thumbprints, allowsPrivate: config.identity.privateIssuers, nowMs: clock.nowMs() }),
    }),
    randomness,
    credentials: {
      find: (accessKeyId, sessionToken) =>
        sessionToken === undefined ? findPermanent(accessKeyId) : sessions.find(accessKeyId, sessionToken),
    },
    authorizer: new PolicyAuthorizer(parts.store, new Callers(identities), onUse, (id) => accountPublicAccess.of(id)),
    accountPublicAccess,
  };
}

/** The rules of ownership and ACLs over these accounts. */
export function makeAccessControl(
  { identities, accountPublicAccess }: Access,
  { config }: Pick<ServerOptions, 'config'>,
): AccessControlService {
  return new AccessControlService({
    accounts: identities,
    defaultOwnership: config.s3.objectOwnership,
    accountBlock: (accountId) => accountPublicAccess.of(accountId),
  });
}

const WRITE_USES_EVERY_MS = 10 * 60_000;

/**
 * What cannot be read is named in the log and does not exist: the server starts, and nobody gets more because of it.
 * Resolves with what ends it, which writes when keys were last used.
 */
export async function openIdentities(
  { identities, keyUses, sessions, accountPublicAccess }: Access,
  { clock, log, secrets }: Pick<ServerOptions, 'clock' | 'log' | 'secrets'>,
  { store, clusterId, credentials }: { store: MetadataStore; clusterId: string; credentials: CredentialStore },
): Promise<() => Promise<void>> {
  const { unreadable } = await identities.open(store, { clusterId, firstOwner: credentials.owner });
  sessions.open({ masterKey: secrets.masterKey, clusterId });
  await accountPublicAccess.open(store);
  for (const { collection, id, problem } of unreadable) {
    log.error({ collection, id, err: problem }, 'a user, key, role or policy cannot be read: it counts as absent');
  }
  await keyUses.open(store);
  const write = async (): Promise<void> => {
    try {
      await keyUses.write(store, (accessKeyId) => identities.accessKeys.get(accessKeyId) !== undefined);
    } catch (error) {
      log.warn({ err: error }, 'when access keys were last used could not be written; it is tried again');
    }
  };
  let cancel = (): void => {};
  const writeAgain = (): void => {
    cancel = clock.schedule(WRITE_USES_EVERY_MS, () => void write().then(writeAgain));
  };
  writeAgain();
  return async () => {
    cancel();
    await write();
  };
}
