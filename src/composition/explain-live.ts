import type { ExplainedAddress, ExplainReport } from '../admin/explain-report.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import { damageQueriesOf, explainObject, objectQueryOf } from './explain-object.ts';
import type { Metadata } from './open-metadata.ts';

/** See `AdminActions.explain`. */
export async function explainLive(
  { disks, metadata }: { disks: LocalDiskSet; metadata: Metadata },
  address: ExplainedAddress,
): Promise<ExplainReport | undefined> {
  const { store } = metadata;
  const { bucketName } = address;
  const bucket = await store.getBucket(bucketName);
  const object = bucket && (await store.getObject(objectQueryOf(bucket.bucketId, address)));
  if (object === undefined || object.isDeleteMarker) return undefined;
  const volumes = await store.listVolumes();
  const damage = (await Promise.all(damageQueriesOf(object).map((query) => store.listDamage(query)))).flat();
  return explainObject({ mode: 'online', bucketName, object, volumes, damage, disks: disks.disks });
}
