/**
 * The descriptor: what a blob says about itself, kept once and erasure-coded in the directory of its stripe. The data
 * store treats it as opaque; a recovery from shards alone reads it to give bytes their names back, and the collector
 * carries it along unread. It never serves a request: the journal is the truth.
 *
 * Encoding, format 1. `varint`: unsigned LEB128, up to 2^53 − 1. `signed`: varint of 2n, or of −2n − 1 for
 * a negative n (an import may carry dates before 1970). `string`: varint byte length, UTF-8 bytes. `pairs`:
 * varint count, then that many string, string.
 *
 *     u8 format = 1 · u8 kind · varint bucketId · string bucketName · string key, then by kind
 *     1 object    content · attributes                     one body written by PutObject
 *     2 part      content · string uploadId · varint partNumber      one body written by UploadPart
 *     3 manifest  content · attributes · string uploadId · blobs · parts    written by Complete ('' uploadId: by Copy)
 *
 *     content     varint sizeBytes · string etag · signed lastModifiedMs · u8 checksumAlgorithm (0: none, else index in
 *                 CHECKSUM_ALGORITHMS + 1) [· u8 checksumType (0 full object, 1 composite) · string base64 value]
 *     attributes  string accountId of the owner · string storageClass · pairs headers · pairs userMetadata · pairs tags
 *     blobs       varint count · per blob: varint blobId · varint sizeBytes; in the order of the bytes
 *     parts       varint count · per part: varint partNumber − partNumber before · varint sizeBytes
 *
 * Format 2, only in stores of format 2: the same, then a varint count of members · per member, ascending: varint member ·
 * bytes value (varint length and the bytes). Unknown members are passed over.
 *
 *     3 encryption  how the bytes are encrypted: service/encryption/encryption-record.ts; of a part the salt of its stream
 *     7 previous    varint blobId: what that blob describes comes first, bytes, parts and streams; of an appended body, and of
 *                   manifests that follow one another because one holds at most 32 KiB. `content` is of all of it
 *
 * The order of versions, deletes and later changes of tags are not here. A manifest names blobs that describe
 * themselves as parts, or as another key when they were copied.
 */
import { assert } from '../errors/assert.ts';
import type { ChecksumAlgorithm, ObjectAttributes, ObjectChecksum } from '../model/object-record.ts';
import { ByteReader, ByteWriter } from './byte-codec.ts';

const FORMAT = 1;
const FORMAT_WITH_MEMBERS = 2;
/** Numbers are never used again for another meaning. */
const MEMBER = { encryption: 3, previous: 7 } as const;

/** The order is part of the format: append only. */
const CHECKSUM_ALGORITHMS: readonly ChecksumAlgorithm[] = [
  'CRC32',
  'CRC32C',
  'CRC64NVME',
  'SHA1',
  'SHA256',
  'SHA512',
  'MD5',
  'XXHASH64',
  'XXHASH3',
  'XXHASH128',
];

const KIND = { object: 1, part: 2, manifest: 3 } as const;

/** Whose bytes they are. */
export interface DescribedName {
  bucketId: number;
  bucketName: string;
  key: string;
}

export interface DescribedContent {
  sizeBytes: number;
  etag: string;
  lastModifiedMs: number;
  checksum?: ObjectChecksum;
}

export interface DescribedAttributes extends Pick<
  ObjectAttributes,
  'storageClass' | 'headers' | 'userMetadata' | 'tags'
> {
  ownerAccountId: string;
}

export type BlobDescriptor = DescribedName & {
  content: DescribedContent;
  /** Opaque (service/encryption); of a part its salt. */
  encryption?: Buffer | undefined;
  /** The blob whose description comes before: its bytes, parts and streams. `content` is of all together. */
  previous?: number | undefined;
} & (
    | { kind: 'object'; attributes: DescribedAttributes }
    | { kind: 'part'; uploadId: string; partNumber: number }
    | {
        kind: 'manifest';
        attributes: DescribedAttributes;
        /** Empty: made by Copy. */
        uploadId: string;
        blobs: readonly { blobId: number; sizeBytes: number }[];
        parts: readonly { partNumber: number; sizeBytes: number }[];
      }
  );

export function encodeBlobDescriptor(descriptor: BlobDescriptor): Buffer {
  const writer = new ByteWriter();
  const { encryption, previous } = descriptor;
  const memberCount = (encryption === undefined ? 0 : 1) + (previous === undefined ? 0 : 1);
  writer.byte(memberCount === 0 ? FORMAT : FORMAT_WITH_MEMBERS);
  writer.byte(KIND[descriptor.kind]);
  writer.varint(descriptor.bucketId);
  writer.string(descriptor.bucketName);
  writer.string(descriptor.key);
  writeContent(writer, descriptor.content);
  switch (descriptor.kind) {
    case 'object':
      writeAttributes(writer, descriptor.attributes);
      break;
    case 'part':
      writer.string(descriptor.uploadId);
      writer.varint(descriptor.partNumber);
      break;
    case 'manifest':
      writeAttributes(writer, descriptor.attributes);
      writer.string(descriptor.uploadId);
      writeBlobs(writer, descriptor.blobs);
      writeParts(writer, descriptor.parts);
      break;
  }
  if (memberCount > 0) writer.varint(memberCount);
  if (encryption !== undefined) {
    writer.varint(MEMBER.encryption);
    writer.bytes(encryption);
  }
  if (previous !== undefined) {
    const value = new ByteWriter();
    value.varint(previous);
    writer.varint(MEMBER.previous);
    writer.bytes(value.finish());
  }
  return writer.finish();
}

/** @throws RangeError when the bytes end early or the format or kind is unknown. */
export function decodeBlobDescriptor(bytes: Buffer): BlobDescriptor {
  const reader = new ByteReader(bytes);
  const format = reader.byte();
  if (format !== FORMAT && format !== FORMAT_WITH_MEMBERS)
    throw new RangeError(`blob descriptor of unknown format ${format}`);
  const kind = reader.byte();
  const described = readKind(kind, reader);
  if (format === FORMAT_WITH_MEMBERS) readMembers(reader, described);
  return described;
}

function readKind(kind: number, reader: ByteReader): BlobDescriptor {
  const name = { bucketId: reader.varint(), bucketName: reader.string(), key: reader.string() };
  const content = readContent(reader);
  switch (kind) {
    case KIND.object:
      return { ...name, content, kind: 'object', attributes: readAttributes(reader) };
    case KIND.part:
      return { ...name, content, kind: 'part', uploadId: reader.string(), partNumber: reader.varint() };
    case KIND.manifest:
      return {
        ...name,
        content,
        kind: 'manifest',
        attributes: readAttributes(reader),
        uploadId: reader.string(),
        blobs: readBlobs(reader),
        parts: readParts(reader),
      };
    default:
      throw new RangeError(`blob descriptor of unknown kind ${kind}`);
  }
}

/** Unknown ones are passed over. */
function readMembers(reader: ByteReader, described: BlobDescriptor): void {
  for (const [member, value] of reader.list(() => [reader.varint(), reader.bytes()] as const)) {
    if (member === MEMBER.encryption) described.encryption = value;
    if (member === MEMBER.previous) described.previous = new ByteReader(value).varint();
  }
}

function writeContent(writer: ByteWriter, content: DescribedContent): void {
  writer.varint(content.sizeBytes);
  writer.string(content.etag);
  writer.signedVarint(content.lastModifiedMs);
  if (!content.checksum) {
    writer.byte(0);
    return;
  }
  const algorithmIndex = CHECKSUM_ALGORITHMS.indexOf(content.checksum.algorithm);
  assert(algorithmIndex >= 0, `checksum algorithm without a number: ${content.checksum.algorithm}`);
  writer.byte(algorithmIndex + 1);
  writer.byte(content.checksum.type === 'COMPOSITE' ? 1 : 0);
  writer.string(content.checksum.value);
}

function readContent(reader: ByteReader): DescribedContent {
  const content: DescribedContent = {
    sizeBytes: reader.varint(),
    etag: reader.string(),
    lastModifiedMs: reader.signedVarint(),
  };
  const algorithmNumber = reader.byte();
  if (algorithmNumber === 0) return content;
  const algorithm = CHECKSUM_ALGORITHMS[algorithmNumber - 1];
  if (!algorithm) throw new RangeError(`blob descriptor with unknown checksum algorithm ${algorithmNumber}`);
  const type = reader.byte() === 1 ? 'COMPOSITE' : 'FULL_OBJECT';
  return { ...content, checksum: { algorithm, type, value: reader.string() } };
}

function writeAttributes(writer: ByteWriter, attributes: DescribedAttributes): void {
  writer.string(attributes.ownerAccountId);
  writer.string(attributes.storageClass);
  writer.pairs(Object.entries(attributes.headers));
  writer.pairs(Object.entries(attributes.userMetadata));
  writer.pairs(attributes.tags?.map(({ key, value }) => [key, value]) ?? []);
}

function readAttributes(reader: ByteReader): DescribedAttributes {
  const ownerAccountId = reader.string();
  const storageClass = reader.string();
  const headers = reader.record();
  const userMetadata = reader.record();
  const tags = reader.pairs().map(([key, value]) => ({ key, value }));
  return { ownerAccountId, storageClass, headers, userMetadata, ...(tags.length > 0 ? { tags } : {}) };
}

function writeBlobs(writer: ByteWriter, blobs: readonly { blobId: number; sizeBytes: number }[]): void {
  writer.varint(blobs.length);
  for (const { blobId, sizeBytes } of blobs) {
    writer.varint(blobId);
    writer.varint(sizeBytes);
  }
}

function readBlobs(reader: ByteReader): { blobId: number; sizeBytes: number }[] {
  return reader.list(() => ({ blobId: reader.varint(), sizeBytes: reader.varint() }));
}

function writeParts(writer: ByteWriter, parts: readonly { partNumber: number; sizeBytes: number }[]): void {
  writer.varint(parts.length);
  let before = 0;
  for (const { partNumber, sizeBytes } of parts) {
    writer.varint(partNumber - before);
    writer.varint(sizeBytes);
    before = partNumber;
  }
}

function readParts(reader: ByteReader): { partNumber: number; sizeBytes: number }[] {
  let before = 0;
  return reader.list(() => {
    before += reader.varint();
    return { partNumber: before, sizeBytes: reader.varint() };
  });
}
