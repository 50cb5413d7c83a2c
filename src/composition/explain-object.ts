import type { ExplainedAddress, ExplainReport, ExtentReport, ExtentShard } from '../admin/explain-report.ts';
import { describeLayout, type LayoutExtent } from '../data-store/describe-layout.ts';
import { volumePath } from '../data-store/volume/volume-file.ts';
import type { DamageRecord, MetadataStore } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';
import type { ObjectRecord } from '../model/object-record.ts';

export interface ExplainSources {
  mode: ExplainReport['mode'];
  bucketName: string;
  object: ObjectRecord;
  volumes: readonly VolumeRecord[];
  damage: readonly DamageRecord[];
  disks: readonly {
    readonly id: string;
    readonly index: number;
    readonly path: string | undefined;
    readonly lastPath: string | undefined;
    readonly state: string;
  }[];
}

/** Of one volume. */
const DAMAGE_LIMIT = 100_000;

type DamageQuery = Parameters<MetadataStore['listDamage']>[0];

/** For `getObject`. */
export function objectQueryOf(bucketId: number, { key, versionId }: ExplainedAddress) {
  return versionId === undefined ? { bucketId, key } : { bucketId, key, versionId };
}

/** What is to be asked for `ExplainSources.damage`: one query for each volume that the object lies in. */
export function damageQueriesOf({ blobs }: Pick<ObjectRecord, 'blobs'>): DamageQuery[] {
  const volumeIds = new Set(blobs.flatMap(({ footprint }) => footprint.map(({ volumeId }) => volumeId)));
  return [...volumeIds].map((volumeId) => ({ volumeId, limit: DAMAGE_LIMIT }));
}

/** Pure: where the bytes of an object lie, and what may still be lost. */
export function explainObject(sources: ExplainSources): ExplainReport {
  const { mode, bucketName, object, disks } = sources;
  const { key, versionId, sizeBytes, etag, lastModifiedMs, storageClass } = object;
  const blobs = object.blobs.map(({ blobId, sizeBytes: blobBytes, layout }) => ({
    blobId,
    sizeBytes: blobBytes,
    extents: describeLayout(layout).map((extent) => explainExtent(extent, sources)),
  }));
  const margins = blobs.flatMap(({ extents }) => extents.map(({ marginDiskCount }) => marginDiskCount));
  return {
    formatVersion: 1,
    mode,
    bucket: bucketName,
    key,
    versionId,
    sizeBytes,
    etag,
    lastModifiedMs,
    storageClass,
    marginDiskCount: Math.min(...margins, disks.length),
    blobs,
  };
}

function explainExtent(extent: LayoutExtent, { volumes, disks, damage }: ExplainSources): ExtentReport {
  const { volumeId, kind, k, m, stripeCount } = extent;
  const volume = volumes.find((each) => each.volumeId === volumeId);
  const shards = extent.shards.map(({ slot, offset, lengthBytes }): ExtentShard => {
    const diskId = volume?.diskIds[slot] ?? 'unknown';
    const disk = disks.find(({ id }) => id === diskId);
    const isHere = (record: DamageRecord): boolean =>
      record.volumeId === volumeId &&
      record.diskId === diskId &&
      record.offset >= offset &&
      record.offset < offset + lengthBytes;
    return {
      slot,
      offset,
      lengthBytes,
      file: volumePath(volumeId),
      diskId,
      diskIndex: disk?.index,
      path: disk?.path ?? disk?.lastPath,
      diskState: disk?.state ?? 'unknown',
      damagedCount: damage.filter(isHere).length,
    };
  });
  // A slot with any damaged shard counts as lost for all its stripes: never more margin than there is.
  const good = new Set(
    shards
      .filter(({ diskState, damagedCount }) => ['online', 'suspect'].includes(diskState) && damagedCount === 0)
      .map(({ slot }) => slot),
  );
  const margins = extent.placements.map((slots) => slots.filter((slot) => good.has(slot)).length - k);
  const marginDiskCount = Math.max(-1, Math.min(...margins));
  return { volumeId, volumeState: volume?.state ?? 'unknown', kind, k, m, stripeCount, marginDiskCount, shards };
}
