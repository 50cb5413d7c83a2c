import {
  KEY_BYTES,
  openDataKey,
  SEALED_DATA_KEY_BYTES,
  sealDataKey,
  WrongWrappingKeyError,
} from '../encryption/data-key.ts';
import { S3Error } from '../errors/s3-error.ts';
import type { Randomness } from '../model/clock.ts';
import { keyNameOf } from './key-arn.ts';
import type { KeyRing, NamedKey } from './key-ring.ts';
import { canonicalContext, type EncryptionContext, type GeneratedDataKey, type KeyService } from './key-service.ts';

/** `version` of the named key as 4 bytes, then the sealed data key (encryption/data-key.ts). */
const VERSION_BYTES = 4;

/** The named keys of the server's own ring. */
export class LocalKeyService implements KeyService {
  readonly #ring: KeyRing;
  readonly #randomness: Randomness;
  readonly #defaultKey: string;

  /** `defaultKey` is made when it is first used; the others by `holdfast kms key create`. */
  constructor(options: { ring: KeyRing; randomness: Randomness; defaultKey: string }) {
    this.#ring = options.ring;
    this.#randomness = options.randomness;
    this.#defaultKey = options.defaultKey;
  }

  async generateDataKey(request: { keyArn: string; context: EncryptionContext }): Promise<GeneratedDataKey> {
    const key = await this.#keyToUse(request.keyArn);
    const newest = key.versions.at(-1)!;
    const plain = this.#randomness.bytes(KEY_BYTES);
    const version = Buffer.alloc(VERSION_BYTES);
    version.writeUInt32BE(newest.version);
    const sealed = sealDataKey(plain, newest.material, bindingOf(key.name, request.context), this.#randomness);
    return { plain, sealed: Buffer.concat([version, sealed]) };
  }

  async decryptDataKey(request: { keyArn: string; sealed: Buffer; context: EncryptionContext }): Promise<Buffer> {
    const { keyArn, sealed, context } = request;
    const key = this.#enabledKey(keyArn);
    const version = sealed.length === VERSION_BYTES + SEALED_DATA_KEY_BYTES ? sealed.readUInt32BE() : 0;
    const found = key.versions.find((candidate) => candidate.version === version);
    if (found === undefined) throw invalidState(`${keyArn} has no version ${version}.`);
    try {
      return openDataKey(sealed.subarray(VERSION_BYTES), found.material, bindingOf(key.name, context));
    } catch (error) {
      if (!(error instanceof WrongWrappingKeyError)) throw error;
      throw invalidState(`${keyArn} did not seal this data key with this encryption context.`, error);
    }
  }

  requireUsable(keyArn: string): void {
    this.#enabledKey(keyArn);
  }

  async #keyToUse(keyArn: string): Promise<NamedKey> {
    const name = keyNameOf(keyArn);
    if (name === this.#defaultKey && this.#ring.key(name) === undefined) {
      await this.#ring.create(name).catch((error: unknown) => {
        // Two requests came first.
        if (this.#ring.key(name) === undefined) throw error;
      });
    }
    const key = this.#enabledKey(keyArn);
    await this.#ring.readyToSeal();
    return key;
  }

  #enabledKey(keyArn: string): NamedKey {
    const key = this.#ring.key(keyNameOf(keyArn));
    if (key === undefined) throw new S3Error('KMS.NotFoundException', { message: `Key '${keyArn}' does not exist` });
    if (!key.isEnabled) throw new S3Error('KMS.DisabledException', { message: `${keyArn} is disabled.` });
    return key;
  }
}

function bindingOf(name: string, context: EncryptionContext): Buffer {
  return Buffer.from(`kms\0${name}\0${canonicalContext(context)}`);
}

function invalidState(message: string, cause?: unknown): S3Error {
  return new S3Error('KMS.KMSInvalidStateException', { message, cause });
}
