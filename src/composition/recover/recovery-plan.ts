import { plainSizeBytes } from '../../encryption/package-format.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { BlobRecord } from '../../model/blob.ts';
import type { ObjectAttributes } from '../../model/object-record.ts';
import type { BlobDescriptor } from '../../service/blob-descriptor.ts';
import { decodeEncryption, encodeEncryption } from '../../service/encryption/encryption-record.ts';
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
      if (catalog.isContinued(described.blobId)) continue;
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
  const chain = chainOf(catalog, { blobId, descriptor });
  const whole = chain && joined(chain);
  const blobIds = chain && whole && blobIdsOf(catalog, chain, whole);
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
    attributes: attributesOf(descriptor, whole),
    blobIds: blobIds ?? [],
  };
}

/** It and what comes before it, the first first; `undefined`: some of that is not there. */
function chainOf(catalog: ShardCatalog, last: Described): Described[] | undefined {
  const chain = [last];
  for (let { previous } = last.descriptor; previous !== undefined;) {
    const descriptor = catalog.descriptor(previous);
    // Ids of what comes before are lesser ones: no chain goes round.
    if (descriptor === undefined || previous >= chain[0]!.blobId) return undefined;
    chain.unshift({ blobId: previous, descriptor });
    previous = descriptor.previous;
  }
  return chain;
}

interface JoinedChain {
  readonly encryption: Buffer | undefined;
  readonly parts: readonly { partNumber: number; sizeBytes: number }[];
}

/** Streams and parts of all links. `undefined`: they do not go together. */
function joined(chain: readonly Described[]): JoinedChain | undefined {
  const { encryption } = chain.at(-1)!.descriptor;
  if (chain.length === 1) {
    const [{ descriptor }] = chain as [Described];
    return { encryption, parts: descriptor.kind === 'manifest' ? descriptor.parts : [] };
  }
  const parts: { partNumber: number; sizeBytes: number }[] = [];
  let sizeBytes = 0;
  for (const { descriptor } of chain) {
    if (descriptor.kind === 'part') return undefined;
    if (descriptor.kind === 'manifest') {
      parts.push(...descriptor.parts);
    } else {
      const ownBytes = descriptor.content.sizeBytes - sizeBytes;
      if (ownBytes > 0 || descriptor.previous !== undefined) {
        parts.push({ partNumber: (parts.at(-1)?.partNumber ?? 0) + 1, sizeBytes: ownBytes });
      }
    }
    // Every manifest of a chain tells the size of the object, a body that was appended the size up to itself.
    sizeBytes = descriptor.content.sizeBytes;
  }
  if (encryption === undefined) return { encryption, parts };
  try {
    const salts = chain.flatMap(({ descriptor }) => saltsOf(descriptor));
    return { encryption: encodeEncryption({ ...decodeEncryption(encryption), salts }), parts };
  } catch (error) {
    if (!isStoreError(error, 'ShardCorrupt')) throw error;
    return undefined;
  }
}

function saltsOf({ encryption }: BlobDescriptor): readonly Buffer[] {
  return encryption === undefined ? [] : decodeEncryption(encryption).salts;
}

/**
 * `undefined`: a piece is missing, or it is a part whose key only its upload knew. A manifest stands behind the blobs it
 * names, as a commit puts it; those of a chain behind all of them.
 */
function blobIdsOf(catalog: ShardCatalog, chain: readonly Described[], whole: JoinedChain): number[] | undefined {
  const last = chain.at(-1)!.descriptor;
  const pieces = chain.flatMap(({ blobId, descriptor }): { blobId: number; sizeBytes: number | undefined }[] => {
    if (descriptor.kind !== 'manifest') return [{ blobId, sizeBytes: undefined }];
    return [...descriptor.blobs.filter(({ sizeBytes }) => sizeBytes > 0), { blobId, sizeBytes: 0 }];
  });
  const blobs = pieces.map(({ blobId }) => catalog.blob(blobId)).filter((blob) => blob !== undefined);

  if (blobs.length < pieces.length) return undefined;
  if (last.kind === 'part' && last.encryption !== undefined) return undefined;
  if (pieces.some(({ sizeBytes }, index) => sizeBytes !== undefined && blobs[index]?.sizeBytes !== sizeBytes)) {
    return undefined;
  }
  return contentBytes(blobs, whole.encryption) === last.content.sizeBytes
    ? pieces.map(({ blobId }) => blobId)
    : undefined;
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
function attributesOf(descriptor: BlobDescriptor, whole: JoinedChain | undefined): ObjectAttributes {
  const { etag, sizeBytes, checksum } = descriptor.content;
  const content = { etag, sizeBytes, ...(checksum === undefined ? {} : { checksum }) };
  if (descriptor.kind === 'part') return { ...content, headers: {}, userMetadata: {}, storageClass: 'STANDARD' };
  const { ownerAccountId: _, ...named } = descriptor.attributes;
  const parts = whole !== undefined && whole.parts.length > 0 ? { parts: whole.parts } : {};
  const encryption = whole?.encryption ?? descriptor.encryption;
  return { ...named, ...content, ...parts, ...(encryption === undefined ? {} : { encryption }) };
}
