import { openDocument, sealDocument, SealBrokenError, type SealContext } from '../access/sealed-document.ts';
import type { MasterKey } from '../access/master-key.ts';
import { KEY_BYTES } from '../encryption/data-key.ts';
import { S3Error } from '../errors/s3-error.ts';
import { StoreError } from '../errors/store-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import { requireStoreFormat } from '../model/store-format.ts';
import { isKeyName } from './key-arn.ts';

export const KEY_RING_ADDRESS = { collection: 'encryption', id: 'key-ring' } as const;
const FORMAT = 1;
const HINT =
  'Put the key file back (master.key in the state directory, or HOLDFAST_MASTER_KEY_FILE) and restart; no new ring is ever made in its place.';

/** One version of a key. Old ones stay, so that what they sealed still opens. */
export interface KeyVersion {
  /** From 1. */
  readonly version: number;
  readonly material: Buffer;
  readonly createdAtMs: number;
}

export interface NamedKey {
  readonly name: string;
  readonly isEnabled: boolean;
  readonly createdAtMs: number;
  /** Ascending; the last is used for what is new. */
  readonly versions: readonly KeyVersion[];
}

/** What may be shown of a key. */
export interface KeySummary {
  name: string;
  isEnabled: boolean;
  versionCount: number;
  createdAtMs: number;
  rotatedAtMs: number;
}

/** The sealed ring as it lies in the journal, for a place of its own. */
export interface KeyRingCopy {
  /** Ascends with every change. */
  readonly revision: number;
  readonly body: Buffer;
}

/** Where the ring lies besides the journal. */
export interface KeyRingCopies {
  /** Resolves when it is durable in enough places to outlive what the journal outlives. */
  store(copy: KeyRingCopy): Promise<void>;
}

interface Ring {
  /** Of its changes; 0: from before they were counted. */
  readonly revision: number;
  /** The server's own, for SSE-S3. */
  readonly serverVersions: readonly KeyVersion[];
  readonly keys: readonly NamedKey[];
}

export interface KeyRingOptions {
  store: Pick<MetadataStore, 'commit' | 'formatVersion' | 'getDocument'>;
  clusterId: string;
  /** `undefined`: the key file is lost, and with it what is sealed under the ring. */
  masterKey: MasterKey | undefined;
  copies: KeyRingCopies;
  clock: Pick<Clock, 'nowMs'>;
  randomness: Randomness;
}

/**
 * The server's own keys: a document on every disk, sealed by the master key. In memory it is open. A change is
 * acknowledged, and its copies are written, before the changed ring seals anything, so nothing is ever sealed under a key
 * that a crash could forget. A ring that exists and cannot be opened is an error for everything that needs it and is
 * never replaced.
 */
export class KeyRing {
  readonly #options: KeyRingOptions;
  #ring: Ring | undefined;
  /** `#ring` as it lies in the journal; `undefined`: it is not there yet. */
  #copy: KeyRingCopy | undefined;
  #copiedRevision = -1;
  #problem: StoreError | undefined;
  /** One change after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: KeyRingOptions) {
    this.#options = options;
  }

  /** Call when the metadata store has started. Never rejects because of a ring that cannot be opened: its users do. */
  async open(): Promise<void> {
    const body = await this.#options.store.getDocument(KEY_RING_ADDRESS);
    if (body === undefined) {
      this.#ring = { revision: 0, serverVersions: [], keys: [] };
      return;
    }
    try {
      this.#ring = decode(openDocument(body, this.#sealContext()));
      this.#copy = { revision: this.#ring.revision, body };
    } catch (error) {
      if (error instanceof StoreError) this.#problem = error;
      else if (error instanceof SealBrokenError) this.#problem = locked(error.message, error);
      else throw error;
    }
  }

  /** Why nothing can be decrypted; `undefined`: all is well. */
  get problem(): StoreError | undefined {
    return this.#problem;
  }

  /**
   * Every key that is in the ring now may seal. Call it after `open` too: a crash may have come before the copies.
   * @throws StoreError KeysUnavailable | QuorumLost: the copies cannot be written
   */
  async readyToSeal(): Promise<void> {
    const { revision } = this.#openRing();
    if (this.#copy === undefined || this.#copiedRevision >= revision) return;
    await this.#options.copies.store(this.#copy);
    this.#copiedRevision = Math.max(this.#copiedRevision, revision);
  }

  /** The newest version of the server's own key, made when there is none. @throws as `readyToSeal` */
  async serverKey(): Promise<KeyVersion> {
    if (this.#openRing().serverVersions.length === 0) {
      await this.#change((now) =>
        now.serverVersions.length > 0 ? now : { ...now, serverVersions: [this.#makeVersion(1)] },
      );
    }
    const newest = this.#openRing().serverVersions.at(-1)!;
    await this.readyToSeal();
    return newest;
  }

  /** @throws StoreError KeysUnavailable */
  serverKeyOf(version: number): KeyVersion {
    const found = this.#openRing().serverVersions.find((candidate) => candidate.version === version);
    if (found === undefined) throw locked(`the key ring has no version ${version} of the server's key`);
    return found;
  }

  /** @throws StoreError KeysUnavailable */
  key(name: string): NamedKey | undefined {
    return this.#openRing().keys.find((key) => key.name === name);
  }

  /** The server's own key stands first, under the name `sse-s3`. @throws StoreError KeysUnavailable */
  list(): KeySummary[] {
    const { serverVersions, keys } = this.#openRing();
    const own = { name: SERVER_KEY_NAME, isEnabled: true, versions: serverVersions };
    return [...(serverVersions.length > 0 ? [own] : []), ...keys].map(({ name, isEnabled, versions }) => ({
      name,
      isEnabled,
      versionCount: versions.length,
      createdAtMs: versions[0]!.createdAtMs,
      rotatedAtMs: versions.at(-1)!.createdAtMs,
    }));
  }

  /** @throws S3Error InvalidArgument (a name that cannot be, or exists already) */
  async create(name: string): Promise<NamedKey> {
    if (!isKeyName(name) || name === SERVER_KEY_NAME) {
      throw new S3Error('InvalidArgument', { message: `a key's name is 1 to 128 letters, digits or -, not ${name}` });
    }
    const ring = await this.#change((now) => {
      if (now.keys.some((key) => key.name === name)) {
        throw new S3Error('InvalidArgument', { message: `there is a key ${name} already` });
      }
      const version = this.#makeVersion(1);
      const key = { name, isEnabled: true, createdAtMs: version.createdAtMs, versions: [version] };
      return { ...now, keys: [...now.keys, key] };
    });
    return ring.keys.find((key) => key.name === name)!;
  }

  /** A new version for what is written from now on. @throws S3Error KMS.NotFoundException */
  async rotate(name: string): Promise<void> {
    if (name === SERVER_KEY_NAME) {
      await this.serverKey();
      await this.#change((now) => ({ ...now, serverVersions: this.#withNewVersion(now.serverVersions) }));
      return;
    }
    await this.#changeKey(name, (key) => ({ ...key, versions: this.#withNewVersion(key.versions) }));
  }

  /** A disabled key neither seals nor opens. @throws S3Error KMS.NotFoundException */
  async setEnabled(name: string, isEnabled: boolean): Promise<void> {
    await this.#changeKey(name, (key) => ({ ...key, isEnabled }));
  }

  async #changeKey(name: string, change: (key: NamedKey) => NamedKey): Promise<void> {
    await this.#change((now) => {
      if (!now.keys.some((key) => key.name === name)) {
        throw new S3Error('KMS.NotFoundException', { message: `Invalid keyId '${name}'` });
      }
      return { ...now, keys: now.keys.map((key) => (key.name === name ? change(key) : key)) };
    });
  }

  #withNewVersion(versions: readonly KeyVersion[]): KeyVersion[] {
    return [...versions, this.#makeVersion(versions.at(-1)!.version + 1)];
  }

  #makeVersion(version: number): KeyVersion {
    const { clock, randomness } = this.#options;
    return { version, material: randomness.bytes(KEY_BYTES), createdAtMs: clock.nowMs() };
  }

  /** Acknowledged before anybody sees it. */
  #change(change: (now: Ring) => Ring): Promise<Ring> {
    const changed = this.#changing.then(async () => {
      const now = this.#openRing();
      requireStoreFormat(this.#options.store.formatVersion(), 2, 'A key ring');
      const changed = change(now);
      if (changed === now) return now;
      const next = { ...changed, revision: now.revision + 1 };
      const body = sealDocument(encode(next), this.#sealContext(), this.#options.randomness);
      await this.#options.store.commit({ type: 'PutDocument', address: KEY_RING_ADDRESS, body });
      this.#ring = next;
      this.#copy = { revision: next.revision, body };
      await this.readyToSeal();
      return next;
    });
    this.#changing = changed.catch(() => {});
    return changed;
  }

  #openRing(): Ring {
    if (this.#problem !== undefined) throw this.#problem;
    if (this.#ring === undefined) throw new StoreError('NotReady', 'the key ring is not open yet');
    return this.#ring;
  }

  #sealContext(): SealContext {
    const { clusterId, masterKey } = this.#options;
    if (masterKey === undefined) throw locked('the master key is missing');
    return { clusterId, masterKey, address: KEY_RING_ADDRESS };
  }
}

/** How the server's own key is called on the command line. */
export const SERVER_KEY_NAME = 'sse-s3';

function locked(reason: string, cause?: unknown): StoreError {
  return new StoreError('KeysUnavailable', `encrypted objects cannot be read or written: ${reason}`, {
    hint: HINT,
    cause,
  });
}

interface StoredVersion {
  version: number;
  material: string;
  createdAtMs: number;
}

interface StoredRing {
  format: number;
  revision?: number;
  serverVersions: StoredVersion[];
  keys: { name: string; isEnabled: boolean; createdAtMs: number; versions: StoredVersion[] }[];
}

function encode({ revision, serverVersions, keys }: Ring): Buffer {
  const stored: StoredRing = {
    format: FORMAT,
    revision,
    serverVersions: serverVersions.map(storedVersion),
    keys: keys.map((key) => ({ ...key, versions: key.versions.map(storedVersion) })),
  };
  return Buffer.from(JSON.stringify(stored));
}

function storedVersion({ version, material, createdAtMs }: KeyVersion): StoredVersion {
  return { version, material: material.toString('base64'), createdAtMs };
}

function decode(plain: Buffer): Ring {
  const stored = JSON.parse(plain.toString()) as StoredRing;
  plain.fill(0);
  if (stored.format !== FORMAT) throw locked(`its key ring has the unknown format ${stored.format}`);
  return {
    revision: stored.revision ?? 0,
    serverVersions: stored.serverVersions.map(openVersion),
    keys: stored.keys.map((key) => ({ ...key, versions: key.versions.map(openVersion) })),
  };
}

function openVersion({ version, material, createdAtMs }: StoredVersion): KeyVersion {
  return { version, material: Buffer.from(material, 'base64'), createdAtMs };
}
