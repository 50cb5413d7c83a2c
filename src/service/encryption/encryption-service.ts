import type { CipherTools } from '../../encryption/cipher-buffers.ts';
import {
  makeDataKey,
  openDataKey,
  sealDataKey,
  versionBinding,
  type VersionName,
  WrongWrappingKeyError,
} from '../../encryption/data-key.ts';
import { assert } from '../../errors/assert.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { KeyArns } from '../../keys/key-arn.ts';
import type { KeyRing } from '../../keys/key-ring.ts';
import { canonicalContext, type EncryptionContext, type KeyService } from '../../keys/key-service.ts';
import type { Randomness } from '../../model/clock.ts';
import type { BucketRecord } from '../../model/object-record.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import { isVersionOfSeed, VERSION_SEED_BYTES } from '../../model/version-seed.ts';
import type { BucketKeys } from './bucket-keys.ts';
import type { AuthorizeKey, CustomerKey, EncryptionWish, RequestedEncryption } from './encryption-modes.ts';
import { decodeEncryption, type EncryptionRecord, type WrappingKeySource } from './encryption-record.ts';
import { VersionSealing } from './version-sealing.ts';

export interface EncryptionOptions {
  readonly ring: Pick<KeyRing, 'serverKey' | 'serverKeyOf'>;
  readonly keyService: KeyService;
  readonly bucketKeys: BucketKeys;
  readonly arns: KeyArns;
  readonly tools: CipherTools;
  readonly randomness: Randomness;
  /** Of the store: encryption needs 2. */
  readonly formatVersion: () => number;
  /** For buckets without a default of their own; `undefined`: stored as it is. */
  readonly serverDefault: 'AES256' | undefined;
}

/** Where a version is written. */
export interface SealTarget {
  readonly bucket: BucketRecord;
  readonly key: string;
  readonly wish: EncryptionWish;
}

/** A version or upload that is encrypted. */
export interface SealedSource {
  readonly bucketId: number;
  readonly key: string;
  /** The version's id, as far as it has one of its own: not `null`, not an upload. */
  readonly versionId: string | undefined;
  readonly encryption: Buffer;
  readonly customerKey: CustomerKey | undefined;
  readonly authorizeKey: AuthorizeKey;
}

interface Wrapping {
  readonly source: WrappingKeySource;
  readonly wrappingKey: Buffer;
  /** Shared keys stay; others are zeroed after use. */
  readonly isShared: boolean;
}

/**
 * Gives uploads a data key and reads theirs back. Every version has a data key of its own; it is sealed under a
 * wrapping key of the mode and bound to bucket, key and version. What cannot be sealed is refused, never stored plain.
 */
export class EncryptionService {
  readonly #options: EncryptionOptions;

  constructor(options: EncryptionOptions) {
    this.#options = options;
  }

  /** How a version that is written there is encrypted; `undefined`: not at all. @throws S3Error AccessDenied (SSE-C is blocked) */
  effective(bucket: BucketRecord, { requested }: EncryptionWish): RequestedEncryption | undefined {
    const configured = bucket.configuration.encryption;
    if (requested !== undefined) {
      if (requested.mode === 'SSE-C' && configured?.blocksCustomerKeys === true) throw customerKeysBlocked(bucket.name);
      return requested;
    }
    const byDefault = configured?.default;
    if (byDefault === undefined) {
      return this.#options.serverDefault === undefined ? undefined : { mode: this.#options.serverDefault };
    }
    if (byDefault.algorithm === 'AES256') return { mode: 'AES256' };
    return { mode: 'aws:kms', keyId: byDefault.keyId, context: {} };
  }

  /**
   * A new data key for a version, or `undefined` when it is to be stored as it is. End it after the commit.
   *
   * @throws S3Error AccessDenied | KMS.NotFoundException | KMS.DisabledException | NotImplemented (a store of format 1)
   * @throws StoreError KeysUnavailable
   */
  begin(bucket: BucketRecord, key: string, wish: EncryptionWish): Promise<VersionSealing> | undefined {
    const effective = this.effective(bucket, wish);
    return effective === undefined ? undefined : this.#seal({ bucket, key, wish }, effective);
  }

  async #seal(target: SealTarget, effective: RequestedEncryption): Promise<VersionSealing> {
    const { formatVersion, randomness, tools } = this.#options;
    requireStoreFormat(formatVersion(), 2, 'Encryption');
    const wrapping = await this.#newWrapping(target, effective);
    const name = this.#newName(target);
    const dataKey = makeDataKey(randomness);
    const sealedDataKey = sealDataKey(dataKey, wrapping.wrappingKey, versionBinding(name), randomness);
    if (!wrapping.isShared) wrapping.wrappingKey.fill(0);
    return new VersionSealing({ source: wrapping.source, name, dataKey, sealedDataKey, tools, randomness });
  }

  /**
   * The data key of a version or an upload.
   *
   * @throws S3Error InvalidRequest (no customer key, or one that is not wanted) | AccessDenied (another customer key, or
   *   no permission for the key) | KMS.* as the key service says
   * @throws StoreError KeysUnavailable | ShardCorrupt: the record belongs to another version or was changed
   */
  async open(source: SealedSource): Promise<VersionSealing> {
    const record = decodeEncryption(source.encryption);
    checkCustomerKey(record.source, source.customerKey);
    if (source.versionId !== undefined && !isVersionOfSeed(source.versionId, record.seed)) {
      throw new StoreError('ShardCorrupt', 'the encryption of a version belongs to another version');
    }
    const { wrappingKey, isShared } = await this.#openWrapping(record.source, source);
    const { bucketId, key } = source;
    const name = { bucketId, key, seed: record.seed };
    try {
      return this.#opened(record, name, openDataKey(record.sealedDataKey, wrappingKey, versionBinding(name)));
    } catch (error) {
      if (!(error instanceof WrongWrappingKeyError)) throw error;
      if (record.source.mode === 'SSE-C') throw wrongCustomerKey();
      throw new StoreError('ShardCorrupt', 'the data key of a version does not open', { cause: error });
    } finally {
      if (!isShared) wrappingKey.fill(0);
    }
  }

  #opened(record: EncryptionRecord, name: VersionName, dataKey: Buffer): VersionSealing {
    const { sealedDataKey, source } = record;
    const { tools, randomness } = this.#options;
    return new VersionSealing({ source, name, dataKey, sealedDataKey, tools, randomness });
  }

  /**
   * May a copy keep the bytes, and the data key under a new envelope? Only where the same key wraps on both sides: then
   * whoever can open the one can open the other in any case. A customer's key wraps for one request and is gone; so
   * what it seals is always written anew (docs/decisions).
   */
  canRewrap(encryption: Buffer, target: RequestedEncryption | undefined): boolean {
    if (target === undefined) return false;
    const { source } = decodeEncryption(encryption);
    if (source.mode === 'AES256') return target.mode === 'AES256';
    if (source.mode !== 'aws:kms' || target.mode !== 'aws:kms') return false;
    return this.#options.arns.resolve(target.keyId) === source.keyArn;
  }

  /** The same data key for another name, under the newest version of the wrapping key. @throws as `begin` */
  async rewrap(sealing: VersionSealing, target: SealTarget, effective: RequestedEncryption): Promise<VersionSealing> {
    const { source, wrappingKey, isShared } = await this.#newWrapping(target, effective);
    const rewrapped = sealing.rewrapped({ source, wrappingKey, name: this.#newName(target) });
    if (!isShared) wrappingKey.fill(0);
    return rewrapped;
  }

  /**
   * The same data key of the same version under a key of the key service.
   *
   * @throws as `begin`; S3Error AccessDenied: it is another account's
   */
  async reseal(sealing: VersionSealing, target: SealTarget, keyArn: string): Promise<VersionSealing> {
    if (!this.#options.arns.isOwn(keyArn)) {
      throw new S3Error('AccessDenied', {
        message:
          'The AWS KMS key in the request must be owned by the same account as the bucket. Modify the request to specify a KMS key from the same account, and then try again.',
      });
    }
    const { source, wrappingKey, isShared } = await this.#newKmsWrapping(target, {
      mode: 'aws:kms',
      keyId: keyArn,
      context: {},
    });
    const resealed = sealing.rewrapped({ source, wrappingKey, name: sealing.name });
    if (!isShared) wrappingKey.fill(0);
    return resealed;
  }

  /** The same data key under another name, wrapped as before: for an object that goes to another key. @throws as `begin` */
  async renamed(
    sealing: VersionSealing,
    { bucket, key, authorizeKey }: Omit<SealTarget, 'wish'> & { authorizeKey: AuthorizeKey },
  ): Promise<VersionSealing> {
    const { source } = sealing;
    assert(source.mode !== 'SSE-C', 'a customer’s key wraps for one request');
    const target: SealTarget = { bucket, key, wish: { requested: undefined, authorizeKey } };
    if (source.mode === 'AES256') return await this.rewrap(sealing, target, { mode: 'AES256' });
    target.wish.bucketKeyEnabled = source.bucketKeyEnabled;
    const { 'aws:s3:arn': _former, ...context } = readContext(source.context);
    return await this.rewrap(sealing, target, { mode: 'aws:kms', keyId: source.keyArn, context });
  }

  #newName({ bucket, key }: SealTarget): VersionName {
    return { bucketId: bucket.bucketId, key, seed: this.#options.randomness.bytes(VERSION_SEED_BYTES) };
  }

  async #newWrapping(target: SealTarget, effective: RequestedEncryption): Promise<Wrapping> {
    switch (effective.mode) {
      case 'AES256': {
        const { version, material } = await this.#options.ring.serverKey();
        return { source: { mode: 'AES256', keyVersion: version }, wrappingKey: material, isShared: true };
      }
      case 'SSE-C': {
        const { key, keyMd5 } = effective.customerKey;
        return { source: { mode: 'SSE-C', keyMd5 }, wrappingKey: key, isShared: true };
      }
      case 'aws:kms':
        return await this.#newKmsWrapping(target, effective);
    }
  }

  async #newKmsWrapping(
    { bucket, key, wish }: SealTarget,
    requested: Extract<RequestedEncryption, { mode: 'aws:kms' }>,
  ): Promise<Wrapping> {
    const keyArn = this.#options.arns.resolve(requested.keyId);
    await wish.authorizeKey('kms:GenerateDataKey', keyArn);
    const bucketKeyEnabled = wish.bucketKeyEnabled ?? bucket.configuration.encryption?.bucketKeyEnabled ?? false;
    const arn = bucketKeyEnabled ? `arn:aws:s3:::${bucket.name}` : `arn:aws:s3:::${bucket.name}/${key}`;
    const context = { ...requested.context, 'aws:s3:arn': arn };
    const { plain, sealed } = bucketKeyEnabled
      ? await this.#options.bucketKeys.generate(this.#options.keyService, { keyArn, context })
      : await this.#options.keyService.generateDataKey({ keyArn, context });
    const source: WrappingKeySource = {
      mode: 'aws:kms',
      keyArn,
      sealedWrappingKey: sealed,
      context: canonicalContext(context),
      bucketKeyEnabled,
    };
    return { source, wrappingKey: plain, isShared: bucketKeyEnabled };
  }

  async #openWrapping(
    source: WrappingKeySource,
    { customerKey, authorizeKey }: SealedSource,
  ): Promise<Pick<Wrapping, 'wrappingKey' | 'isShared'>> {
    switch (source.mode) {
      case 'AES256':
        return { wrappingKey: this.#options.ring.serverKeyOf(source.keyVersion).material, isShared: true };
      case 'SSE-C':
        return { wrappingKey: customerKey!.key, isShared: true };
      case 'aws:kms': {
        const { keyArn, sealedWrappingKey: sealed, bucketKeyEnabled } = source;
        await authorizeKey('kms:Decrypt', keyArn);
        const request = { keyArn, sealed, context: readContext(source.context) };
        if (!bucketKeyEnabled) {
          return { wrappingKey: await this.#options.keyService.decryptDataKey(request), isShared: false };
        }
        return {
          wrappingKey: await this.#options.bucketKeys.decrypt(this.#options.keyService, request),
          isShared: true,
        };
      }
    }
  }
}

function readContext(context: string): EncryptionContext {
  return Object.fromEntries(JSON.parse(context) as [string, string][]);
}

/** Without the key there is no answer about an SSE-C object, and no other takes one. */
function checkCustomerKey(source: WrappingKeySource, customerKey: CustomerKey | undefined): void {
  if (source.mode === 'SSE-C' && customerKey === undefined) {
    throw new S3Error('InvalidRequest', {
      message:
        'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
    });
  }
  if (source.mode !== 'SSE-C') refuseCustomerKey(customerKey);
}

/** Of a version that has no customer's key. @throws S3Error InvalidRequest */
export function refuseCustomerKey(customerKey: CustomerKey | undefined): void {
  if (customerKey === undefined) return;
  throw new S3Error('InvalidRequest', { message: 'The encryption parameters are not applicable to this object.' });
}

function wrongCustomerKey(): S3Error {
  return new S3Error('AccessDenied', {
    message:
      'Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.',
  });
}

export function customerKeysBlocked(bucketName: string): S3Error {
  return new S3Error('AccessDenied', {
    message: `The bucket ${bucketName} has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify a different server-side encryption type`,
  });
}
