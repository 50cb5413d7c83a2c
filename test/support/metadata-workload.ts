import type { BlobRecord } from '../../src/model/blob.ts';
import type { MetadataStore, VersionChange } from '../../src/metadata-store/metadata-store.ts';
import { ALICE, attributesOf, BOB, createBucket, etagOf, newBlob, openVolume, uploadOf } from './metadata-fixtures.ts';

/** Numbers from a seed (mulberry32), so that a workload can be run again. */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Random mutations of every kind, many at once; refused ones count as well. Returns how many succeeded. */
export async function runWorkload(store: MetadataStore, options: { seed: number; steps: number }): Promise<number> {
  const random = seededRandom(options.seed);
  // The third had objects before it had versions, and changes between Enabled and Suspended.
  const names = ['a', 'b', 'versioned'];
  const buckets: number[] = [];
  for (const name of names) buckets.push(await createBucket(store, `${name}-${options.seed}`));
  const versioned = buckets[2]!;
  const locked = await createLockedBucket(store, `locked-${options.seed}`);
  buckets.push(locked);
  const uploadBucket = options.seed % 2 === 0 ? buckets[0]! : versioned;
  const volumes = [await openVolume(store), await openVolume(store)];
  let uploads = 0;
  let succeeded = 0;
  for (let step = 0; step < options.steps; step += 1) {
    const group = Array.from({ length: 1 + random(12) }, () => attempt(mutate()));
    for (const ok of await Promise.all(group)) succeeded += ok ? 1 : 0;
  }
  return succeeded;

  function mutate(): Promise<unknown> {
    const bucketId = pick(buckets);
    const volumeId = pick(volumes);
    const key = `k${random(20)}`;
    const sizeBytes = random(1000);
    const uploadId = `u${options.seed}-${random(uploads + 1)}`;
    switch (random(19)) {
      case 0:
      case 1:
      case 2:
        return store.commit({
          type: 'PutObject',
          bucketId,
          key,
          owner: random(2) === 0 ? ALICE : BOB,
          attributes: { ...attributesOf(etagOf(key), sizeBytes), userMetadata: random(3) === 0 ? { a: 'b' } : {} },
          blobs: Array.from({ length: random(12) }, () => ({ newBlob: newBlob(store, volumeId, random(100)) })),
          lastModifiedMs: step(),
          ...(random(4) === 0 ? { preconditions: { ifNoneMatch: ['*'] } } : {}),
        });
      case 3:
        return copy(bucketId, key, pick(buckets));
      case 4:
        return store.commit({ type: 'DeleteObject', owner: ALICE, bucketId, key, atMs: step() });
      case 5:
        uploads += 1;
        return store.commit({
          type: 'CreateMultipartUpload',
          upload: uploadOf(uploadBucket, 'multi', `u${options.seed}-${uploads}`),
        });
      case 6:
      case 7:
        return store.commit({
          type: 'PutPart',
          bucketId: uploadBucket,
          key: 'multi',
          uploadId,
          part: { partNumber: 1 + random(3), etag: 'p', sizeBytes, lastModifiedMs: step() },
          blobs: [{ newBlob: newBlob(store, volumeId, sizeBytes) }],
        });
      case 8:
        return store.commit({
          type: 'CompleteMultipartUpload',
          bucketId: uploadBucket,
          key: 'multi',
          uploadId,
          parts: [{ partNumber: 1 + random(3), etag: 'p' }],
          attributes: { ...attributesOf('m-1', sizeBytes), parts: [{ partNumber: 1, sizeBytes }] },
          manifests: [newBlob(store, volumeId, 0)],
          lastModifiedMs: step(),
        });
      case 9:
        return store.commit({ type: 'AbortMultipartUpload', bucketId: uploadBucket, key: 'multi', uploadId });
      case 10:
        return move(volumeId, pick(volumes));
      case 11:
        return store.commit({
          type: 'PutDocument',
          address: { collection: 'settings', id: key },
          body: Buffer.from(String(sizeBytes)),
        });
      case 12:
        return store.commit({
          type: 'PutBucketConfiguration',
          bucketId: versioned,
          name: 'versioning',
          value: { status: random(2) === 0 ? 'Enabled' : 'Suspended' },
        });
      case 13:
      case 14:
        return deleteSomeVersion(random(2) === 0 ? versioned : locked);
      case 15:
        return store.commit({
          type: 'PutObject',
          bucketId: versioned,
          key: `k${random(4)}`,
          owner: ALICE,
          attributes: attributesOf(etagOf(key), sizeBytes),
          blobs: [{ newBlob: newBlob(store, volumeId, sizeBytes) }],
          lastModifiedMs: step(),
        });
      case 16:
      case 17:
        return changeSomeVersion(pick(buckets));
      default:
        return changeVolumes(volumeId);
    }
  }

  async function copy(bucketId: number, key: string, toBucketId: number): Promise<unknown> {
    const source = await store.getObject({ bucketId, key });
    return store.commit({
      type: 'PutObject',
      bucketId: toBucketId,
      key: `k${random(20)}`,
      owner: ALICE,
      attributes: attributesOf('copy', source?.sizeBytes ?? 0),
      blobs: (source?.blobs ?? []).map(({ blobId }) => ({ existingBlobId: blobId })),
      lastModifiedMs: step(),
    });
  }

  async function someVersion(bucketId: number): Promise<{ key: string; versionId: string } | undefined> {
    const everything = { prefix: '', delimiter: '', keyMarker: '', versionIdMarker: '', limit: 1000 };
    const { versions } = await store.listVersions({ bucketId, ...everything });
    return versions[random(versions.length)];
  }

  async function deleteSomeVersion(bucketId: number): Promise<unknown> {
    const version = await someVersion(bucketId);
    if (version === undefined) return undefined;
    const { key, versionId } = version;
    const named = random(4) === 0 ? {} : { versionId };
    const bypass = random(2) === 0 ? {} : { bypassesGovernance: true };
    return store.commit({ type: 'DeleteObject', owner: BOB, bucketId, key, ...named, ...bypass, atMs: step() });
  }

  async function changeSomeVersion(bucketId: number): Promise<unknown> {
    const version = await someVersion(bucketId);
    if (version === undefined) return undefined;
    const { key, versionId } = version;
    const change = pickChange(bucketId === locked);
    return store.commit({ type: 'ChangeVersion', bucketId, key, versionId, change });
  }

  function pickChange(mayLock: boolean): VersionChange {
    switch (random(mayLock ? 3 : 1)) {
      case 0:
        return { member: 'tags', tags: Array.from({ length: random(3) }, (_, i) => ({ key: `t${i}`, value: 'v' })) };
      case 1:
        return { member: 'legalHold', legalHold: random(4) === 0 ? 'ON' : 'OFF' };
      default:
        return {
          member: 'retention',
          retention: { mode: random(5) === 0 ? 'COMPLIANCE' : 'GOVERNANCE', retainUntilMs: 4_000_000_000_000 },
          bypassesGovernance: random(2) === 0,
        };
    }
  }

  async function move(volumeId: number, target: number): Promise<unknown> {
    const blobs = await store.listBlobsInVolume({ volumeId, afterBlobId: 0, limit: 5 });
    const to = (blob: BlobRecord) => ({
      blobId: blob.blobId,
      fromLayout: blob.layout,
      toLayout: Buffer.from(`moved ${random(1000)}`),
      toFootprint: [{ volumeId: target, storedBytes: random(500) }],
    });
    return store.commit({ type: 'MoveBlobs', moves: blobs.map(to) });
  }

  async function changeVolumes(volumeId: number): Promise<unknown> {
    volumes.push(await openVolume(store));
    await store.commit({ type: 'SealVolume', volumeId, lengthBytes: 4096 * random(100) });
    await store.commit({
      type: 'RecordDamage',
      damage: [{ volumeId, diskId: 'd0', shardIndex: 0, offset: random(3), kind: 'corrupt', seenAtMs: 1 }],
    });
    if (await store.commit({ type: 'DropVolume', volumeId })) volumes.splice(volumes.indexOf(volumeId), 1);
    return undefined;
  }

  function pick(from: readonly number[]): number {
    return from[random(from.length)] ?? 0;
  }

  function step(): number {
    return 1_700_000_000_000 + random(100_000);
  }
}

/** Of a lock, of a delete marker, of a version that went meanwhile. */
const LOCKED = ['AccessDenied', 'MethodNotAllowed', 'NoSuchVersion'];

async function createLockedBucket(store: MetadataStore, name: string): Promise<number> {
  const { bucketId } = await store.commit({
    type: 'CreateBucket',
    name,
    owner: ALICE,
    region: 'us-east-1',
    createdAtMs: 1000,
    configuration: {
      versioning: { status: 'Enabled' },
      objectLock: { defaultRetention: { mode: 'GOVERNANCE', days: 1 } },
    },
  });
  return bucketId;
}

/** False for an expected refusal; anything else is passed on. */
async function attempt(promise: Promise<unknown>): Promise<boolean> {
  try {
    await promise;
    return true;
  } catch (error) {
    const code = (error as { code?: string }).code ?? '';
    const expected = ['PreconditionFailed', 'NoSuchUpload', 'InvalidPart', 'BlobGone', ...LOCKED];
    if (!expected.includes(code)) throw error;
    return false;
  }
}
