import { Callers } from '../access/callers.ts';
import type { CredentialStore } from '../access/credential-store.ts';
import { Identities } from '../access/identities/identities.ts';
import { PolicyAuthorizer } from '../access/policy-authorizer.ts';
import type { CredentialSource } from '../access/principal.ts';
import type { ServerOptions } from '../cli/server-types.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';

/** Who may do what. Made before the stores are open: until then nobody is known and nothing is allowed. */
export interface Access {
  readonly identities: Identities;
  readonly credentials: CredentialSource;
  readonly authorizer: PolicyAuthorizer;
}

export interface AccessParts {
  /** @throws StoreError NotReady before the metadata store has started */
  readonly store: () => Pick<MetadataStore, 'getBucket' | 'getObject'>;
  readonly rootCredentials: () => CredentialStore | undefined;
}

export function makeAccess(
  { randomness, secrets }: Pick<ServerOptions, 'randomness' | 'secrets'>,
  parts: AccessParts,
): Access {
  const identities = new Identities({ masterKey: secrets.masterKey, randomness });
  return {
    identities,
    credentials: {
      find: (accessKeyId, sessionToken) =>
        parts.rootCredentials()?.find(accessKeyId, sessionToken) ?? identities.findCredential(accessKeyId),
    },
    authorizer: new PolicyAuthorizer(parts.store, new Callers(identities)),
  };
}

/** What cannot be read is named in the log and does not exist: the server starts, and nobody gets more because of it. */
export async function openIdentities(
  { identities }: Access,
  { log }: Pick<ServerOptions, 'log'>,
  { store, clusterId, credentials }: { store: MetadataStore; clusterId: string; credentials: CredentialStore },
): Promise<void> {
  const { unreadable } = await identities.open(store, { clusterId, firstOwner: credentials.owner });
  for (const { collection, id, problem } of unreadable) {
    log.error({ collection, id, err: problem }, 'a user, key, role or policy cannot be read: it counts as absent');
  }
}
