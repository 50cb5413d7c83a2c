import { afterEach, beforeEach, expect, test } from 'vitest';
import { sqliteHarness, type SqliteHarness } from '../../../support/open-sqlite-store.ts';

let harness: SqliteHarness;
beforeEach(async () => {
  harness = await sqliteHarness();
});
afterEach(() => harness.close());

const DAY_MS = 86_400_000;
const owner = { accountId: '000000000001', canonicalId: 'a'.repeat(64), displayName: 'owner' };

test('a version is retained by default from the latest time that may be right', async () => {
  const latestMs = Date.UTC(2090, 0, 1);
  const { store } = await harness.open(undefined, {
    trustedTime: { trustedNowMs: () => undefined, latestNowMs: () => latestMs },
  });
  await store.commit({ type: 'RaiseFormat', formatVersion: 2 });
  const { bucketId } = await store.commit({
    type: 'CreateBucket',
    name: 'bucket',
    owner,
    region: 'us-east-1',
    createdAtMs: 0,
    configuration: {
      versioning: { status: 'Enabled' },
      objectLock: { defaultRetention: { mode: 'COMPLIANCE', days: 3 } },
    },
  });
  const attributes = { etag: 'e', sizeBytes: 0, headers: {}, userMetadata: {}, storageClass: 'STANDARD' };
  await store.commit({ type: 'PutObject', bucketId, key: 'k', owner, attributes, blobs: [], lastModifiedMs: 0 });
  const object = await store.getObject({ bucketId, key: 'k' });
  expect(object?.retention).toEqual({ mode: 'COMPLIANCE', retainUntilMs: latestMs + 3 * DAY_MS });
});
