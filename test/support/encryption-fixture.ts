import { openPackages, sealPackages } from '../../src/encryption/package-format.ts';
import type { CipherTools } from '../../src/encryption/cipher-buffers.ts';
import { KeyArns } from '../../src/keys/key-arn.ts';
import { KeyRing, type KeyRingCopies } from '../../src/keys/key-ring.ts';
import type { KeyService } from '../../src/keys/key-service.ts';
import { LocalKeyService } from '../../src/keys/local-key-service.ts';
import type { MetadataStore } from '../../src/metadata-store/metadata-store.ts';
import type { Clock, Randomness } from '../../src/model/clock.ts';
import { BucketKeys } from '../../src/service/encryption/bucket-keys.ts';
import { EncryptionService } from '../../src/service/encryption/encryption-service.ts';
import type { ReadPermit } from '../../src/service/encryption/read-sealed.ts';

export const TEST_CLUSTER_ID = '00000000-1111-4222-8333-444444444444';
export const TEST_MASTER_KEY = Buffer.alloc(32, 7);
export const TEST_REGION = 'us-east-1';
export const TEST_ACCOUNT_ID = '123456789012';

/** Of a caller who may use every key and brings none. */
export const NO_KEY: ReadPermit = { customerKey: undefined, authorizeKey: async () => {} };

export function testKeyArn(name: string): string {
  return `arn:aws:kms:${TEST_REGION}:${TEST_ACCOUNT_ID}:key/${name}`;
}

/** Everything on the calling thread, so that a simulated run is the same each time. */
const INLINE_TOOLS: CipherTools = {
  threads: {
    run: async ({ kind, streamKey, place, source, target }) =>
      (kind === 'seal' ? sealPackages : openPackages)(streamKey, place, source, target),
  },
  buffers: { tryAcquire: () => undefined, release: () => {} },
};

/** For stores without disks. */
export const NO_COPIES: KeyRingCopies = { store: async () => {} };

export interface TestEncryption {
  ring: KeyRing;
  encryption: EncryptionService;
}

/** Encryption over the ring in this metadata store, which has started. */
export async function makeTestEncryption(
  store: MetadataStore,
  options: {
    clock: Clock;
    randomness: Randomness;
    tools?: CipherTools;
    keyService?: KeyService;
    serverDefault?: 'AES256';
    masterKey?: Buffer | undefined;
    copies?: KeyRingCopies;
    clusterId?: string;
  },
): Promise<TestEncryption> {
  const { clock, randomness, copies = NO_COPIES, clusterId = TEST_CLUSTER_ID } = options;
  const masterKey = 'masterKey' in options ? options.masterKey : TEST_MASTER_KEY;
  const ring = new KeyRing({ store, copies, clusterId, masterKey, clock, randomness });
  await ring.open();
  const encryption = new EncryptionService({
    ring,
    keyService: options.keyService ?? new LocalKeyService({ ring, randomness, defaultKey: 'aws-s3' }),
    bucketKeys: new BucketKeys(clock),
    arns: new KeyArns({ region: TEST_REGION, accountId: TEST_ACCOUNT_ID, defaultKey: 'aws-s3' }),
    tools: options.tools ?? INLINE_TOOLS,
    randomness,
    formatVersion: () => store.formatVersion(),
    serverDefault: options.serverDefault,
  });
  return { ring, encryption };
}
