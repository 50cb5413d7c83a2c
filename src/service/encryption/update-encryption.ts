import { S3Error } from '../../errors/s3-error.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { BlobUse } from '../../metadata-store/metadata-store.ts';
import type { ObjectRecord } from '../../model/object-record.ts';
import type { ObjectAddress } from '../objects.ts';
import type { ServiceStores } from '../service-stores.ts';
import { writeManifests } from '../write-manifests.ts';
import type { AuthorizeKey, EncryptionFacts } from './encryption-modes.ts';
import { decodeEncryption, encryptionFacts } from './encryption-record.ts';
import { unseal } from './read-sealed.ts';

/** How often it starts over because the version was replaced, moved or sealed anew meanwhile. */
const LOOK_UP_LIMIT = 4;

export interface UpdateEncryptionRequest extends ObjectAddress {
  keyArn: string;
  bucketKeyEnabled: boolean;
  authorizeKey: AuthorizeKey;
}

type Stores = Pick<ServiceStores, 'encryption' | 'dataStore' | 'metadataStore'>;

/**
 * Seals the data key of a version under a key of the key service, in place of the server's or another key of the
 * service. The version's bytes, id, ETag, Last-Modified and checksums stay as they are. The current version gets a
 * manifest, so that a recovery from shards alone knows the new envelope; the former one lies in its stripes until these
 * are written anew, and of an older version it is what such a recovery finds.
 *
 * @throws S3Error NoSuchKey | NoSuchVersion | InvalidArgument (version id) | MethodNotAllowed (a delete marker) |
 *   InvalidRequest (not encrypted, or with a customer's key) | AccessDenied (its lock; a key) | KMS.*
 * @throws StoreError KeysUnavailable
 */
export async function updateEncryption(
  stores: Stores,
  request: UpdateEncryptionRequest,
  headObject: (address: ObjectAddress) => Promise<ObjectRecord>,
): Promise<{ versionId: string }> {
  const { keyArn, authorizeKey } = request;
  for (const action of ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncryptTo'] as const) await authorizeKey(action, keyArn);
  for (let attempt = 1; ; attempt++) {
    const version = await headObject(request);
    try {
      await updateVersion(stores, request, version);
      return { versionId: version.versionId };
    } catch (error) {
      if (!isOvertaken(error) || attempt === LOOK_UP_LIMIT) throw error;
    }
  }
}

function isOvertaken(error: unknown): boolean {
  return isStoreError(error, 'BlobGone') || (error instanceof S3Error && error.code === 'PreconditionFailed');
}

async function updateVersion(
  { encryption: service, dataStore, metadataStore }: Stores,
  { bucket, key, keyArn, bucketKeyEnabled, authorizeKey }: UpdateEncryptionRequest,
  version: ObjectRecord,
): Promise<void> {
  const from = version.encryption;
  const facts = encryptionFacts(from);
  checkSource(facts);
  if (facts?.mode === 'aws:kms') await authorizeKey('kms:ReEncryptFrom', facts.keyArn);
  const { sealing } = await unseal(service, version, { customerKey: undefined, authorizeKey });
  const wish = { requested: undefined, bucketKeyEnabled, authorizeKey };
  const resealed = await service.reseal(sealing!, { bucket, key, wish }, keyArn);
  const to = resealed.encode(decodeEncryption(from!).salts);
  resealed.end();
  sealing!.end();
  const { bucketId, versionId, order, storageClass } = version;
  const replacement = {
    type: 'ReplaceEncryption',
    bucketId,
    key,
    versionId,
    onlyOrder: order,
    from: from!,
    to,
  } as const;
  const current = await metadataStore.getObject({ bucketId, key });
  if (current?.order !== order) return await metadataStore.commit(replacement);
  const blobs = version.blobs.filter(({ sizeBytes }) => sizeBytes > 0);
  const manifests = await writeManifests(
    { dataStore, formatVersion: () => metadataStore.formatVersion() },
    {
      kind: 'manifest',
      bucketId,
      bucketName: bucket.name,
      key,
      content: version,
      attributes: { ...version, ownerAccountId: version.owner.accountId },
      uploadId: '',
      blobs,
      parts: version.parts ?? [],
      encryption: to,
    },
    { storageClass },
  );
  try {
    const uses: BlobUse[] = blobs.map(({ blobId }) => ({ existingBlobId: blobId }));
    for (const { blob } of manifests) uses.push({ newBlob: blob });
    await metadataStore.commit({ ...replacement, described: { storageClass, blobs: uses } });
  } finally {
    for (const manifest of manifests) manifest.unpin();
  }
}

/** @throws S3Error InvalidRequest */
function checkSource(facts: EncryptionFacts | undefined): void {
  if (facts === undefined) {
    throw invalidRequest(
      "The UpdateObjectEncryption operation doesn't support unencrypted source objects. Only source objects encrypted with SSE-S3 or SSE-KMS are supported.",
    );
  }
  if (facts.mode === 'SSE-C') {
    throw invalidRequest(
      "The UpdateObjectEncryption operation doesn't support source objects with the encryption type DSSE-KMS or SSE-C. Only source objects encrypted with SSE-S3 or SSE-KMS are supported.",
    );
  }
}

function invalidRequest(message: string): S3Error {
  return new S3Error('InvalidRequest', { message });
}
