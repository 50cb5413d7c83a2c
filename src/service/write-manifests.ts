import { DESCRIPTOR_LIMIT_BYTES, type DataStore, type PinnedBlob } from '../data-store/data-store.ts';
import { encodeBlobDescriptor, type BlobDescriptor } from './blob-descriptor.ts';
import { decodeEncryption, encodeEncryption } from './encryption/encryption-record.ts';

export type Manifest = Extract<BlobDescriptor, { kind: 'manifest' }>;

interface ManifestStores {
  dataStore: Pick<DataStore, 'writeSmall'>;
  /** Of the store: a chain needs 2. */
  formatVersion: () => number;
}

const EMPTY = Buffer.alloc(0);
/** What one manifest of a chain names at most: 37 bytes each in the worst case, beside what is said of the object. */
const CHAIN_LINK_BLOBS = 400;

/**
 * Writes what a recovery from shards alone needs to know of an object of several blobs: one manifest as long as that fits
 * into a descriptor, else a chain of them, each with the next few hundred blobs and parts. To be named behind the blobs in
 * this order, and unpinned after that. In a store of format 1 an object too long for one manifest gets none: it can be read
 * like any other, and such a recovery finds its parts.
 *
 * @throws StoreError of `writeSmall`; what was written before is unpinned
 */
export async function writeManifests(
  { dataStore, formatVersion }: ManifestStores,
  manifest: Manifest,
  options: { storageClass: string },
): Promise<PinnedBlob[]> {
  const whole = encodeBlobDescriptor(manifest);
  if (whole.length <= DESCRIPTOR_LIMIT_BYTES) return [await dataStore.writeSmall(EMPTY, whole, options)];
  if (formatVersion() < 2) return [];
  const written: PinnedBlob[] = [];
  try {
    for (const link of linksOf(manifest)) {
      const previous = written.at(-1)?.blob.blobId;
      written.push(await dataStore.writeSmall(EMPTY, encodeBlobDescriptor({ ...link, previous }), options));
    }
  } catch (error) {
    for (const pinned of written) pinned.unpin();
    throw error;
  }
  return written;
}

/** In order. Only the last one says what the object is; each has the streams of its own blobs. */
function* linksOf(manifest: Manifest): Generator<Manifest> {
  const { blobs, parts, attributes, encryption } = manifest;
  const record = encryption === undefined ? undefined : decodeEncryption(encryption);
  const plain = { ...attributes, headers: {}, userMetadata: {}, tags: [] };
  const end = Math.max(blobs.length, parts.length);
  let streams = 0;
  for (let at = 0; at < end; at += CHAIN_LINK_BLOBS) {
    const ofLink = blobs.slice(at, at + CHAIN_LINK_BLOBS);
    const isLast = at + CHAIN_LINK_BLOBS >= end;
    const link = { ...manifest, blobs: ofLink, parts: parts.slice(at, at + CHAIN_LINK_BLOBS) };
    const streamsEnd = streams + ofLink.filter(({ sizeBytes }) => sizeBytes > 0).length;
    yield {
      ...link,
      attributes: isLast ? attributes : plain,
      ...(record
        ? { encryption: encodeEncryption({ ...record, salts: record.salts.slice(streams, streamsEnd) }) }
        : {}),
    };
    streams = streamsEnd;
  }
}
