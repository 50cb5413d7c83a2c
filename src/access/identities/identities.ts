import type { MetadataStore } from '../../metadata-store/metadata-store.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { Randomness } from '../../model/clock.ts';
import type { Owner } from '../../model/object-record.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import type { MasterKey } from '../master-key.ts';
import type { Credential } from '../principal.ts';
import { credentialOf } from './credential-of.ts';
import type { AccessKey, Account, Entity, Group, ManagedPolicy, OidcProvider, Role, User } from './entities.ts';
import { decodeEntity, encodeEntity, type EntitySeal } from './entity-codec.ts';
import { EntityTable, type EntityReader } from './entity-table.ts';

/** By kind; each is a collection of documents. */
export interface EntityKinds {
  accounts: Account;
  users: User;
  groups: Group;
  roles: Role;
  policies: ManagedPolicy;
  oidcProviders: OidcProvider;
  accessKeys: AccessKey;
}
export type EntityKind = keyof EntityKinds;

const COLLECTIONS: Readonly<Record<EntityKind, string>> = {
  accounts: 'iam-accounts',
  users: 'iam-users',
  groups: 'iam-groups',
  roles: 'iam-roles',
  policies: 'iam-policies',
  oidcProviders: 'iam-oidc-providers',
  accessKeys: 'iam-access-keys',
};
const KINDS = Object.keys(COLLECTIONS) as EntityKind[];
const SEALED = new Set<EntityKind>(['accessKeys']);

export interface IdentitiesOptions {
  /** `undefined`: the key file is lost; stored access keys cannot be opened, and let nobody in. */
  readonly masterKey: MasterKey | undefined;
  readonly randomness: Randomness;
}

/** Where they are kept. */
export type IdentityDocuments = Pick<MetadataStore, 'commit' | 'formatVersion' | 'getDocument' | 'listDocuments'>;

/** A document that is not understood. What it describes does not exist here: nothing is allowed because of it. */
export interface UnreadableEntity {
  readonly collection: string;
  readonly id: string;
  readonly problem: Error;
}

/** What a change may do: one document each, visible when it is acknowledged. */
export type IdentityWriter = {
  readonly [K in EntityKind]: {
    put(entity: EntityKinds[K]): Promise<void>;
    delete(id: string): Promise<void>;
  };
};

/**
 * All accounts, users, groups, roles, policies and keys, in memory; documents of the metadata store, on every disk. Reads
 * are synchronous. Changes go one after the other, and what they write is seen when it is acknowledged: from the next
 * request on. Each entity is one document, so that a crash leaves the one before or the one after; a change of several
 * must take rights before it gives some.
 */
export class Identities {
  readonly #options: IdentitiesOptions;
  readonly #tables: { readonly [K in EntityKind]: EntityTable<EntityKinds[K]> } = {
    accounts: new EntityTable(),
    users: new EntityTable(),
    groups: new EntityTable(),
    roles: new EntityTable(),
    policies: new EntityTable(),
    oidcProviders: new EntityTable(),
    accessKeys: new EntityTable(),
  };
  /** Of keys that were asked for, as long as nothing changes. */
  readonly #credentials = new Map<string, { revision: number; credential: Credential | undefined }>();
  readonly #writer: IdentityWriter;
  /** Documents whose last write failed: whether it happened is not known until the store tells. */
  readonly #doubtful = new Map<string, { kind: EntityKind; id: string }>();
  #store: IdentityDocuments | undefined;
  #clusterId = '';
  #firstOwner: Owner | undefined;
  #revision = 0;
  /** One change after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: IdentitiesOptions) {
    this.#options = options;
    this.#writer = Object.fromEntries(
      KINDS.map((kind) => [
        kind,
        {
          put: (entity: Entity) => this.#put(kind, entity),
          delete: (id: string) => this.#delete(kind, id),
        },
      ]),
    ) as unknown as IdentityWriter;
  }

  /** Loads everything. Call when the metadata store has started; until then there is nobody. */
  async open(
    store: IdentityDocuments,
    { clusterId, firstOwner }: { clusterId: string; firstOwner: Owner },
  ): Promise<{ unreadable: UnreadableEntity[] }> {
    const unreadable: UnreadableEntity[] = [];
    this.#clusterId = clusterId;
    for (const kind of KINDS) {
      const collection = COLLECTIONS[kind];
      for (const { id, body } of await store.listDocuments(collection)) {
        try {
          this.#tables[kind].set(decodeEntity(id, body, this.#sealOf(kind, id)) as never);
        } catch (problem) {
          unreadable.push({ collection, id, problem: problem as Error });
        }
      }
    }
    this.#store = store;
    this.#firstOwner = firstOwner;
    this.#revision += 1;
    return { unreadable };
  }

  get users(): EntityReader<User> {
    return this.#tables.users;
  }

  get groups(): EntityReader<Group> {
    return this.#tables.groups;
  }

  get roles(): EntityReader<Role> {
    return this.#tables.roles;
  }

  get policies(): EntityReader<ManagedPolicy> {
    return this.#tables.policies;
  }

  get oidcProviders(): EntityReader<OidcProvider> {
    return this.#tables.oidcProviders;
  }

  get accessKeys(): EntityReader<AccessKey> {
    return this.#tables.accessKeys;
  }

  /** Accounts beside the first. */
  get furtherAccounts(): EntityReader<Account> {
    return this.#tables.accounts;
  }

  /** Changes with everything that is here: what was derived before may not hold any more. */
  get revision(): number {
    return this.#revision;
  }

  /** The first account's is the cluster's owner. */
  ownerOf(accountId: string): Owner | undefined {
    if (this.#firstOwner?.accountId === accountId) return this.#firstOwner;
    const account = this.#tables.accounts.get(accountId);
    if (account === undefined) return undefined;
    return { accountId, canonicalId: account.canonicalId, displayName: account.name };
  }

  /** The first account first. */
  accountIds(): string[] {
    const first = this.#firstOwner === undefined ? [] : [this.#firstOwner.accountId];
    return [...first, ...[...this.#tables.accounts.all()].map(({ id }) => id)];
  }

  accountOfCanonicalId(canonicalId: string): Owner | undefined {
    return this.accountIds()
      .map((id) => this.ownerOf(id))
      .find((owner) => owner?.canonicalId === canonicalId);
  }

  /** Of an active key whose account and user exist. One map lookup, after the first time. */
  findCredential(accessKeyId: string): Credential | undefined {
    const cached = this.#credentials.get(accessKeyId);
    if (cached?.revision === this.#revision) return cached.credential;
    const key = this.#tables.accessKeys.get(accessKeyId);
    const credential = key === undefined ? undefined : this.#credentialOf(key);
    if (key === undefined) this.#credentials.delete(accessKeyId);
    else this.#credentials.set(accessKeyId, { revision: this.#revision, credential });
    return credential;
  }

  #credentialOf(key: AccessKey): Credential | undefined {
    const owner = this.ownerOf(key.accountId);
    const isOrphan = key.userId !== undefined && this.#tables.users.get(key.userId)?.accountId !== key.accountId;
    return owner === undefined || isOrphan ? undefined : credentialOf(key, owner);
  }

  /**
   * Runs `work` when every change before it has ended: what it reads here nobody else changes meanwhile.
   *
   * @throws what `work` throws; StoreError when the store cannot take it (what was written before stays);
   *   S3Error NotImplemented in a store that is kept in an older format
   */
  change<T>(work: (writer: IdentityWriter) => Promise<T>): Promise<T> {
    const changed = this.#changing.then(async () => {
      requireStoreFormat(this.#openStore().formatVersion(), 2, 'A user, role or policy');
      await this.#settleDoubts();
      return await work(this.#writer);
    });
    this.#changing = changed.catch(() => {});
    return changed;
  }

  async #put(kind: EntityKind, entity: Entity): Promise<void> {
    const body = encodeEntity(entity, this.#sealOf(kind, entity.id));
    const address = { collection: COLLECTIONS[kind], id: entity.id };
    await this.#commit(kind, entity.id, () => this.#openStore().commit({ type: 'PutDocument', address, body }));
    this.#tables[kind].set(Object.freeze({ ...entity }) as never);
    this.#revision += 1;
  }

  async #delete(kind: EntityKind, id: string): Promise<void> {
    const address = { collection: COLLECTIONS[kind], id };
    await this.#commit(kind, id, () => this.#openStore().commit({ type: 'DeleteDocument', address }));
    this.#tables[kind].remove(id);
    this.#revision += 1;
  }

  /** A write that failed may have happened nevertheless. */
  async #commit(kind: EntityKind, id: string, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#doubtful.set(`${kind}/${id}`, { kind, id });
      throw error;
    }
  }

  /** Takes over what the store says of writes that failed. @throws StoreError when it cannot say it yet */
  async #settleDoubts(): Promise<void> {
    for (const [name, { kind, id }] of this.#doubtful) {
      const body = await this.#openStore().getDocument({ collection: COLLECTIONS[kind], id });
      if (body === undefined) this.#tables[kind].remove(id);
      else this.#tables[kind].set(decodeEntity(id, body, this.#sealOf(kind, id)) as never);
      this.#doubtful.delete(name);
      this.#revision += 1;
    }
  }

  #sealOf(kind: EntityKind, id: string): EntitySeal | undefined {
    if (!SEALED.has(kind)) return undefined;
    const { masterKey, randomness } = this.#options;
    const context = { clusterId: this.#clusterId, address: { collection: COLLECTIONS[kind], id } };
    return { context: masterKey === undefined ? undefined : { masterKey, ...context }, randomness };
  }

  #openStore(): IdentityDocuments {
    if (this.#store === undefined) throw new StoreError('NotReady', 'the identities are not open yet');
    return this.#store;
  }
}
