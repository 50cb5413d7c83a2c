import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeAttributes,
  decodeChecksumKind,
  encodeAttributes,
  encodeChecksumKind,
} from '../../../../src/metadata-store/records/attributes-codec.ts';
import { ByteReader } from '../../../../src/metadata-store/records/byte-reader.ts';
import { ByteWriter } from '../../../../src/metadata-store/records/byte-writer.ts';
import type { EncodedAttributes, JournalRecord } from '../../../../src/metadata-store/records/journal-record.ts';
import { BatchEncoder, decodeBatch } from '../../../../src/metadata-store/records/record-codec.ts';
import type { ObjectAttributes } from '../../../../src/model/object-record.ts';

const id = fc.oneof(
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(0, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1),
);
const time = fc.oneof(fc.integer(), fc.integer({ min: -(2 ** 51), max: 2 ** 51 }));
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 4 });
const footprint = list(fc.record({ volumeId: id, storedBytes: id }));
const blob = fc.record({ blobId: id, sizeBytes: id, layout: bytes, footprint });
const blobUses = list(fc.oneof(fc.record({ newBlob: blob }), fc.record({ existingBlobId: id })));
const attributes: fc.Arbitrary<EncodedAttributes> = fc.record({
  etag: text,
  sizeBytes: id,
  storageClass: text,
  checksum: fc.nat(40),
  details: bytes,
  parts: bytes,
});
const diskIds = list(text);
const place = { volumeId: id, diskId: text, offset: id };

const put = {
  bucketId: id,
  key: bytes,
  order: id,
  ownerId: id,
  lastModifiedMs: time,
  attributes,
  blobs: blobUses,
};
const part = {
  uploadOrder: id,
  partNumber: id,
  etag: text,
  sizeBytes: id,
  lastModifiedMs: time,
  checksum: fc.nat(40),
  checksumValue: text,
  blobs: blobUses,
};
const complete = {
  uploadOrder: id,
  order: id,
  lastModifiedMs: time,
  decidedAtMs: time,
  attributes,
  partNumbers: list(id),
  manifest: fc.option(blob, { nil: undefined }),
};

const openedVolume = fc.record({
  volumeId: id,
  k: id,
  m: id,
  diskIds,
  purpose: fc.constantFrom('small', 'large'),
  shardSizeBytes: id,
});
const generators: { [Type in JournalRecord['type']]: fc.Arbitrary<Extract<JournalRecord, { type: Type }>> } = {
  InternOwner: fc.record({
    type: fc.constant('InternOwner'),
    ownerId: id,
    owner: fc.record({ accountId: text, canonicalId: text, displayName: text }),
  }),
  CreateBucket: fc.record({
    type: fc.constant('CreateBucket'),
    bucketId: id,
    name: text,
    ownerId: id,
    region: text,
    createdAtMs: time,
  }),
  DeleteBucket: fc.record({ type: fc.constant('DeleteBucket'), bucketId: id }),
  PutObject: fc.record({ type: fc.constant('PutObject'), ...put }),
  DeleteObject: fc.record({ type: fc.constant('DeleteObject'), bucketId: id, key: bytes }),
  CreateMultipartUpload: fc.record({
    type: fc.constant('CreateMultipartUpload'),
    order: id,
    uploadId: text,
    bucketId: id,
    key: bytes,
    initiatedAtMs: time,
    ownerId: id,
    initiatorId: id,
    storageClass: text,
    checksum: fc.nat(40),
    details: bytes,
  }),
  PutPart: fc.record({ type: fc.constant('PutPart'), ...part }),
  PutEncryptedPart: fc.record({ type: fc.constant('PutEncryptedPart'), ...part, encryption: bytes }),
  CompleteMultipartUpload: fc.record({ type: fc.constant('CompleteMultipartUpload'), ...complete }),
  AbortMultipartUpload: fc.record({ type: fc.constant('AbortMultipartUpload'), uploadOrder: id }),
  PutDocument: fc.record({
    type: fc.constant('PutDocument'),
    address: fc.record({ collection: text, id: text }),
    body: bytes,
  }),
  DeleteDocument: fc.record({
    type: fc.constant('DeleteDocument'),
    address: fc.record({ collection: text, id: text }),
  }),
  OpenVolume: fc.record({ type: fc.constant('OpenVolume'), volume: openedVolume }),
  OpenClassVolume: fc.record({ type: fc.constant('OpenClassVolume'), volume: openedVolume, storageClass: text }),
  SealVolume: fc.record({ type: fc.constant('SealVolume'), volumeId: id, lengthBytes: id }),
  DropVolume: fc.record({ type: fc.constant('DropVolume'), volumeId: id }),
  ConfirmDrop: fc.record({ type: fc.constant('ConfirmDrop'), volumeId: id, diskIds }),
  MoveBlobs: fc.record({
    type: fc.constant('MoveBlobs'),
    moves: list(fc.record({ blobId: id, layout: bytes, footprint })),
  }),
  RecordDamage: fc.record({
    type: fc.constant('RecordDamage'),
    damage: list(
      fc.record({
        ...place,
        shardIndex: id,
        kind: fc.constantFrom('missing', 'corrupt', 'unreadable'),
        seenAtMs: time,
      }),
    ),
  }),
  ClearDamage: fc.record({ type: fc.constant('ClearDamage'), damage: list(fc.record(place)) }),
  PutVersion: fc.record({ type: fc.constant('PutVersion'), ...put, versionId: text }),
  PutDeleteMarker: fc.record({
    type: fc.constant('PutDeleteMarker'),
    bucketId: id,
    key: bytes,
    order: id,
    ownerId: id,
    lastModifiedMs: time,
    versionId: text,
  }),
  ChangeDetails: fc.record({ type: fc.constant('ChangeDetails'), bucketId: id, key: bytes, order: id, details: bytes }),
  DeleteVersion: fc.record({ type: fc.constant('DeleteVersion'), bucketId: id, key: bytes, order: id }),
  CompleteVersion: fc.record({ type: fc.constant('CompleteVersion'), ...complete, versionId: text }),
  MoveShard: fc.record({
    type: fc.constant('MoveShard'),
    volumeId: id,
    shardIndex: id,
    fromDiskId: text,
    toDiskId: text,
  }),
  TransitionVersion: fc.record({
    type: fc.constant('TransitionVersion'),
    bucketId: id,
    key: bytes,
    order: id,
    storageClass: text,
    blobs: put.blobs,
  }),
  RememberToken: fc.record({
    type: fc.constant('RememberToken'),
    bucketId: id,
    token: text,
    meaning: bytes,
    decidedAtMs: time,
  }),
  AppendObject: fc.record({
    type: fc.constant('AppendObject'),
    bucketId: id,
    key: bytes,
    order: id,
    newOrder: id,
    lastModifiedMs: time,
    etag: text,
    sizeBytes: id,
    checksum: id,
    details: bytes,
    parts: list(fc.record({ sizeBytes: id, checksum: text }, { requiredKeys: ['sizeBytes'] })),
    blobs: put.blobs,
  }),
  RaiseFormat: fc.record({ type: fc.constant('RaiseFormat'), formatVersion: fc.constant(2) }),
};

function encode(records: readonly JournalRecord[], batchNumber: number): Buffer {
  const encoder = new BatchEncoder();
  for (const record of records) encoder.add(record);
  return encoder.toBuffer(batchNumber);
}

describe('records', () => {
  for (const [type, generator] of Object.entries(generators)) {
    test(`${type} is read back as it was written`, () => {
      fc.assert(
        fc.property(generator, (record) => {
          expect(decodeBatch(encode([record], 1)).records).toEqual([record]);
        }),
      );
    });
  }

  test('a batch keeps its number and the order of its records, and encodes the same each time', () => {
    const any = fc.oneof(...Object.values(generators)) as fc.Arbitrary<JournalRecord>;
    fc.assert(
      fc.property(fc.array(any), id, (records, batchNumber) => {
        const payload = encode(records, batchNumber);
        expect(decodeBatch(payload)).toEqual({ batchNumber, records });
        expect(encode(records, batchNumber).equals(payload)).toBe(true);
      }),
    );
  });

  test('a payload that is cut, too long, of another version or of an unknown type is JournalCorrupt', () => {
    const payload = encode([{ type: 'DropVolume', volumeId: 300 }], 5);
    const unknownType = Buffer.from(payload);
    unknownType[3] = 200;
    const otherVersion = Buffer.from(payload);
    otherVersion[0] = 0;
    const damaged = [payload.subarray(0, -1), Buffer.concat([payload, Buffer.alloc(1)]), unknownType, otherVersion];
    for (const bad of damaged) {
      expect(() => decodeBatch(bad)).toThrow(expect.objectContaining({ code: 'JournalCorrupt' }));
    }
  });

  test('a payload of a newer format is refused as such', () => {
    const payload = encode([{ type: 'DropVolume', volumeId: 300 }], 5);
    payload[0] = 3;
    expect(() => decodeBatch(payload)).toThrow(expect.objectContaining({ code: 'FormatRefused' }));
  });

  test('nothing of format 2 gets into a batch of a store of format 1', () => {
    const encoder = new BatchEncoder();
    encoder.clear(1);
    const attributes = { etag: '', sizeBytes: 0, storageClass: '', checksum: 0, parts: Buffer.alloc(0) };
    const put = {
      type: 'PutObject',
      bucketId: 1,
      key: Buffer.from('k'),
      order: 2,
      ownerId: 1,
      lastModifiedMs: 0,
    } as const;
    const withFlags = (...flags: number[]): JournalRecord => ({
      ...put,
      attributes: { ...attributes, details: Buffer.from(flags) },
      blobs: [],
    });
    encoder.add(withFlags(15));
    for (const record of [withFlags(16), withFlags(0x80, 1)]) {
      expect(() => encoder.add(record)).toThrow('a PutObject record of a newer format');
    }
    expect(encoder.recordCount).toBe(1);
    expect(encoder.toBuffer(1)[0]).toBe(1);
    // The record that raises it is written in the format that it raises it to.
    encoder.add({ type: 'RaiseFormat', formatVersion: 2 });
    encoder.add(withFlags(16));
    expect(encoder.toBuffer(1)[0]).toBe(2);
  });

  test('hostile lengths are refused before anything is allocated', () => {
    const writer = new ByteWriter(8);
    writer.varint(2 ** 50);
    expect(() => new ByteReader(writer.toBuffer()).list(() => 1)).toThrow(/longer than the record/);
    expect(() => new ByteReader(writer.toBuffer()).bytes()).toThrow(/too early/);
    expect(() => new ByteReader(Buffer.alloc(20, 0xff)).varint()).toThrow(/too long/);
  });
});

describe('attributes', () => {
  test('attributes are read back as they were written', () => {
    const pairs = fc.dictionary(fc.oneof(text, fc.constantFrom('__proto__', 'constructor')), text, { maxKeys: 4 });
    const plain = pairs.map((dictionary) => Object.fromEntries(Object.entries(dictionary)));
    const generator: fc.Arbitrary<ObjectAttributes> = fc.record(
      {
        etag: text,
        sizeBytes: id,
        headers: plain,
        userMetadata: plain,
        storageClass: fc.constantFrom('STANDARD', 'GLACIER', 'COLD'),
        checksum: fc.record({
          algorithm: fc.constantFrom('CRC32', 'XXHASH128', 'SHA256'),
          type: fc.constantFrom('FULL_OBJECT', 'COMPOSITE'),
          value: text,
        }),
        tags: list(fc.record({ key: text, value: text })),
        retention: fc.record({
          mode: fc.constantFrom('GOVERNANCE', 'COMPLIANCE'),
          retainUntilMs: fc.integer({ min: -(2 ** 45), max: 2 ** 45 }),
        }),
        legalHold: fc.constantFrom('ON', 'OFF'),
        parts: list(fc.nat(100)).map((steps) => {
          let partNumber = 0;
          return steps.map((step) => ({ partNumber: (partNumber += step + 1), sizeBytes: step, checksum: `c${step}` }));
        }),
      },
      { requiredKeys: ['etag', 'sizeBytes', 'headers', 'userMetadata', 'storageClass'] },
    );
    fc.assert(
      fc.property(generator, (value) => {
        const decoded = decodeAttributes(encodeAttributes(value));
        expect(decoded).toEqual(value);
        expect(Object.keys(decoded.userMetadata)).toEqual(Object.keys(value.userMetadata));
      }),
    );
  });

  test('every kind of checksum has a number of its own', () => {
    const seen = new Set<number>();
    for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256', 'SHA512', 'MD5'] as const) {
      for (const type of [undefined, 'FULL_OBJECT', 'COMPOSITE'] as const) {
        const encoded = encodeChecksumKind(algorithm, type);
        expect(decodeChecksumKind(encoded)).toEqual({ algorithm, type });
        seen.add(encoded);
      }
    }
    expect(seen.size).toBe(21);
    expect(encodeChecksumKind(undefined, undefined)).toBe(0);
  });
});
