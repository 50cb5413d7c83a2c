import { plainSizeBytes } from '../../encryption/package-format.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { BlobRecord } from '../../model/blob.ts';
import type { ObjectAttributes } from '../../model/object-record.ts';
import type { BlobDescriptor } from '../../service/blob-descriptor.ts';
import { decodeEncryption } from '../../service/encryption/encryption-record.ts';
import type { Described, ShardCatalog } from './shard-catalog.ts';

/** What becomes of one thing that the shards describe. */
export type Fate =
  /** At its key, as the current object. */
  | 'restored'
  /** At its key, as an older version: it was overwritten, or it was a version. */
  | 'older-version'
  /**
   * Nothing says which candidate of the key came last, or that one is lost: all are quarantined. Encrypted ones open only
   * under their own name: they are versions of their key, behind a delete marker.
   */
  | 'undecided'
  /** Its bucket was deleted, and another one made under the name: so it was deleted before. */
  | 'deleted-bucket'
  /** A part that no object names: of an upload in progress or aborted, or replaced by another. */
  | 'loose-part'
  /** Not all of its bytes are readable: its shards stay where they are, nothing is restored. */
  | 'unreadable';

export interface Candidate {
  readonly fate: Fate;
  /** Of the blob that describes it. Ascends with the time at which writing it began. */
  readonly blobId: number;
  readonly bucketId: number;
  readonly bucketName: string;
  readonly key: string;
  readonly sizeBytes: number;
  readonly lastModifiedMs: number;
  readonly uploadId: string | undefined;
  readonly partNumber: number | undefined;
  readonly ownerAccountId: string | undefined;
  readonly attributes: ObjectAttributes;
  /** In the order of the bytes; empty when it is unreadable. */
  readonly blobIds: readonly number[];
}

/**
 * Decides for every key what is restored. Two things say in which order its candidates were written: their ids and their
 * times. Where both agree the last one is the object and the others are its older versions. Where they do not, or the last
 * one cannot be read (lost, or reclaimed because it was deleted), nothing is guessed.
 */
export function* planRecovery(catalog: ShardCatalog): Generator<Candidate[]> {
  const newestOfName = new Map(catalog.buckets().map(({ name, bucketId }) => [name, bucketId]));
  for (const group of catalog.keys()) {
    const wholes: Candidate[] = [];
    const others: Candidate[] = [];
    for (const described of group) {
      if (described.descriptor.kind === 'part' && catalog.isNamed(described.blobId)) continue;
      const candidate = candidateOf(catalog, described);
      (candidate.fate === 'restored' ? wholes : others).push(candidate);
    }
    const [first] = group;
    const isDeleted = newestOfName.get(first!.descriptor.bucketName) !== first!.descriptor.bucketId;
    const decided = isDeleted ? wholes.map((one) => withFate(one, 'deleted-bucket')) : decide(wholes, others);
    yield [...decided, ...others];
  }
}

/** `candidates`: of one key, in the order of their ids. Behind one that is later and lost, nothing older is current. */
function decide(candidates: readonly Candidate[], others: readonly Candidate[]): Candidate[] {
  const lastId = candidates.at(-1)?.blobId ?? 0;
  const isLastLost = others.some((one) => one.fate === 'unreadable' && !one.partNumber && one.blobId > lastId);
  const agree =
    !isLastLost &&
    candidates.every((one, index) => {
      const before = candidates[index - 1];
      return before === undefined || before.lastModifiedMs <= one.lastModifiedMs;
    });
  return candidates.map((one, index) => {
    if (!agree) return withFate(one, 'undecided');
    return index === candidates.length - 1 ? one : withFate(one, 'older-version');
  });
}

function withFate(candidate: Candidate, fate: Fate): Candidate {
  return { ...candidate, fate };
}

function candidateOf(catalog: ShardCatalog, { blobId, descriptor }: Described): Candidate {
  const { bucketId, bucketName, key, content } = descriptor;
  const blobIds = blobIdsOf(catalog, blobId, descriptor);
  const isWhole = blobIds !== undefined;
  const fate = isWhole ? (descriptor.kind === 'part' ? 'loose-part' : 'restored') : 'unreadable';
  return {
    fate,
    blobId,
    bucketId,
    bucketName,
    key,
    sizeBytes: content.sizeBytes,
    lastModifiedMs: content.lastModifiedMs,
    uploadId: 'uploadId' in descriptor && descriptor.uploadId !== '' ? descriptor.uploadId : undefined,
    partNumber: descriptor.kind === 'part' ? descriptor.partNumber : undefined,
    ownerAccountId: descriptor.kind === 'part' ? undefined : descriptor.attributes.ownerAccountId,
    attributes: attributesOf(descriptor),
    blobIds: blobIds ?? [],
  };
}

/**
 * `undefined`: a piece is missing, or it is a part whose key only its upload knew. A manifest stands behind the blobs it
 * names, as a commit puts it.
 */
function blobIdsOf(catalog: ShardCatalog, blobId: number, descriptor: BlobDescriptor): number[] | undefined {
  const pieces = descriptor.kind === 'manifest' ? descriptor.blobs.filter(({ sizeBytes }) => sizeBytes > 0) : [];
  const ids = [...pieces.map((piece) => piece.blobId), blobId];
  const blobs = ids.map((id) => catalog.blob(id)).filter((blob) => blob !== undefined);

  if (blobs.length < ids.length) return undefined;
  if (descriptor.kind === 'part' && descriptor.encryption !== undefined) return undefined;
  if (pieces.some((piece, index) => blobs[index]?.sizeBytes !== piece.sizeBytes)) return undefined;
  return contentBytes(blobs, descriptor.encryption) === descriptor.content.sizeBytes ? ids : undefined;
}

/** What these bodies hold; `undefined`: they do not go with their encryption. */
function contentBytes(blobs: readonly BlobRecord[], encryption: Buffer | undefined): number | undefined {
  const sizes = blobs.map(({ sizeBytes }) => sizeBytes).filter((sizeBytes) => sizeBytes > 0);
  if (encryption === undefined) return sum(sizes);
  try {
    return decodeEncryption(encryption).salts.length === sizes.length ? sum(sizes.map(plainSizeBytes)) : undefined;
  } catch (error) {
    if (!isStoreError(error, 'ShardCorrupt')) throw error;
    return undefined;
  }
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, sizeBytes) => total + sizeBytes, 0);
}

/** All that a descriptor tells, whatever members it has. */
function attributesOf(descriptor: BlobDescriptor): ObjectAttributes {
  const { etag, sizeBytes, checksum } = descriptor.content;
  const content = { etag, sizeBytes, ...(checksum === undefined ? {} : { checksum }) };
  if (descriptor.kind === 'part') return { ...content, headers: {}, userMetadata: {}, storageClass: 'STANDARD' };
  const { ownerAccountId: _, ...named } = descriptor.attributes;
  const parts = descriptor.kind === 'manifest' && descriptor.parts.length > 0 ? { parts: descriptor.parts } : {};
  const { encryption } = descriptor;
  return { ...named, ...content, ...parts, ...(encryption === undefined ? {} : { encryption }) };
}
