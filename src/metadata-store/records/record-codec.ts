import type { BlobFootprint, BlobRecord } from '../../model/blob.ts';
import type { BlobUse, DamageRecord } from '../metadata-store.ts';
import { assert } from '../../errors/assert.ts';
import { NEWEST_STORE_FORMAT } from '../../model/store-format.ts';
import { newerFormat } from '../newer-format.ts';
import { FORMAT_1_DETAILS_FLAGS } from './attributes-codec.ts';
import { ByteReader, corrupt } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import type {
  AppendedPart,
  AppendFields,
  CompleteFields,
  EncodedAttributes,
  JournalRecord,
  PutFields,
  PutPartFields,
} from './journal-record.ts';

/** Greater numbers are records of format 2. */
const GREATEST_TYPE_OF_FORMAT_1 = 19;
/** Configurations of buckets: a former server would keep them and not obey them. */
const BUCKET_COLLECTIONS = 'bucket-';
const DAMAGE_KINDS = ['missing', 'corrupt', 'unreadable'] as const;

/** The numbers of the table in `journal-record.ts`. */
const TYPE_NUMBERS: { readonly [Type in JournalRecord['type']]: number } = {
  InternOwner: 1,
  CreateBucket: 2,
  DeleteBucket: 3,
  PutObject: 4,
  DeleteObject: 5,
  CreateMultipartUpload: 6,
  PutPart: 7,
  CompleteMultipartUpload: 8,
  AbortMultipartUpload: 9,
  PutDocument: 10,
  DeleteDocument: 11,
  OpenVolume: 12,
  SealVolume: 13,
  DropVolume: 14,
  ConfirmDrop: 15,
  MoveBlobs: 16,
  RecordDamage: 17,
  ClearDamage: 18,
  MoveShard: 19,
  PutVersion: 20,
  PutDeleteMarker: 21,
  DeleteVersion: 22,
  CompleteVersion: 23,
  ChangeDetails: 24,
  PutEncryptedPart: 26,
  TransitionVersion: 27,
  RememberToken: 28,
  AppendObject: 29,
  RaiseFormat: 30,
  OpenClassVolume: 31,
};

/** Collects the records of one batch. Used again and again; `toBuffer` copies. */
export class BatchEncoder {
  readonly #records = new ByteWriter(64 * 1024);
  readonly #frame = new ByteWriter(64 * 1024);
  #count = 0;
  #format = NEWEST_STORE_FORMAT;

  get recordCount(): number {
    return this.#count;
  }

  get lengthBytes(): number {
    return this.#records.lengthBytes;
  }

  /** `storeFormat`: the one that is active when the batch begins. */
  clear(storeFormat: number): void {
    this.#records.clear();
    this.#count = 0;
    this.#format = storeFormat;
  }

  /** The record that raises the format is written in the format that it raises it to. */
  add(record: JournalRecord): void {
    if (record.type === 'RaiseFormat') this.#format = record.formatVersion;
    assert(neededFormat(record) <= this.#format, `a ${record.type} record of a newer format than the store's`);
    this.#records.byte(TYPE_NUMBERS[record.type]);
    writeFields(this.#records, record);
    this.#count += 1;
  }

  toBuffer(batchNumber: number): Buffer {
    this.#frame.clear();
    this.#frame.byte(this.#format);
    this.#frame.varint(batchNumber);
    this.#frame.varint(this.#count);
    return Buffer.concat([this.#frame.toBuffer(), this.#records.toBuffer()]);
  }
}

/** Old servers must never meet what they would skip or misread: whoever forgets to ask for the format is stopped here. */
function neededFormat(record: JournalRecord): number {
  if (TYPE_NUMBERS[record.type] > GREATEST_TYPE_OF_FORMAT_1) return 2;
  if (record.type === 'PutDocument') return record.address.collection.startsWith(BUCKET_COLLECTIONS) ? 2 : 1;
  const details = 'attributes' in record ? record.attributes.details : 'details' in record ? record.details : undefined;
  // Flags of format 1 fit into the first byte of their varint.
  return ((details?.[0] ?? 0) & ~FORMAT_1_DETAILS_FLAGS) === 0 ? 1 : 2;
}

export interface DecodedBatch {
  batchNumber: number;
  records: JournalRecord[];
}

/** Buffers in the records are views into `payload`. @throws StoreError JournalCorrupt | FormatRefused: of a newer format */
export function decodeBatch(payload: Buffer): DecodedBatch {
  const reader = new ByteReader(payload);
  const version = reader.byte();
  if (version > NEWEST_STORE_FORMAT) throw newerFormat('a journal payload', version, NEWEST_STORE_FORMAT);
  if (version === 0) throw corrupt('format version 0 of a journal payload');
  const batchNumber = reader.varint();
  const records = reader.list(() => readRecord(reader));
  if (!reader.isAtEnd) throw corrupt('a journal payload is longer than its records');
  return { batchNumber, records };
}

/** One for all: encoding is synchronous and never re-entered. */
const footprintWriter = new ByteWriter(256);

export function encodeFootprint(footprint: readonly BlobFootprint[]): Buffer {
  footprintWriter.clear();
  writeFootprint(footprintWriter, footprint);
  return footprintWriter.toBuffer();
}

export function decodeFootprint(encoded: Buffer): BlobFootprint[] {
  return readFootprint(new ByteReader(encoded));
}

function writeFields(writer: ByteWriter, record: JournalRecord): void {
  switch (record.type) {
    case 'InternOwner':
      writer.varint(record.ownerId);
      writer.string(record.owner.accountId);
      writer.string(record.owner.canonicalId);
      return writer.string(record.owner.displayName);
    case 'CreateBucket':
      writer.varint(record.bucketId);
      writer.string(record.name);
      writer.varint(record.ownerId);
      writer.string(record.region);
      return writer.signedVarint(record.createdAtMs);
    case 'DeleteBucket':
      return writer.varint(record.bucketId);
    case 'PutObject':
      return writePut(writer, record);
    case 'PutVersion':
      writePut(writer, record);
      return writer.string(record.versionId);
    case 'PutDeleteMarker':
      writer.varint(record.bucketId);
      writer.bytes(record.key);
      writer.varint(record.order);
      writer.varint(record.ownerId);
      writer.signedVarint(record.lastModifiedMs);
      return writer.string(record.versionId);
    case 'DeleteVersion':
      writer.varint(record.bucketId);
      writer.bytes(record.key);
      return writer.varint(record.order);
    case 'ChangeDetails':
      writer.varint(record.bucketId);
      writer.bytes(record.key);
      writer.varint(record.order);
      return writer.bytes(record.details);
    case 'TransitionVersion':
      writer.varint(record.bucketId);
      writer.bytes(record.key);
      writer.varint(record.order);
      writer.string(record.storageClass);
      return writeList(writer, record.blobs, writeBlobUse);
    case 'DeleteObject':
      writer.varint(record.bucketId);
      return writer.bytes(record.key);
    case 'CreateMultipartUpload':
    case 'PutPart':
    case 'PutEncryptedPart':
    case 'CompleteMultipartUpload':
    case 'CompleteVersion':
    case 'AbortMultipartUpload':
      return writeUploadFields(writer, record);
    case 'PutDocument':
      writer.string(record.address.collection);
      writer.string(record.address.id);
      return writer.bytes(record.body);
    case 'DeleteDocument':
      writer.string(record.address.collection);
      return writer.string(record.address.id);
    case 'AppendObject':
      return writeAppend(writer, record);
    case 'RememberToken':
      writer.varint(record.bucketId);
      writer.string(record.token);
      writer.bytes(record.meaning);
      return writer.signedVarint(record.decidedAtMs);
    case 'RaiseFormat':
      return writer.varint(record.formatVersion);
    default:
      return writeVolumeFields(writer, record);
  }
}

type UploadRecordType = Extract<
  JournalRecord,
  {
    type:
      | 'CreateMultipartUpload'
      | 'PutPart'
      | 'PutEncryptedPart'
      | 'CompleteMultipartUpload'
      | 'CompleteVersion'
      | 'AbortMultipartUpload';
  }
>;

function writeUploadFields(writer: ByteWriter, record: UploadRecordType): void {
  switch (record.type) {
    case 'CreateMultipartUpload':
      writer.varint(record.order);
      writer.string(record.uploadId);
      writer.varint(record.bucketId);
      writer.bytes(record.key);
      writer.signedVarint(record.initiatedAtMs);
      writer.varint(record.ownerId);
      writer.varint(record.initiatorId);
      writer.string(record.storageClass);
      writer.varint(record.checksum);
      return writer.bytes(record.details);
    case 'PutPart':
      return writePart(writer, record);
    case 'PutEncryptedPart':
      writePart(writer, record);
      return writer.bytes(record.encryption);
    case 'CompleteMultipartUpload':
      return writeComplete(writer, record);
    case 'CompleteVersion':
      writeComplete(writer, record);
      return writer.string(record.versionId);
    case 'AbortMultipartUpload':
      return writer.varint(record.uploadOrder);
  }
}

function writePut(writer: ByteWriter, record: PutFields): void {
  writer.varint(record.bucketId);
  writer.bytes(record.key);
  writer.varint(record.order);
  writer.varint(record.ownerId);
  writer.signedVarint(record.lastModifiedMs);
  writeAttributes(writer, record.attributes);
  writeList(writer, record.blobs, writeBlobUse);
}

function writeAppend(writer: ByteWriter, record: AppendFields): void {
  writer.varint(record.bucketId);
  writer.bytes(record.key);
  writer.varint(record.order);
  writer.varint(record.newOrder);
  writer.signedVarint(record.lastModifiedMs);
  writer.string(record.etag);
  writer.varint(record.sizeBytes);
  writer.varint(record.checksum);
  writer.bytes(record.details);
  writeList(writer, record.parts, (out, { sizeBytes, checksum }) => {
    out.varint(sizeBytes);
    out.byte(checksum === undefined ? 0 : 1);
    if (checksum !== undefined) out.string(checksum);
  });
  writeList(writer, record.blobs, writeBlobUse);
}

function readAppend(r: ByteReader): AppendFields {
  return {
    bucketId: r.varint(),
    key: r.bytes(),
    order: r.varint(),
    newOrder: r.varint(),
    lastModifiedMs: r.signedVarint(),
    etag: r.string(),
    sizeBytes: r.varint(),
    checksum: r.varint(),
    details: r.bytes(),
    parts: r.list(() => {
      const part: AppendedPart = { sizeBytes: r.varint() };
      if (r.byte() === 1) part.checksum = r.string();
      return part;
    }),
    blobs: r.list(() => readBlobUse(r)),
  };
}

function writePart(writer: ByteWriter, record: PutPartFields): void {
  writer.varint(record.uploadOrder);
  writer.varint(record.partNumber);
  writer.string(record.etag);
  writer.varint(record.sizeBytes);
  writer.signedVarint(record.lastModifiedMs);
  writer.varint(record.checksum);
  writer.string(record.checksumValue);
  writeList(writer, record.blobs, writeBlobUse);
}

function writeComplete(writer: ByteWriter, record: CompleteFields): void {
  writer.varint(record.uploadOrder);
  writer.varint(record.order);
  writer.signedVarint(record.lastModifiedMs);
  writer.signedVarint(record.decidedAtMs);
  writeAttributes(writer, record.attributes);
  writeList(writer, record.partNumbers, (out, partNumber) => out.varint(partNumber));
  writer.byte(record.manifest === undefined ? 0 : 1);
  if (record.manifest !== undefined) writeBlob(writer, record.manifest);
}

type VolumeRecordType = Extract<
  JournalRecord,
  {
    type:
      | 'OpenVolume'
      | 'OpenClassVolume'
      | 'SealVolume'
      | 'DropVolume'
      | 'ConfirmDrop'
      | 'MoveBlobs'
      | 'RecordDamage'
      | 'ClearDamage'
      | 'MoveShard';
  }
>;

function writeVolumeFields(writer: ByteWriter, record: VolumeRecordType): void {
  switch (record.type) {
    case 'OpenVolume':
      return writeOpenedVolume(writer, record.volume);
    case 'OpenClassVolume':
      writeOpenedVolume(writer, record.volume);
      return writer.string(record.storageClass);
    case 'SealVolume':
      writer.varint(record.volumeId);
      return writer.varint(record.lengthBytes);
    case 'DropVolume':
      return writer.varint(record.volumeId);
    case 'ConfirmDrop':
      writer.varint(record.volumeId);
      return writeList(writer, record.diskIds, writeString);
    case 'MoveShard':
      writer.varint(record.volumeId);
      writer.varint(record.shardIndex);
      writer.string(record.fromDiskId);
      return writer.string(record.toDiskId);
    case 'MoveBlobs':
      return writeList(writer, record.moves, (out, move) => {
        out.varint(move.blobId);
        out.bytes(move.layout);
        writeFootprint(out, move.footprint);
      });
    case 'RecordDamage':
      return writeList(writer, record.damage, (out, damage) => {
        out.varint(damage.volumeId);
        out.string(damage.diskId);
        out.varint(damage.shardIndex);
        out.varint(damage.offset);
        out.byte(DAMAGE_KINDS.indexOf(damage.kind));
        out.signedVarint(damage.seenAtMs);
      });
    case 'ClearDamage':
      return writeList(writer, record.damage, (out, damage) => {
        out.varint(damage.volumeId);
        out.string(damage.diskId);
        out.varint(damage.offset);
      });
  }
}

type OpenedVolume = Extract<JournalRecord, { type: 'OpenVolume' }>['volume'];

function writeOpenedVolume(writer: ByteWriter, volume: OpenedVolume): void {
  writer.varint(volume.volumeId);
  writer.varint(volume.k);
  writer.varint(volume.m);
  writeList(writer, volume.diskIds, writeString);
  writer.byte(volume.purpose === 'small' ? 0 : 1);
  writer.varint(volume.shardSizeBytes);
}

function readOpenedVolume(r: ByteReader): OpenedVolume {
  return {
    volumeId: r.varint(),
    k: r.varint(),
    m: r.varint(),
    diskIds: r.list(() => r.string()),
    purpose: r.byte() === 0 ? 'small' : 'large',
    shardSizeBytes: r.varint(),
  };
}

function readRecord(reader: ByteReader): JournalRecord {
  const type = reader.byte();
  const read = READERS[type];
  if (read === undefined) throw corrupt(`unknown type ${type} of a journal record`);
  return read(reader);
}

/** By type number. Fields are read in the order in which the object literals name them. */
const READERS: Readonly<Record<number, (reader: ByteReader) => JournalRecord>> = {
  1: (r) => ({
    type: 'InternOwner',
    ownerId: r.varint(),
    owner: { accountId: r.string(), canonicalId: r.string(), displayName: r.string() },
  }),
  2: (r) => ({
    type: 'CreateBucket',
    bucketId: r.varint(),
    name: r.string(),
    ownerId: r.varint(),
    region: r.string(),
    createdAtMs: r.signedVarint(),
  }),
  3: (r) => ({ type: 'DeleteBucket', bucketId: r.varint() }),
  4: (r) => ({ type: 'PutObject', ...readPut(r) }),
  5: (r) => ({ type: 'DeleteObject', bucketId: r.varint(), key: r.bytes() }),
  6: (r) => ({
    type: 'CreateMultipartUpload',
    order: r.varint(),
    uploadId: r.string(),
    bucketId: r.varint(),
    key: r.bytes(),
    initiatedAtMs: r.signedVarint(),
    ownerId: r.varint(),
    initiatorId: r.varint(),
    storageClass: r.string(),
    checksum: r.varint(),
    details: r.bytes(),
  }),
  7: (r) => ({ type: 'PutPart', ...readPart(r) }),
  8: (r) => ({ type: 'CompleteMultipartUpload', ...readComplete(r) }),
  9: (r) => ({ type: 'AbortMultipartUpload', uploadOrder: r.varint() }),
  10: (r) => ({ type: 'PutDocument', address: { collection: r.string(), id: r.string() }, body: r.bytes() }),
  11: (r) => ({ type: 'DeleteDocument', address: { collection: r.string(), id: r.string() } }),
  12: (r) => ({ type: 'OpenVolume', volume: readOpenedVolume(r) }),
  13: (r) => ({ type: 'SealVolume', volumeId: r.varint(), lengthBytes: r.varint() }),
  14: (r) => ({ type: 'DropVolume', volumeId: r.varint() }),
  15: (r) => ({ type: 'ConfirmDrop', volumeId: r.varint(), diskIds: r.list(() => r.string()) }),
  16: (r) => ({
    type: 'MoveBlobs',
    moves: r.list(() => ({ blobId: r.varint(), layout: r.bytes(), footprint: readFootprint(r) })),
  }),
  17: (r) => ({ type: 'RecordDamage', damage: r.list(() => readDamage(r)) }),
  19: (r) => ({
    type: 'MoveShard',
    volumeId: r.varint(),
    shardIndex: r.varint(),
    fromDiskId: r.string(),
    toDiskId: r.string(),
  }),
  18: (r) => ({
    type: 'ClearDamage',
    damage: r.list(() => ({ volumeId: r.varint(), diskId: r.string(), offset: r.varint() })),
  }),
  27: (r) => ({
    type: 'TransitionVersion',
    bucketId: r.varint(),
    key: r.bytes(),
    order: r.varint(),
    storageClass: r.string(),
    blobs: r.list(() => readBlobUse(r)),
  }),
  20: (r) => ({ type: 'PutVersion', ...readPut(r), versionId: r.string() }),
  21: (r) => ({
    type: 'PutDeleteMarker',
    bucketId: r.varint(),
    key: r.bytes(),
    order: r.varint(),
    ownerId: r.varint(),
    lastModifiedMs: r.signedVarint(),
    versionId: r.string(),
  }),
  22: (r) => ({ type: 'DeleteVersion', bucketId: r.varint(), key: r.bytes(), order: r.varint() }),
  23: (r) => ({ type: 'CompleteVersion', ...readComplete(r), versionId: r.string() }),
  24: (r) => ({ type: 'ChangeDetails', bucketId: r.varint(), key: r.bytes(), order: r.varint(), details: r.bytes() }),
  26: (r) => ({ type: 'PutEncryptedPart', ...readPart(r), encryption: r.bytes() }),
  28: (r) => ({
    type: 'RememberToken',
    bucketId: r.varint(),
    token: r.string(),
    meaning: r.bytes(),
    decidedAtMs: r.signedVarint(),
  }),
  29: (r) => ({ type: 'AppendObject', ...readAppend(r) }),
  30: (r) => ({ type: 'RaiseFormat', formatVersion: r.varint() }),
  31: (r) => ({ type: 'OpenClassVolume', volume: readOpenedVolume(r), storageClass: r.string() }),
};

function readPart(r: ByteReader): PutPartFields {
  return {
    uploadOrder: r.varint(),
    partNumber: r.varint(),
    etag: r.string(),
    sizeBytes: r.varint(),
    lastModifiedMs: r.signedVarint(),
    checksum: r.varint(),
    checksumValue: r.string(),
    blobs: r.list(() => readBlobUse(r)),
  };
}

function readPut(r: ByteReader): PutFields {
  return {
    bucketId: r.varint(),
    key: r.bytes(),
    order: r.varint(),
    ownerId: r.varint(),
    lastModifiedMs: r.signedVarint(),
    attributes: readAttributes(r),
    blobs: r.list(() => readBlobUse(r)),
  };
}

function readComplete(r: ByteReader): CompleteFields {
  return {
    uploadOrder: r.varint(),
    order: r.varint(),
    lastModifiedMs: r.signedVarint(),
    decidedAtMs: r.signedVarint(),
    attributes: readAttributes(r),
    partNumbers: r.list(() => r.varint()),
    manifest: r.byte() === 1 ? readBlob(r) : undefined,
  };
}

function writeList<Item>(
  writer: ByteWriter,
  items: readonly Item[],
  write: (writer: ByteWriter, item: Item) => void,
): void {
  writer.varint(items.length);
  for (const item of items) write(writer, item);
}

function writeString(writer: ByteWriter, value: string): void {
  writer.string(value);
}

function writeBlobUse(writer: ByteWriter, use: BlobUse): void {
  if ('newBlob' in use) {
    writer.byte(0);
    writeBlob(writer, use.newBlob);
  } else {
    writer.byte(1);
    writer.varint(use.existingBlobId);
  }
}

function readBlobUse(reader: ByteReader): BlobUse {
  return reader.byte() === 0 ? { newBlob: readBlob(reader) } : { existingBlobId: reader.varint() };
}

function writeBlob(writer: ByteWriter, blob: BlobRecord): void {
  writer.varint(blob.blobId);
  writer.varint(blob.sizeBytes);
  writer.bytes(blob.layout);
  writeFootprint(writer, blob.footprint);
}

function readBlob(reader: ByteReader): BlobRecord {
  return {
    blobId: reader.varint(),
    sizeBytes: reader.varint(),
    layout: reader.bytes(),
    footprint: readFootprint(reader),
  };
}

function writeFootprint(writer: ByteWriter, footprint: readonly BlobFootprint[]): void {
  writer.varint(footprint.length);
  for (const { volumeId, storedBytes } of footprint) {
    writer.varint(volumeId);
    writer.varint(storedBytes);
  }
}

function readFootprint(reader: ByteReader): BlobFootprint[] {
  return reader.list(() => ({ volumeId: reader.varint(), storedBytes: reader.varint() }));
}

function writeAttributes(writer: ByteWriter, attributes: EncodedAttributes): void {
  writer.string(attributes.etag);
  writer.varint(attributes.sizeBytes);
  writer.string(attributes.storageClass);
  writer.varint(attributes.checksum);
  writer.bytes(attributes.details);
  writer.bytes(attributes.parts);
}

function readAttributes(reader: ByteReader): EncodedAttributes {
  return {
    etag: reader.string(),
    sizeBytes: reader.varint(),
    storageClass: reader.string(),
    checksum: reader.varint(),
    details: reader.bytes(),
    parts: reader.bytes(),
  };
}

function readDamage(reader: ByteReader): DamageRecord {
  const damage = {
    volumeId: reader.varint(),
    diskId: reader.string(),
    shardIndex: reader.varint(),
    offset: reader.varint(),
  };
  const kind = DAMAGE_KINDS[reader.byte()];
  if (kind === undefined) throw corrupt('unknown kind of damage');
  return { ...damage, kind, seenAtMs: reader.signedVarint() };
}
