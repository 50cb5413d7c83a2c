import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeChecksumKind } from '../../src/metadata-store/records/attributes-codec.ts';
import type { JournalRecord } from '../../src/metadata-store/records/journal-record.ts';
import { NEWEST_STORE_FORMAT } from '../../src/model/store-format.ts';
import { BatchEncoder } from '../../src/metadata-store/records/record-codec.ts';
import type { ChecksumAlgorithm } from '../../src/model/object-record.ts';
import { type BlobDescriptor, encodeBlobDescriptor } from '../../src/service/blob-descriptor.ts';
import { blocksOf, sectionOf } from './format-page.ts';
import { repositoryRoot } from './tracked-files.ts';

const diskIds = ['11111111-2222-4333-8444-555555555555', '66666666-7777-4888-9999-aaaaaaaaaaaa'];

/** Reads fields by the grammar that the page prints. */
class PageReader {
  readonly #bytes: Buffer;
  readonly #types: ReadonlyMap<string, string>;
  offset = 0;

  constructor(bytes: Buffer, types: ReadonlyMap<string, string>) {
    this.#bytes = bytes;
    this.#types = types;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.offset++);
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  fields(text: string): unknown[] {
    return text.split(/, (?![^(]*\))/).flatMap((term) => this.#term(term));
  }

  #term(term: string): unknown[] {
    const group = /^(list|optional)\((.*)\)$/.exec(term);
    if (group?.[1] === 'list') return [Array.from({ length: this.varint() }, () => this.fields(group[2]!))];
    if (group?.[1] === 'optional') return [this.byte() === 1 ? this.fields(group[2]!) : undefined];
    if (term === 'blobUse') return this.byte() === 0 ? this.fields('blob') : [this.varint()];
    const type = this.#types.get(term);
    return type === undefined ? [this.#primitive(term.split(' ').at(-1)!)] : [this.fields(type)];
  }

  #primitive(type: string): unknown {
    switch (type) {
      case 'byte':
        return this.byte();
      case 'varint':
        return this.varint();
      case 'signed': {
        const value = this.varint();
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      }
      case 'bytes':
      case 'string': {
        const length = this.varint();
        this.offset += length;
        return this.#bytes.toString('utf8', this.offset - length, this.offset);
      }
      default:
        throw new Error(`the page uses an unknown type ${type}`);
    }
  }
}

describe('records', () => {
  const blob = {
    blobId: 2 ** 40,
    sizeBytes: 9,
    layout: Buffer.from('lay'),
    footprint: [{ volumeId: 7, storedBytes: 70 }],
  };
  const blobFields = [2 ** 40, 9, 'lay', [[[7, 70]]]];
  const attributes = {
    etag: 'e',
    sizeBytes: 300,
    storageClass: '',
    checksum: 4,
    details: Buffer.from('d'),
    parts: Buffer.from('p'),
  };
  const attributeFields = ['e', 300, '', 4, 'd', 'p'];
  const key = Buffer.from('ключ');
  const upload = { order: 8, uploadId: 'u', bucketId: 1, key, initiatedAtMs: -3, ownerId: 2, initiatorId: 3 };
  const volume = { volumeId: 11, k: 1, m: 1, diskIds, purpose: 'large' as const, shardSizeBytes: 4096 };
  const put = {
    bucketId: 1,
    key,
    order: 2,
    ownerId: 3,
    lastModifiedMs: 4,
    attributes,
    blobs: [{ newBlob: blob }, { existingBlobId: 6 }],
  };
  const putFields = [1, 'ключ', 2, 3, 4, attributeFields, [[blobFields], [6]]];
  const part = {
    uploadOrder: 8,
    partNumber: 1,
    etag: 'e',
    sizeBytes: 2,
    lastModifiedMs: 3,
    checksum: 4,
    checksumValue: 'v',
    blobs: [],
  };
  const complete = {
    uploadOrder: 8,
    order: 9,
    lastModifiedMs: 1,
    decidedAtMs: 2,
    attributes,
    partNumbers: [1, 3],
    manifest: blob,
  };
  const completeFields = [8, 9, 1, 2, attributeFields, [[1], [3]], [blobFields]];
  const cases: readonly { record: JournalRecord; fields: unknown[] }[] = [
    {
      record: { type: 'InternOwner', ownerId: 1, owner: { accountId: 'a', canonicalId: 'c', displayName: 'd' } },
      fields: [1, 'a', 'c', 'd'],
    },
    {
      record: { type: 'CreateBucket', bucketId: 1, name: 'n', ownerId: 2, region: 'r', createdAtMs: -5 },
      fields: [1, 'n', 2, 'r', -5],
    },
    { record: { type: 'DeleteBucket', bucketId: 1 }, fields: [1] },
    {
      record: { type: 'PutObject', ...put },
      fields: putFields,
    },
    { record: { type: 'DeleteObject', bucketId: 1, key }, fields: [1, 'ключ'] },
    {
      record: { type: 'CreateMultipartUpload', ...upload, storageClass: 's', checksum: 5, details: Buffer.from('d') },
      fields: [8, 'u', 1, 'ключ', -3, 2, 3, 's', 5, 'd'],
    },
    {
      record: { type: 'PutPart', ...part },
      fields: [8, 1, 'e', 2, 3, 4, 'v', []],
    },
    {
      record: { type: 'CompleteMultipartUpload', ...complete },
      fields: completeFields,
    },
    { record: { type: 'AbortMultipartUpload', uploadOrder: 8 }, fields: [8] },
    {
      record: { type: 'PutDocument', address: { collection: 'c', id: 'i' }, body: Buffer.from('b') },
      fields: ['c', 'i', 'b'],
    },
    { record: { type: 'DeleteDocument', address: { collection: 'c', id: 'i' } }, fields: ['c', 'i'] },
    { record: { type: 'OpenVolume', volume }, fields: [11, 1, 1, diskIds.map((id) => [id]), 1, 4096] },
    { record: { type: 'SealVolume', volumeId: 11, lengthBytes: 5 }, fields: [11, 5] },
    { record: { type: 'DropVolume', volumeId: 11 }, fields: [11] },
    { record: { type: 'ConfirmDrop', volumeId: 11, diskIds }, fields: [11, diskIds.map((id) => [id])] },
    {
      record: { type: 'MoveBlobs', moves: [{ blobId: 1, layout: Buffer.from('l'), footprint: [] }] },
      fields: [[[[1, 'l', []]]]],
    },
    {
      record: {
        type: 'RecordDamage',
        damage: [{ volumeId: 1, diskId: 'd', shardIndex: 2, offset: 3, kind: 'unreadable', seenAtMs: -1 }],
      },
      fields: [[[[1, 'd', 2, 3, 2, -1]]]],
    },
    {
      record: { type: 'ClearDamage', damage: [{ volumeId: 1, diskId: 'd', offset: 3 }] },
      fields: [[[[1, 'd', 3]]]],
    },
    {
      record: { type: 'MoveShard', volumeId: 11, shardIndex: 1, fromDiskId: 'd', toDiskId: 'e' },
      fields: [11, 1, 'd', 'e'],
    },
    {
      record: { type: 'PutVersion', ...put, versionId: 'v' },
      fields: [...putFields, 'v'],
    },
    {
      record: { type: 'PutDeleteMarker', bucketId: 1, key, order: 2, ownerId: 3, lastModifiedMs: -4, versionId: '' },
      fields: [1, 'ключ', 2, 3, -4, ''],
    },
    { record: { type: 'DeleteVersion', bucketId: 1, key, order: 2 }, fields: [1, 'ключ', 2] },
    {
      record: { type: 'CompleteVersion', ...complete, versionId: 'v' },
      fields: [...completeFields, 'v'],
    },
    {
      record: { type: 'ChangeDetails', bucketId: 1, key, order: 2, details: Buffer.from('d') },
      fields: [1, 'ключ', 2, 'd'],
    },
    {
      record: { type: 'PutEncryptedPart', ...part, encryption: Buffer.from('salt') },
      fields: [8, 1, 'e', 2, 3, 4, 'v', [], 'salt'],
    },
    {
      record: { type: 'TransitionVersion', bucketId: 1, key, order: 2, storageClass: 'COLD', blobs: [] },
      fields: [1, 'ключ', 2, 'COLD', []],
    },
    {
      record: { type: 'RememberToken', bucketId: 1, token: 't', meaning: Buffer.from('m'), decidedAtMs: -2 },
      fields: [1, 't', 'm', -2],
    },
    {
      record: {
        type: 'AppendObject',
        bucketId: 1,
        key,
        order: 2,
        newOrder: 3,
        lastModifiedMs: -4,
        etag: 'e',
        sizeBytes: 5,
        checksum: 6,
        details: Buffer.from('d'),
        parts: [{ sizeBytes: 7, checksum: 'c' }, { sizeBytes: 8 }],
        blobs: [],
      },
      fields: [1, 'ключ', 2, 3, -4, 'e', 5, 6, 'd', [[[7, ['c']]], [[8, undefined]]], []],
    },
    { record: { type: 'RaiseFormat', formatVersion: 2 }, fields: [2] },
    {
      record: { type: 'OpenClassVolume', volume, storageClass: 's' },
      fields: [11, 1, 1, diskIds.map((id) => [id]), 1, 4096, 's'],
    },
  ];

  const lines = blocksOf('5.1 Records')[0]!.split('\n');
  const numbered = lines.map((line) => /^(\d+) +(\w+) +(.*)$/.exec(line)).filter((match) => match !== null);
  const types = new Map(
    lines.flatMap((line) => {
      const match = /^([a-z]\w*) {2,}(.*)$/.exec(line);
      return match === null ? [] : [[match[1]!, match[2]!] as const];
    }),
  );

  test('the page describes every record type, once', () => {
    const numbers = numbered.map(([, number]) => Number(number));
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    expect(numbered.map(([, , type]) => type)).toEqual(cases.map(({ record }) => record.type));
  });

  test('the rescue reader knows every record type of the page', () => {
    const reader = readFileSync(path.join(repositoryRoot, 'tools/rescue/state.py'), 'utf8');
    const known = /^_RECORDS = \{$([^]*?)^\}$/m.exec(reader)![1]!;
    expect([...known.matchAll(/^ +(\d+):/gm)].map(([, number]) => number)).toEqual(
      numbered.map(([, number]) => number),
    );
  });

  test.each(cases)('$record.type reads by what the page says', ({ record, fields }) => {
    const batch = new BatchEncoder();
    batch.add(record);
    const payload = batch.toBuffer(300);
    const reader = new PageReader(payload, types);
    expect([reader.byte(), reader.varint(), reader.varint()]).toEqual([NEWEST_STORE_FORMAT, 300, 1]);
    const number = String(reader.byte());
    const line = numbered.find((each) => each[1] === number)!;
    expect(line[2]).toBe(record.type);
    expect(reader.fields(line[3]!)).toEqual(fields);
    expect(reader.offset).toBe(payload.length);
  });

  test('checksum algorithms have the numbers of section 5.2, in records and in descriptors', () => {
    const listed = /a: 0 none, (.*?)\. t:/s.exec(sectionOf('5.2 Attributes'))![1]!;
    const algorithms = listed.split(/,\s+/).map((item) => item.split(' ') as [string, ChecksumAlgorithm]);
    expect(algorithms).toHaveLength(10);
    for (const [number, algorithm] of algorithms) {
      expect(encodeChecksumKind(algorithm, undefined)).toBe(3 * Number(number));
      expect(encodeChecksumKind(algorithm, 'FULL_OBJECT')).toBe(3 * Number(number) + 1);
      expect(encodeChecksumKind(algorithm, 'COMPOSITE')).toBe(3 * Number(number) + 2);
      const checksum = { algorithm, type: 'COMPOSITE' as const, value: 'v' };
      const content = { sizeBytes: 1, etag: 'e', lastModifiedMs: -2, checksum };
      const name = { bucketId: 1, bucketName: 'b', key: 'k' };
      const descriptor = encodeBlobDescriptor({ ...name, content, kind: 'part', uploadId: 'u', partNumber: 4 });
      expect(descriptor.toString('hex')).toBe(
        Buffer.from([1, 2, 1, 1, 98, 1, 107, 1, 1, 101, 3, Number(number), 1, 1, 118, 1, 117, 4]).toString('hex'),
      );
    }
  });

  test('descriptors have the kinds of section 8.4', () => {
    const described = { ownerAccountId: 'o', storageClass: 's', headers: {}, userMetadata: {} };
    const base = { bucketId: 1, bucketName: 'b', key: 'k', content: { sizeBytes: 1, etag: 'e', lastModifiedMs: 2 } };
    const descriptors: BlobDescriptor[] = [
      { ...base, kind: 'object', attributes: described },
      { ...base, kind: 'part', uploadId: 'u', partNumber: 1 },
      { ...base, kind: 'manifest', attributes: described, uploadId: '', blobs: [], parts: [] },
    ];
    for (const descriptor of descriptors) {
      const encoded = encodeBlobDescriptor(descriptor);
      expect(blocksOf('8.4 Descriptors')[0]).toMatch(new RegExp(`^${encoded[1]} ${descriptor.kind} `, 'm'));
      expect(encoded[0]).toBe(1);
    }
  });
});
