import type { DataStore } from '../../data-store/data-store.ts';
import { isStoreError, type StoreErrorCode } from '../../errors/store-error.ts';
import type { MetadataStore } from '../../metadata-store/metadata-store.ts';
import type { BucketRecord, ObjectRecord } from '../../model/object-record.ts';
import { placeBlobs } from '../place-blobs.ts';
import type { Manifest } from '../write-manifests.ts';

export interface TransitionStores {
  metadataStore: Pick<MetadataStore, 'commit' | 'getObject' | 'formatVersion'>;
  dataStore: Pick<DataStore, 'copyBlob' | 'writeSmall' | 'storageClasses'>;
}

export interface VersionTransition {
  key: string;
  versionId: string;
  /** Only the version that was seen. */
  order: number;
  storageClass: string;
}

/** Says nothing about the version or its new class. */
const PASSING: ReadonlySet<StoreErrorCode> = new Set(['BlobGone', 'Overloaded', 'NotReady']);

/** The bytes of this version cannot be read, or its new class takes none now: nothing that the others should wait for. */
export class NotMoved extends Error {
  override name = 'NotMoved';
}

/**
 * Writes the bytes of one version into the volumes of another storage class and names them there, if it is still the
 * version that was seen: its ETag, Last-Modified, tags and locks stay. Nothing is decoded: encrypted bytes move as they are.
 * A crash in between leaves bytes that nothing names.
 *
 * @returns how many bytes were moved; `undefined`: it is not there any more, or of that class already
 * @throws S3Error PreconditionFailed; StoreError BlobGone | Overloaded | NotReady | what the commit throws; NotMoved
 */
export async function transitionVersion(
  { metadataStore, dataStore }: TransitionStores,
  bucket: BucketRecord,
  { key, versionId, order, storageClass }: VersionTransition,
): Promise<number | undefined> {
  const { bucketId } = bucket;
  if (!dataStore.storageClasses().some(({ name }) => name === storageClass)) return undefined;
  const version = await metadataStore.getObject({ bucketId, key, versionId });
  if (version?.order !== order || version.isDeleteMarker || version.storageClass === storageClass) return undefined;
  const placed = await placeBlobs({ dataStore, metadataStore }, version, {
    storageClass,
    // One blob that is a whole object says all about itself that a recovery needs.
    ...(version.blobs.length === 1 ? {} : { describe: manifestOf(bucket, { ...version, storageClass }) }),
  }).catch((error: unknown) => {
    if (!isStoreError(error) || PASSING.has(error.code)) throw error;
    throw new NotMoved(`${bucket.name}/${key} stays in ${version.storageClass}: ${error.message}`, { cause: error });
  });
  try {
    const blobs = placed.uses;
    const mutation = { bucketId, key, versionId, onlyOrder: order, storageClass, blobs };
    await metadataStore.commit({ type: 'TransitionVersion', ...mutation });
    return placed.movedBytes;
  } finally {
    placed.unpin();
  }
}

function manifestOf(bucket: BucketRecord, version: ObjectRecord): (blobs: ObjectRecord['blobs']) => Manifest {
  return (blobs) => ({
    kind: 'manifest',
    bucketId: bucket.bucketId,
    bucketName: bucket.name,
    key: version.key,
    content: version,
    attributes: { ...version, ownerAccountId: version.owner.accountId },
    uploadId: '',
    blobs,
    parts: version.parts ?? [],
    encryption: version.encryption,
  });
}
