import path from 'node:path';
import type { RecoverOptions, RecoverySummary } from '../../cli/server-types.ts';
import { randomAccountId } from '../../access/account.ts';
import { scanVolume, type VolumeFinds } from '../../data-store/recover/scan-volume.ts';
import { MOVED_SUFFIX, VOLUME_DIRECTORY, volumeIdOfFileName } from '../../data-store/volume/volume-file.ts';
import type { Disk } from '../../disk/disk-set.ts';
import type { LocalDiskSet } from '../../disk/local-disk-set.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { isPresent } from '../../metadata-store/journal/journal-context.ts';
import { readState } from '../../metadata-store/journal/journal-state.ts';
import { restartJournals } from '../../metadata-store/journal/restart-journal.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';
import { COUNTER_LIMIT } from '../../model/identifier.ts';
import { KeyRing, type KeyRingCopy } from '../../keys/key-ring.ts';
import { NEWEST_STORE_FORMAT } from '../../model/store-format.ts';
import { newestKeyRingCopy } from '../key-ring-copies.ts';
import { makeMetadata, openDisks } from '../open-metadata.ts';
import { beginRecovery, endRecovery, isMarked, isRecoveryUnfinished } from './recovery-mark.ts';
import { type Candidate, planRecovery } from './recovery-plan.ts';
import { RecoveryWriter, type RestoredBucket } from './recovery-writer.ts';
import { ShardCatalog } from './shard-catalog.ts';

const QUARANTINE_BUCKET = 'recovered-quarantine';
/** The journal of a disk that is slow to wake may be the one that makes a start possible. */
const WAITING = { isPatient: true };

/** What the first look over the plan has found out. */
interface Survey {
  buckets: Map<number, RestoredBucket>;
  quarantineBucket: string | undefined;
  usedVolumeIds: Set<number>;
  counts: RecoverySummary['counts'];
}

/**
 * Restores what the shards describe, when too few journals are left for a start: reads every shard file, decides for each key,
 * puts the old journals aside and writes a new one that names the bytes where they lie. No shard is moved or written. A crash
 * before the new journals leaves everything as it was; one after it leaves a store that no server serves, and the next
 * recovery begins anew.
 * @throws StoreError FormatRefused: the journals are enough for a start, or may be when disks return | NotReady: a server runs
 */
export async function recoverFromShards(options: RecoverOptions): Promise<RecoverySummary> {
  if (!options.isListing) await refuseWhatStarts(options);
  const disks = await openDisks(options, WAITING);
  const catalog = new ShardCatalog(path.join(options.stateDirectory, 'recovery.sqlite'));
  try {
    const read = present(disks);
    if (!options.isListing) requireEnough(read, disks.cluster.code);
    const volumes = await scanDisks(read, catalog, options);
    requireStillPresent(disks, read);
    const survey = surveyOf(catalog, options);
    const keyRing = await newestKeyRingCopy(read, disks.clusterId);
    const { code, diskIds } = disks.cluster;
    const summary: RecoverySummary = {
      clusterId: disks.clusterId,
      code,
      places: disks.disks.flatMap(({ id, path: place }) => (place === undefined ? [] : [{ diskId: id, path: place }])),
      buckets: [...survey.buckets.values()].map(({ name, hasVersions }) => ({ name, hasVersions })),
      quarantineBucket: survey.quarantineBucket,
      counts: survey.counts,
      incompleteBlobCount: catalog.incompleteBlobCount,
      unknownDescriptorCount: catalog.unknownDescriptorCount,
      absentDiskCount: diskIds.length - read.length,
      keyRing: keyRing === undefined ? 'none' : await stateOfKeyRing(keyRing, disks, options),
      problems: volumes.flatMap(({ problems }) => problems),
    };
    if (!options.isListing) await restore({ options, disks, catalog, volumes, survey, keyRing });
    return summary;
  } finally {
    catalog.close();
    await disks.close();
  }
}

/** A start that would work knows more than any shard. */
async function refuseWhatStarts(options: RecoverOptions): Promise<void> {
  const disks = await openDisks(options, WAITING);
  const { store } = makeMetadata(options, disks);
  try {
    await store.start(() => {});
    if (await isRecoveryUnfinished(disks.disks, store)) return;
  } catch (error) {
    if (!isStoreError(error, 'QuorumLost', 'JournalCorrupt')) throw error;
    if (!options.isWithoutMissing) await refuseWhatMayReturn(disks);
    return;
  } finally {
    await store.stop();
    await disks.close();
  }
  throw new StoreError('FormatRefused', 'the journals on these disks are enough for a start; nothing was changed', {
    hint: 'Start the server: it knows which objects were deleted, and which version is the newest. Shards do not.',
  });
}

/** With the disks that are away the journals may be enough. New ones would make what those disks know void. */
async function refuseWhatMayReturn(disks: LocalDiskSet): Promise<void> {
  const { code, diskIds } = disks.cluster;
  const absentCount = diskIds.length - present(disks).length;
  if (absentCount <= 0 || (await isMarked(present(disks)))) return;
  const states = await Promise.all(present(disks).map(({ fs }) => readState(fs)));
  const journalCount = states.filter((state) => typeof state === 'object').length;
  if (journalCount + absentCount < Math.min(code.k + code.m, diskIds.length) - code.m) return;
  throw new StoreError(
    'FormatRefused',
    `${absentCount} disks are away; with them a start may be possible. Nothing was changed`,
    {
      hint: 'Bring them back and start the server. Only if they are lost for good: holdfast recover --from-shards --without-missing',
    },
  );
}

/** Does the master key at hand open it? It is restored in any case. */
async function stateOfKeyRing(
  copy: KeyRingCopy,
  { clusterId }: LocalDiskSet,
  { secrets: { masterKey }, clock, randomness }: RecoverOptions,
): Promise<'opened' | 'sealed'> {
  const store = {
    getDocument: () => Promise.resolve(copy.body),
    commit: () => Promise.reject(new Error('a ring that is looked at is not changed')),
    formatVersion: () => NEWEST_STORE_FORMAT,
  };
  const copies = { store: () => Promise.resolve() };
  const ring = new KeyRing({ store, copies, clusterId, masterKey, clock, randomness });
  await ring.open();
  return ring.problem === undefined ? 'opened' : 'sealed';
}

/** Slow ones too: what is not read is not restored. */
function present(disks: LocalDiskSet): Disk[] {
  return disks.disks.filter(isPresent);
}

/** The new journal must be acknowledged like any other. @throws StoreError QuorumLost */
function requireEnough(read: readonly Disk[], { m }: ErasureCode): void {
  if (read.length > m) return;
  throw new StoreError(
    'QuorumLost',
    `a journal needs ${m + 1} disks, and ${read.length} are here; nothing was changed`,
    {
      hint: 'Bring more disks back. With --list the command shows what the shards of these describe.',
    },
  );
}

/** Before anything is written: what a disk holds that failed meanwhile would be taken for lost. @throws StoreError DiskFailed */
function requireStillPresent(disks: LocalDiskSet, read: readonly Disk[]): void {
  const now = new Set(present(disks));
  const gone = read.find((disk) => !now.has(disk));
  if (gone === undefined) return;
  throw new StoreError('DiskFailed', `disk ${gone.id} failed while it was read (${gone.state}); nothing was changed`, {
    hint: 'Give the command again. A disk that cannot be read must be taken out first: then it counts as away.',
  });
}

async function scanDisks(
  disks: readonly Disk[],
  catalog: ShardCatalog,
  options: RecoverOptions,
): Promise<VolumeFinds[]> {
  const volumeIds = new Set<number>();
  for (const { fs } of disks) {
    if ((await fs.stat(VOLUME_DIRECTORY)) === undefined) continue;
    for (const name of await fs.list(VOLUME_DIRECTORY)) {
      const volumeId = volumeIdOfFileName(name.endsWith(MOVED_SUFFIX) ? name.slice(0, -MOVED_SUFFIX.length) : name);
      if (volumeId !== undefined) volumeIds.add(volumeId);
    }
  }
  const finds: VolumeFinds[] = [];
  for (const [index, volumeId] of [...volumeIds].toSorted((a, b) => a - b).entries()) {
    options.onProgress(index / volumeIds.size);
    catalog.noteIdentifier(volumeId);
    const found = await scanVolume(volumeId, disks, catalog);
    if (found !== undefined) finds.push(found);
  }
  catalog.finish();
  return finds;
}

function surveyOf(catalog: ShardCatalog, { onCandidate }: RecoverOptions): Survey {
  const newest = new Map(catalog.buckets().map((bucket) => [bucket.name, bucket]));
  const buckets = new Map(
    [...newest.values()]
      .map(({ bucketId, name, firstModifiedMs }) => {
        return { bucketId, name, createdAtMs: firstModifiedMs, hasVersions: false };
      })
      .map((bucket): [number, RestoredBucket] => [bucket.bucketId, bucket]),
  );
  const survey: Survey = {
    buckets,
    quarantineBucket: undefined,
    usedVolumeIds: new Set(),
    counts: { restored: 0, 'older-version': 0, undecided: 0, 'deleted-bucket': 0, 'loose-part': 0, unreadable: 0 },
  };
  for (const candidates of planRecovery(catalog)) {
    for (const candidate of candidates) {
      const { fate, bucketId, blobIds } = candidate;
      survey.counts[fate] += 1;
      const bucket = buckets.get(bucketId);
      if ((fate === 'older-version' || isKeptAtItsKey(candidate)) && bucket)
        buckets.set(bucketId, { ...bucket, hasVersions: true });
      if (isQuarantined(candidate)) survey.quarantineBucket ??= freeName(newest);
      for (const blobId of blobIds) {
        for (const { volumeId } of catalog.blob(blobId)?.footprint ?? []) survey.usedVolumeIds.add(volumeId);
      }
      onCandidate({ ...candidate, ...(isQuarantined(candidate) ? { quarantineKey: quarantineKey(candidate) } : {}) });
    }
  }
  return survey;
}

function freeName(taken: ReadonlyMap<string, unknown>): string {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? QUARANTINE_BUCKET : `${QUARANTINE_BUCKET}-${number}`;
    if (!taken.has(name)) return name;
  }
}

function isQuarantined(candidate: Candidate): boolean {
  const { fate } = candidate;
  if (isKeptAtItsKey(candidate)) return false;
  return fate === 'undecided' || fate === 'deleted-bucket' || fate === 'loose-part';
}

/** It is encrypted, so it opens under no other name. */
function isKeptAtItsKey({ fate, attributes }: Candidate): boolean {
  return fate === 'undecided' && attributes.encryption !== undefined;
}

/** Its own key may be too long to have anything before it. */
function quarantineKey({ fate, bucketName, blobId }: Candidate): string {
  return `${fate}/${bucketName}/${blobId.toString(16).padStart(14, '0')}`;
}

async function restore(parts: {
  options: RecoverOptions;
  disks: LocalDiskSet;
  catalog: ShardCatalog;
  volumes: readonly VolumeFinds[];
  survey: Survey;
  keyRing: KeyRingCopy | undefined;
}): Promise<void> {
  const { options, disks, catalog, volumes, survey, keyRing } = parts;
  for (const { disk, path: from, to } of volumes.flatMap(({ movedFiles }) => movedFiles)) {
    await disk.fs.publish(from, to);
  }
  const { code, diskIds } = disks.cluster;
  await beginRecovery(present(disks));
  const usedEpoch = Math.floor(catalog.greatestIdentifier / COUNTER_LIMIT);
  await restartJournals(present(disks), { clusterId: disks.clusterId, diskIds, ...code, usedEpoch });
  const { store } = makeMetadata(options, disks);
  try {
    await store.start(() => {});
    const { region } = options.config.s3;
    const writer = new RecoveryWriter({ store, catalog, randomness: options.randomness });
    const accountIds = catalog.ownerAccountIds();
    await writer.owners(accountIds.length > 0 ? accountIds : [randomAccountId(options.randomness)]);
    if (keyRing !== undefined) await writer.keyRing(keyRing);
    for (const bucket of survey.buckets.values()) await writer.bucket(bucket, region);
    let quarantineId = 0;
    if (survey.quarantineBucket !== undefined) {
      quarantineId = store.nextIdentifier();
      const createdAtMs = options.clock.nowMs();
      await writer.bucket(
        { bucketId: quarantineId, name: survey.quarantineBucket, createdAtMs, hasVersions: false },
        region,
      );
    }
    // What nothing names would be dropped by the collector: an unknown volume is quarantined by the next start.
    for (const { shape } of volumes) if (survey.usedVolumeIds.has(shape.volumeId)) await writer.volume(shape);
    for (const candidates of planRecovery(catalog)) {
      for (const candidate of candidates) {
        if (candidate.fate === 'unreadable') continue;
        if (!isQuarantined(candidate)) await writer.object(candidate);
        else {
          const key = quarantineKey(candidate);
          await writer.object(candidate, { bucketId: quarantineId, key, why: whyOf(candidate) });
        }
      }
      const kept = candidates.findLast(isKeptAtItsKey);
      if (kept !== undefined) await writer.deleteMarker(kept, store.nextIdentifier());
    }
    await writer.flush();
    await endRecovery(present(disks), store);
  } finally {
    await store.stop();
  }
}

/** As user metadata, which is ASCII. */
function whyOf({ fate, bucketName, key, uploadId, partNumber }: Candidate): Record<string, string> {
  return {
    'recovered-because': fate,
    'recovered-bucket': bucketName,
    'recovered-key': encodeURIComponent(key),
    ...(uploadId === undefined ? {} : { 'recovered-upload-id': uploadId }),
    ...(partNumber === undefined ? {} : { 'recovered-part-number': String(partNumber) }),
  };
}
