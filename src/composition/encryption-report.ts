import type { EncryptionReport } from '../admin/status-report.ts';
import type { StorageOptions } from '../cli/server-types.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';

/** The keys, and which buckets encrypt what says nothing of it. */
export async function encryptionReport(
  { encryption }: StorageOptions['config'],
  { ring, store }: { ring: KeyRing; store: Pick<MetadataStore, 'getBucketById' | 'listDocuments'> },
): Promise<EncryptionReport> {
  const buckets: EncryptionReport['buckets'] = [];
  for (const { id } of await store.listDocuments('bucket-encryption')) {
    const bucket = await store.getBucketById(Number(id));
    const byDefault = bucket?.configuration.encryption?.default;
    if (bucket === undefined || byDefault === undefined) continue;
    const keyId = byDefault.algorithm === 'aws:kms' ? byDefault.keyId : undefined;
    buckets.push({ name: bucket.name, algorithm: byDefault.algorithm, keyId });
  }
  return {
    keyService: encryption.keyService,
    byDefault: encryption.byDefault,
    keyRingProblem: ring.problem && { message: ring.problem.message, fix: ring.problem.hint },
    buckets: buckets.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
