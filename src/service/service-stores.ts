import type { DigestPool } from '../checksums/digest-pool.ts';
import type { DataStore } from '../data-store/data-store.ts';
import type { BufferPool } from '../memory/buffer-pool.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import type { EncryptionService } from './encryption/encryption-service.ts';

/** What the services of objects and uploads stand on. */
export interface ServiceStores {
  readonly metadataStore: MetadataStore;
  readonly dataStore: DataStore;
  /** Hashes bodies; `prepareChecksums` was awaited. */
  readonly digests: Pick<DigestPool, 'open'>;
  /** The budget of bodies in flight, in shared memory. */
  readonly bodyBuffers: Pick<BufferPool, 'slotSizeBytes' | 'tryAcquire' | 'release'>;
  readonly encryption: EncryptionService;
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** Computed and stored when a client sends no checksum; `undefined`: none (docs/decisions/0006-default-checksum.md). */
  readonly defaultChecksum: ChecksumAlgorithm | undefined;
}
