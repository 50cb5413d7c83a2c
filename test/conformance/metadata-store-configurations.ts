import { expect, test } from 'vitest';
import type { BucketConfiguration, BucketConfigurationEntry } from '../../src/model/bucket-configuration.ts';
import type { Tag } from '../../src/model/object-record.ts';
import type { MetadataStore } from '../../src/metadata-store/metadata-store.ts';
import { ALICE, createBucket } from '../support/metadata-fixtures.ts';
import { expectCode } from './metadata-store.ts';

const TAGS: readonly Tag[] = [
  { key: 'ключ', value: '' },
  { key: '__proto__', value: 'a<b' },
];

/** What is configured of a bucket: one member at a time, with the bucket, and no longer than it. */
export function describeBucketConfigurations(current: () => MetadataStore): void {
  const put = (bucketId: number, entry: BucketConfigurationEntry) =>
    current().commit({ type: 'PutBucketConfiguration', bucketId, ...entry });
  const configurationOf = async (name: string) => (await current().getBucket(name))?.configuration;

  test('a configuration is read with its bucket as soon as it is put, replaced or deleted', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'configured');
    const otherId = await createBucket(store, 'other');
    expect(await configurationOf('configured')).toEqual({});
    await put(bucketId, { name: 'versioning', value: { status: 'Enabled' } });
    expect(await configurationOf('configured')).toEqual({ versioning: { status: 'Enabled' } });
    await put(bucketId, { name: 'tagging', value: TAGS });
    await put(bucketId, { name: 'versioning', value: { status: 'Suspended' } });
    expect(await configurationOf('configured')).toEqual({ versioning: { status: 'Suspended' }, tagging: TAGS });
    await put(otherId, { name: 'tagging', value: [] });
    await store.commit({ type: 'DeleteBucketConfiguration', bucketId, name: 'tagging' });
    await store.commit({ type: 'DeleteBucketConfiguration', bucketId, name: 'tagging' });
    expect(await configurationOf('configured')).toEqual({ versioning: { status: 'Suspended' } });
    expect(await configurationOf('other')).toEqual({ tagging: [] });
  });

  test('a configuration goes with its bucket, and none is put on a bucket that is gone', async () => {
    const store = current();
    const first = await createBucket(store, 'again');
    await put(first, { name: 'tagging', value: TAGS });
    await store.commit({ type: 'DeleteBucket', bucketId: first });
    await expectCode(put(first, { name: 'tagging', value: TAGS }), 'NoSuchBucket');
    await expectCode(
      store.commit({ type: 'DeleteBucketConfiguration', bucketId: first, name: 'tagging' }),
      'NoSuchBucket',
    );
    await createBucket(store, 'again');
    expect(await configurationOf('again')).toEqual({});
    expect(await store.listDocuments('bucket-tagging')).toEqual([]);
  });

  test('of a bucket deleted and configured at the same moment nothing is left', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'raced');
    const outcomes = await Promise.allSettled([
      put(bucketId, { name: 'tagging', value: TAGS }),
      store.commit({ type: 'DeleteBucket', bucketId }),
      put(bucketId, { name: 'tagging', value: TAGS }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(await store.listDocuments('bucket-tagging')).toEqual([]);
  });

  test('CreateBucket configures the bucket from its first moment on', async () => {
    const store = current();
    const configuration: BucketConfiguration = { versioning: { status: 'Enabled' }, objectLock: {} };
    const creation = { type: 'CreateBucket', name: 'locked', owner: ALICE, region: 'r', createdAtMs: 1 } as const;
    await expectCode(store.commit({ ...creation, configuration: { objectLock: {} } }), 'InvalidBucketState');
    const bucket = await store.commit({ ...creation, configuration });
    expect(bucket.configuration).toEqual(configuration);
    expect(await store.getBucket('locked')).toEqual(bucket);
  });

  test('Object Lock needs versioning, and versioning is not suspended under it', async () => {
    const store = current();
    const bucketId = await createBucket(store, 'locked');
    const lock = { name: 'objectLock', value: { defaultRetention: { mode: 'GOVERNANCE', days: 1 } } } as const;
    await expectCode(put(bucketId, lock), 'InvalidBucketState');
    await put(bucketId, { name: 'versioning', value: { status: 'Suspended' } });
    await expectCode(put(bucketId, lock), 'InvalidBucketState');
    await put(bucketId, { name: 'versioning', value: { status: 'Enabled' } });
    await put(bucketId, lock);
    await expectCode(put(bucketId, { name: 'versioning', value: { status: 'Suspended' } }), 'InvalidBucketState');
    await put(bucketId, { name: 'versioning', value: { status: 'Enabled' } });
    await put(bucketId, { name: 'objectLock', value: {} });
    expect(await configurationOf('locked')).toEqual({ versioning: { status: 'Enabled' }, objectLock: {} });
  });
}
