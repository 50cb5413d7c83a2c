import { S3Error } from '../errors/s3-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { Owner } from '../model/object-record.ts';
import { openAccount } from './account.ts';
import { makeKeyPair } from './identities/identifiers.ts';
import type { MasterKey } from './master-key.ts';
import type { Credential, CredentialSource } from './principal.ts';
import { openDocument, sealDocument, SealBrokenError, type SealContext } from './sealed-document.ts';

const ADDRESS = { collection: 'credentials', id: 'root' } as const;

export interface RootKey {
  accessKeyId: string;
  secretAccessKey: string;
}

export interface CredentialStoreOptions {
  clusterId: string;
  /** `undefined`: the key file is lost; stored credentials cannot be opened. */
  masterKey: MasterKey | undefined;
  /** From environment or file; wins over the stored one. */
  configuredRootKey: RootKey | undefined;
  clock: Clock;
  randomness: Randomness;
}

/** No root key can be had. `fix` is the line that repairs it. */
export class NoRootKeyError extends Error {
  readonly hint: string;

  constructor(message: string, hint: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'NoRootKeyError';
    this.hint = hint;
  }
}

/**
 * All credentials, in memory. Built before the metadata store has started: until `open` resolves it knows no key, so
 * that nobody is let in. The owner is the account's, whichever key is used.
 */
export class CredentialStore implements CredentialSource {
  readonly #options: CredentialStoreOptions;
  readonly #byAccessKeyId = new Map<string, Credential>();
  #owner: Owner | undefined;
  #root: Credential | undefined;

  constructor(options: CredentialStoreOptions) {
    this.#options = options;
  }

  /**
   * Loads the account and the root key; makes what does not exist yet. Call when the metadata store has started.
   * @throws NoRootKeyError when a stored root key exists but cannot be opened and none is configured
   */
  async open(store: MetadataStore): Promise<{ isCreated: boolean }> {
    const { owner, isCreated } = await openAccount(store, this.#options.randomness);
    this.#owner = owner;
    this.#use(this.#options.configuredRootKey ?? (await this.#openStoredRootKey(store)));
    return { isCreated };
  }

  /** One map lookup; the caller compares signatures in constant time and does the same work for unknown keys. */
  find(accessKeyId: string, sessionToken?: string): Credential | undefined {
    // Only temporary credentials have one.
    if (sessionToken !== undefined) throw new S3Error('InvalidToken');
    return this.#byAccessKeyId.get(accessKeyId);
  }

  /** @throws Error before `open` */
  get owner(): Owner {
    if (this.#owner === undefined) throw new Error('the credential store is not open');
    return this.#owner;
  }

  /** @throws Error before `open` */
  get root(): RootKey & { source: 'configuration' | 'stored' } {
    if (this.#root === undefined) throw new Error('the credential store is not open');
    const { accessKeyId, secretAccessKey } = this.#root;
    const source = this.#options.configuredRootKey === undefined ? 'stored' : 'configuration';
    return { accessKeyId, secretAccessKey, source };
  }

  /**
   * Replaces the stored root key; the old one is refused from the moment the new one is acknowledged. A configured
   * root key stays in force. Works before `open`, when the old key cannot be opened any more.
   * @throws NoRootKeyError without a master key
   */
  async rotate(store: MetadataStore): Promise<RootKey> {
    const key = await this.#makeStoredRootKey(store);
    if (this.#owner !== undefined && this.#options.configuredRootKey === undefined) this.#use(key);
    return key;
  }

  #use(key: RootKey): void {
    const credential: Credential = Object.freeze({
      ...key,
      principal: Object.freeze({ type: 'root', accessKeyId: key.accessKeyId, owner: this.owner }),
    });
    this.#byAccessKeyId.clear();
    this.#byAccessKeyId.set(key.accessKeyId, credential);
    this.#root = credential;
  }

  async #openStoredRootKey(store: MetadataStore): Promise<RootKey> {
    const body = await store.getDocument(ADDRESS);
    if (body === undefined) return await this.#makeStoredRootKey(store);
    try {
      return parseRootKey(openDocument(body, this.#sealContext()));
    } catch (error) {
      if (!(error instanceof SealBrokenError)) throw error;
      throw new NoRootKeyError(`The stored root key cannot be opened: ${error.message}.`, RESET_HINT, { cause: error });
    }
  }

  async #makeStoredRootKey(store: MetadataStore): Promise<RootKey> {
    const { clock, randomness } = this.#options;
    const key = makeKeyPair(randomness);
    const plain = Buffer.from(JSON.stringify({ ...key, createdAtMs: clock.nowMs() }));
    const body = sealDocument(plain, this.#sealContext(), randomness);
    await store.commit({ type: 'PutDocument', address: ADDRESS, body });
    return key;
  }

  #sealContext(): SealContext {
    const { clusterId, masterKey } = this.#options;
    if (masterKey === undefined) {
      throw new NoRootKeyError('The master key is missing, so stored credentials cannot be opened.', RESET_HINT);
    }
    return { clusterId, masterKey, address: ADDRESS };
  }
}

const RESET_HINT =
  'Put the key file back (master.key in the state directory, or HOLDFAST_MASTER_KEY_FILE), or make a new root key with: holdfast credentials reset';

function parseRootKey(plain: Buffer): RootKey {
  const { accessKeyId, secretAccessKey } = JSON.parse(plain.toString()) as RootKey;
  if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string' || secretAccessKey === '') {
    throw new SealBrokenError('damaged', ADDRESS);
  }
  return { accessKeyId, secretAccessKey };
}
