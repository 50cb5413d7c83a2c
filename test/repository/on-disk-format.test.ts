import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { describe, expect, test } from 'vitest';
import { masterKeyFingerprint } from '../../src/access/master-key.ts';
import { bodyCrcSeed, encodeBlobLayout, type StripeRun } from '../../src/data-store/blob-layout.ts';
import { DESCRIPTOR_LIMIT_BYTES } from '../../src/data-store/data-store.ts';
import { ENTRY_HEADER_BYTES, writeBlobEntry } from '../../src/data-store/stripe/blob-entry.ts';
import { makeStripeHeaders, stripeHeaderLength, STRIPE_VERSION } from '../../src/data-store/stripe/stripe-header.ts';
import { encodeVolumeHeader, VOLUME_HEADER_BYTES, volumePath } from '../../src/data-store/volume/volume-file.ts';
import { encodeIdentity } from '../../src/disk/disk-identity.ts';
import { RealDiskFs } from '../../src/disk/real-disk-fs.ts';
import { checkpointIdentity, writeCheckpointFile } from '../../src/metadata-store/journal/checkpoint-file.ts';
import { DEFAULT_SEGMENT_BYTES } from '../../src/metadata-store/journal/format-journal.ts';
import {
  clusterTagOf,
  encodeFrame,
  FRAME_HEADER_BYTES,
  frameBytesFor,
  type FrameKind,
  hashFrame,
} from '../../src/metadata-store/journal/frame.ts';
import { genesisPosition } from '../../src/metadata-store/journal/journal-configuration.ts';
import { encodeState } from '../../src/metadata-store/journal/journal-state.ts';
import { checkpointName, inJournal, segmentName, spareName } from '../../src/metadata-store/journal/segment-names.ts';
import {
  INDEX_APPLICATION_ID,
  INDEX_SCHEMA,
  INDEX_SCHEMA_VERSION,
} from '../../src/metadata-store/sqlite/index-schema.ts';
import { NEWEST_STORE_FORMAT } from '../../src/model/store-format.ts';
import { at, blocksOf, page, sectionOf } from './format-page.ts';

const clusterId = '3f2b8c1e-0d4a-4b6f-9c7e-1a2b3c4d5e6f';
const diskIds = ['11111111-2222-4333-8444-555555555555', '66666666-7777-4888-9999-aaaaaaaaaaaa'];

const integerAt = (bytes: Buffer, offset: number): number => Number(bytes.readBigUInt64LE(offset));
const hash = (bytes: Buffer | string): Buffer => createHash('sha256').update(bytes).digest().subarray(0, 16);

describe('conventions and names', () => {
  test('the CRC examples are what the code computes', () => {
    const digits = Buffer.from('123456789');
    expect(sectionOf('1. Conventions')).toContain(`\`0x${crc32c(digits).toString(16)}\``);
    expect(sectionOf('1. Conventions')).toContain(`\`0x${crc32c(digits, 0x12345678).toString(16)}\``);
    expect(crc32c(digits.subarray(4), crc32c(digits.subarray(0, 4)))).toBe(crc32c(digits));
  });

  test('file names have the shape of the directory listing', () => {
    const listing = blocksOf('2. Directories')[0]!;
    const shapes = listing
      .split('\n')
      .map((line) => line.split('  ')[0]!)
      .filter((shape) => /[A-Z]/.test(shape))
      .map((shape) => new RegExp(`^${shape.replaceAll('.', '\\.').replaceAll(/[GNCESV]+/g, '[0-9a-f]+')}$`));
    const names = [
      inJournal(segmentName(3, 12)),
      inJournal(checkpointName({ epoch: 4, sequence: 77 }, 5)),
      inJournal(spareName(9)),
      volumePath(2 ** 32 + 5),
    ];
    for (const name of names)
      expect(
        shapes.some((shape) => shape.test(name)),
        name,
      ).toBe(true);
    expect(path.basename(volumePath(1))).toBe('00000000000001.shard');
  });

  test('disk.json has the members of the table, and the checksum that section 3 describes', () => {
    const written = JSON.parse(
      encodeIdentity({
        clusterId,
        diskId: diskIds[0]!,
        index: 0,
        diskIds,
        k: 1,
        m: 1,
        createdAtMs: 0,
        addedAtSequence: 0,
      }).toString(),
    ) as Record<string, unknown>;
    const members = [...sectionOf('3. `disk.json`').matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell]) =>
      cell!.replaceAll('`', '').split(', '),
    );
    expect(members).toEqual(Object.keys(written));
    const { checksum, ...others } = written;
    expect(createHash('sha256').update(JSON.stringify(others)).digest('hex')).toBe(checksum);
    expect(page.split('\n')[0]).toBe(`# On-disk format, version ${NEWEST_STORE_FORMAT}`);
  });

  test('the master key fingerprint is the one of section 5.4', () => {
    const key = Buffer.alloc(32, 7);
    const text = /HMAC-SHA256\(master key, `(.*?)`\)/.exec(sectionOf('5.4 Documents'))![1]!;
    expect(createHmac('sha256', key).update(text).digest('hex').slice(0, 16)).toBe(masterKeyFingerprint(key));
  });
});

describe('journal', () => {
  const tag = hash(`holdfast cluster ${clusterId}`);
  const configuration = { k: 1, m: 1, diskIds, journalDiskIds: diskIds };
  const position = { epoch: 5, sequence: 6, hash: Buffer.alloc(16, 0xaa) };

  test('a frame has its fields where the table says', () => {
    const kinds: readonly FrameKind[] = ['payload', 'opening', 'configuration', 'note'];
    const payload = Buffer.from('what was decided');
    for (const [number, kind] of kinds.entries()) {
      const frame = Buffer.alloc(frameBytesFor(payload.length));
      const content = {
        kind,
        epoch: 2 ** 20 + 3,
        sequence: 2 ** 40 + 8,
        previous: { epoch: 2, sequence: 2 ** 40 + 7, hash: Buffer.alloc(16, 0xbb) },
        acknowledged: position,
        writtenAtMs: 1234.5,
        configurationSequence: 99,
      };
      const frameHash = encodeFrame(frame, content, payload, clusterTagOf(clusterId));
      const field = (name: string): number => at('4.2 Frames', name);
      const payloadEnd = field('payload, then zeros') + payload.length;
      expect(frame.toString('latin1', 0, 4)).toBe(/magic `(.*?)`/.exec(sectionOf('4.2 Frames'))![1]);
      expect(frame.readUInt32LE(field('CRC32C'))).toBe(crc32c(frame.subarray(8)));
      expect(frame[field('version, 1')]).toBe(1);
      expect(frame[field(`kind: 0 payload, 1 opening, 2 configuration, 3 note`)]).toBe(number);
      expect(frame.readUInt32LE(field('frame length'))).toBe(4096);
      expect(frame.readUInt32LE(field('payload length'))).toBe(payload.length);
      expect(integerAt(frame, field('epoch'))).toBe(content.epoch);
      expect(integerAt(frame, field('sequence'))).toBe(content.sequence);
      expect(integerAt(frame, field('epoch of the frame before'))).toBe(2);
      expect(frame.subarray(field('hash of the frame before')).subarray(0, 16)).toEqual(content.previous.hash);
      expect(integerAt(frame, field('acknowledged epoch'))).toBe(5);
      expect(integerAt(frame, field('acknowledged sequence'))).toBe(6);
      expect(frame.subarray(field('acknowledged hash')).subarray(0, 16)).toEqual(position.hash);
      expect(frame.subarray(field('cluster tag')).subarray(0, 16)).toEqual(tag);
      expect(frame.readDoubleLE(field('time written'))).toBe(1234.5);
      expect(integerAt(frame, field('sequence of the newest configuration'))).toBe(99);
      expect(frame.subarray(FRAME_HEADER_BYTES, payloadEnd)).toEqual(payload);
      expect(hash(frame.subarray(8, payloadEnd))).toEqual(frameHash);
      expect(hashFrame(frame)).toEqual(frameHash);
    }
  });

  test('journal/state and genesis are as section 4.1 says', () => {
    const checkpoint = { position, configuration, name: 'x', sizeBytes: 10, createdAtMs: 11 };
    const base = genesisPosition(clusterId, configuration);
    const [body, sum, rest] = encodeState({
      format: 2,
      clusterId,
      diskId: diskIds[0]!,
      generation: 0,
      firstSegment: 0,
      lastSegment: -1,
      segmentBytes: DEFAULT_SEGMENT_BYTES,
      base,
      configuration,
      reservedEpoch: 0,
      checkpoints: [checkpoint],
      voidNotes: [{ upToEpoch: 7, afterSequence: 8, known: [{ epoch: 6, upToSequence: 9 }] }],
    })
      .toString()
      .split('\n');
    const members = [...sectionOf('4.1 `journal/state`').matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
    const written = JSON.parse(body!) as {
      format: number;
      checkpoints: object[];
      voidNotes: { known: object[] }[];
    };
    expect(members).toEqual(Object.keys(written));
    expect(written.format).toBe(2);
    expect(sectionOf('4.1 `journal/state`')).toContain(`{${Object.keys(written.checkpoints[0]!).join(', ')}}`);
    const { known, ...note } = written.voidNotes[0]!;
    expect(sectionOf('4.1 `journal/state`')).toContain(`{${Object.keys({ ...note, known }).join(', ')}}`);
    expect(sectionOf('4.1 `journal/state`')).toContain(`{${Object.keys(known[0]!).join(', ')}}`);
    expect(sectionOf('4.1 `journal/state`')).toContain(String(DEFAULT_SEGMENT_BYTES));
    expect(sum).toBe(crc32c(Buffer.from(body!)).toString(16).padStart(8, '0'));
    expect(rest).toBe('');
    expect(base).toEqual({ epoch: 0, sequence: 0, hash: hash(JSON.stringify([clusterId, configuration])) });
  });

  test('a checkpoint has its fields where the table says', async () => {
    const root = mkdtempSync(path.join(tmpdir(), 'on-disk-format-'));
    try {
      const data = Buffer.alloc(1_048_544 + 100, 0x5a);
      const checkpoint = { position, configuration, name: 'c', sizeBytes: data.length, createdAtMs: 1_700_000_000_000 };
      const identity = checkpointIdentity(checkpoint, tag);
      const { epoch, sequence } = position;
      const facts = [
        tag.toString('hex'),
        epoch,
        sequence,
        position.hash.toString('hex'),
        data.length,
        1_700_000_000_000,
      ];
      expect(identity).toEqual(hash(JSON.stringify(facts)));
      await writeCheckpointFile(new RealDiskFs(root), 'c', checkpoint, identity, (index) =>
        Promise.resolve(data.subarray(index * 1_048_544, (index + 1) * 1_048_544)),
      );
      const second = readFileSync(path.join(root, 'c')).subarray(1_048_576);
      const field = (name: string): number => at('6. Checkpoints', name);
      expect(second.toString('latin1', 0, 4)).toBe(/magic `(.*?)`/.exec(sectionOf('6. Checkpoints'))![1]);
      expect(second.readUInt32LE(field('CRC32C'))).toBe(crc32c(second.subarray(8)));
      expect(second.readUInt32LE(field('block number'))).toBe(1);
      expect(second.readUInt32LE(field('length of the data'))).toBe(100);
      expect(second.subarray(field('hash that binds')).subarray(0, 16)).toEqual(identity);
      expect(second.subarray(field('data'))).toEqual(data.subarray(0, 100));
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test('the tables are those of the index', () => {
    const [sql] = blocksOf('7. The tables');
    const schema = INDEX_SCHEMA.slice(0, INDEX_SCHEMA.indexOf('PRAGMA')).trim();
    expect(sql!.trim()).toBe(schema);
    expect(sectionOf('7. The tables')).toContain(
      `is ${INDEX_APPLICATION_ID} (\`0x${INDEX_APPLICATION_ID.toString(16)}\`), \`user_version\` ${INDEX_SCHEMA_VERSION}.`,
    );
  });
});

describe('volumes', () => {
  test('the first block has its fields where the table says', () => {
    const block = Buffer.alloc(VOLUME_HEADER_BYTES);
    const heading = '8.1 First block of a shard file';
    const shape = { volumeId: 2 ** 32 + 9, k: 1, m: 1, diskIds, purpose: 'large' as const, shardSizeBytes: 8192 };
    encodeVolumeHeader(block, shape, 1);
    expect(block.toString('latin1', 0, 4)).toBe(/magic `(.*?)`/.exec(sectionOf(heading))![1]);
    expect(block.readUInt32LE(at(heading, 'CRC32C'))).toBe(crc32c(block.subarray(8)));
    expect(block[at(heading, 'version')]).toBe(1);
    expect(block[at(heading, 'purpose: 1 small, 2 large')]).toBe(2);
    expect([block[at(heading, 'k')], block[at(heading, 'm')], block[at(heading, 'slot')]]).toEqual([1, 1, 1]);
    expect(integerAt(block, at(heading, 'volume id'))).toBe(2 ** 32 + 9);
    expect(block.readUInt32LE(at(heading, 'shard size'))).toBe(8192);
    expect(block.toString('hex', at(heading, 'disk ids')).slice(0, 64)).toBe(diskIds.join('').replaceAll('-', ''));
  });

  test('a shard header has its fields where the table says', () => {
    const heading = '8.2 Shards';
    const places = [3, 0, 2].map((slot, index) => ({ slot, offset: 4096 * (index + 1) }));
    const shape = { kind: 'large' as const, k: 2, m: 1 };
    const facts = { ...shape, volumeId: 2 ** 33, shardLengthBytes: 4096, places };
    const ofBlob = { stripeNumber: 17, blobId: 2 ** 34, blobOffset: 2 ** 35, dataBytes: 7000 };
    const payloadLength = 4096 - stripeHeaderLength(shape);
    const payloads = Buffer.alloc(3 * payloadLength, 1);
    const { headers } = makeStripeHeaders(payloads, { ...facts, ...ofBlob }, 7100);
    const header = headers.subarray(512, 1024);
    expect(header.toString('latin1', 0, 4)).toBe(/magic `(.*?)`/.exec(sectionOf(heading))![1]);
    expect(header.readUInt32LE(at(heading, 'CRC32C'))).toBe(crc32c(header.subarray(8)));
    expect(header[at(heading, 'version, 1')]).toBe(STRIPE_VERSION);
    expect(header[at(heading, 'kind: 1 small, 2 large')]).toBe(2);
    expect([header[at(heading, 'k′')], header[at(heading, 'm')], header[at(heading, 'shard index')]]).toEqual([
      2, 1, 1,
    ]);
    expect(header.readUInt16LE(at(heading, 'header length'))).toBe(512);
    expect(integerAt(header, at(heading, 'volume id'))).toBe(2 ** 33);
    expect(header.readUInt32LE(at(heading, 'stripe number'))).toBe(17);
    expect(header.readUInt32LE(at(heading, 'shard length'))).toBe(4096);
    expect(integerAt(header, at(heading, 'blob id'))).toBe(2 ** 34);
    expect(integerAt(header, at(heading, 'position'))).toBe(2 ** 35);
    expect(header.readUInt32LE(at(heading, 'body bytes'))).toBe(7000);
    expect(header.readUInt32LE(at(heading, 'used payload'))).toBe(7100);
    const tables = at(heading, 'CRC32C of each shard');
    for (const [index, { slot, offset }] of places.entries()) {
      const crc = crc32c(payloads.subarray(index * payloadLength, (index + 1) * payloadLength));
      expect(header.readUInt32LE(tables + 4 * index)).toBe(crc);
      expect(header.readUInt32LE(tables + 12 + 4 * index)).toBe(offset / 64);
      expect(header[tables + 24 + index]).toBe(slot);
    }
    expect(stripeHeaderLength({ kind: 'small', k: 4, m: 2 })).toBe(Math.ceil((64 + 9 * 6) / 64) * 64);
  });

  test('an entry has its fields where the table says', () => {
    const heading = '8.3 Entries';
    const bytes = Buffer.alloc(100);
    const descriptor = Buffer.from('what it is');
    writeBlobEntry(bytes, 0, { blobId: 2 ** 41, kind: 'large', bodyLengthBytes: 77, descriptor });
    expect(integerAt(bytes, at(heading, 'blob id'))).toBe(2 ** 41);
    expect(bytes.readUInt32LE(at(heading, 'small: length of the body'))).toBe(77);
    expect(bytes.readUInt16LE(at(heading, `descriptor length, at most ${DESCRIPTOR_LIMIT_BYTES}`))).toBe(10);
    expect(bytes.readUInt16LE(at(heading, 'kind: 1 small, 2 end of a large blob'))).toBe(2);
    const covered = Buffer.concat([bytes.subarray(0, 16), descriptor]);
    expect(bytes.readUInt32LE(at(heading, 'CRC32C'))).toBe(crc32c(covered));
    expect(at(heading, 'descriptor, then')).toBe(ENTRY_HEADER_BYTES);
  });

  test('layouts are as section 9 says, byte by byte', () => {
    const stripe = {
      kind: 'small' as const,
      volumeId: 300,
      k: 1,
      m: 1,
      shardLengthBytes: 64 * 5,
      places: [
        { slot: 2, offset: 64 * 70 },
        { slot: 0, offset: 64 * 68 },
      ],
    };
    const small = { stripe, shardIndex: 0, bodyOffset: 150, bodyLengthBytes: 4, descriptorLengthBytes: 2, bodyCrc: 1 };
    const written = encodeBlobLayout({ kind: 'small', ...small });
    expect([...written]).toEqual([1, 0xac, 2, 1, 1, 5, 70, 2, 0, 3, 0, 0x96, 1, 4, 2, 1, 0, 0, 0]);
    const run: StripeRun = {
      volumeId: 5,
      k: 4,
      m: 2,
      width: 6,
      firstStripeNumber: 3,
      shardLengthBytes: 4096 * 65,
      offset: 4096,
      count: 1,
      lastDataBytes: 200,
      stripeCrcs: Buffer.from([9, 8, 7, 6]),
    };
    const large = encodeBlobLayout({ kind: 'large', descriptorLengthBytes: 10, runs: [run] });
    expect([...large]).toEqual([2, 10, 1, 5, 4, 2, 6, 3, 65, 1, 1, 0xc8, 1, 9, 8, 7, 6]);
  });

  test('the worked seeds of body CRCs are what the code computes', () => {
    const one = bodyCrcSeed({ volumeId: 3 * 2 ** 32 + 7, slot: 2, fileOffset: 4294 });
    const other = bodyCrcSeed({ volumeId: 2 ** 52 + 2 ** 31 + 5, slot: 29, fileOffset: 5 * 2 ** 32 + 123456 });
    expect(sectionOf('9. Layouts')).toContain(`offset 4294: seed \`0x${one.toString(16)}\``);
    expect(sectionOf('9. Layouts')).toContain(`5 × 2^32 + 123456: seed \`0x${other.toString(16)}\``);
  });
});
