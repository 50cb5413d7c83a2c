import type { StorageOptions } from '../cli/server-types.ts';
import { CIPHER_SLOT_BYTES } from '../encryption/cipher-buffers.ts';
import type { CipherPool } from '../encryption/cipher-pool.ts';
import { KeyArns } from '../keys/key-arn.ts';
import { KeyRing } from '../keys/key-ring.ts';
import type { KeyService } from '../keys/key-service.ts';
import { LocalKeyService } from '../keys/local-key-service.ts';
import { VaultKeyService } from '../keys/vault-key-service.ts';
import { BufferPool } from '../memory/buffer-pool.ts';
import { BucketKeys } from '../service/encryption/bucket-keys.ts';
import { EncryptionService } from '../service/encryption/encryption-service.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import { DiskKeyRingCopies } from './key-ring-copies.ts';
import { codeOf, type Metadata } from './open-metadata.ts';

export interface OpenKeyRing {
  ring: KeyRing;
  copies: DiskKeyRingCopies;
}

/** The ring, opened; one that does not open is told, and an error of whatever needs it. Stop the copies before the disks. */
export async function openKeyRing(
  { clock, log, randomness, secrets }: Pick<StorageOptions, 'clock' | 'log' | 'randomness' | 'secrets'>,
  { disks, metadata }: { disks: LocalDiskSet; metadata: Metadata },
): Promise<OpenKeyRing> {
  const leastCount = (): number => codeOf(metadata.journal, disks).m + 1;
  const copies = new DiskKeyRingCopies({ disks, leastCount, log: log.child({ part: 'keys' }) });
  const { store } = metadata;
  const { clusterId } = disks;
  const ring = new KeyRing({ store, copies, clusterId, masterKey: secrets.masterKey, clock, randomness });
  await ring.open();
  if (ring.problem !== undefined) {
    log.error({ err: ring.problem, hint: ring.problem.hint }, 'the key ring cannot be opened');
    return { ring, copies };
  }
  // Nobody waits for it before something is sealed.
  ring.readyToSeal().catch((error: unknown) => log.warn({ err: error }, 'the key ring is not on enough disks yet'));
  return { ring, copies };
}

/**
 * Encryption over the key ring and the configured key service. Of the budget of memory an eighth more is for bodies
 * that are sealed or opened; without a free slot they are worked on in place, so nobody waits for it.
 */
export function makeEncryption(
  { clock, config, randomness }: Pick<StorageOptions, 'clock' | 'config' | 'randomness'>,
  {
    ring,
    ciphers,
    arns,
    formatVersion,
  }: { ring: KeyRing; ciphers: CipherPool; arns: KeyArns; formatVersion: () => number },
): EncryptionService {
  return new EncryptionService({
    ring,
    keyService: makeKeyService(config, { ring, randomness }),
    bucketKeys: new BucketKeys(clock),
    arns,
    tools: {
      threads: ciphers,
      buffers: new BufferPool({
        slotSizeBytes: CIPHER_SLOT_BYTES,
        budgetBytes: config.storage.bufferBudget / 8,
        growthSlots: 2,
      }),
    },
    randomness,
    formatVersion,
    serverDefault: serverDefaultOf(config),
  });
}

/** Names of keys in this server's region and account. */
export function makeKeyArns({ config }: Pick<StorageOptions, 'config'>, accountId: string): KeyArns {
  const { defaultKey } = config.encryption;
  return new KeyArns({ region: config.s3.region, accountId, defaultKey });
}

/** How buckets without a default of their own encrypt; `undefined`: not at all. */
export function serverDefaultOf({ encryption }: StorageOptions['config']): 'AES256' | undefined {
  return encryption.byDefault === 'none' ? undefined : encryption.byDefault;
}

function makeKeyService(
  config: StorageOptions['config'],
  { ring, randomness }: { ring: KeyRing; randomness: StorageOptions['randomness'] },
): KeyService {
  const { defaultKey, keyService } = config.encryption;
  if (keyService === 'local') return new LocalKeyService({ ring, randomness, defaultKey });
  const { vaultAddress, vaultMount, vaultNamespace, vaultTimeout, vaultToken } = config.encryption;
  return new VaultKeyService({
    address: vaultAddress,
    mount: vaultMount,
    token: vaultToken,
    namespace: vaultNamespace,
    timeoutMs: vaultTimeout,
  });
}
